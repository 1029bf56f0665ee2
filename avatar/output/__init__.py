"""Where finished frames go: a virtual camera, a window, an mp4 file, or nowhere."""

from __future__ import annotations

# PyAV brings an X11 library of its own: loaded before OpenCV, the first window hangs for ever (PyAV #1050)
import cv2  # noqa: F401

from avatar.output.display import missing_display
from avatar.output.null import Null
from avatar.output.outputs import Output, open_output
from avatar.output.pipewire_camera import PipeWireCamera, has_pipewire, missing_for_pipewire_camera
from avatar.output.video_writer import VideoWriter
from avatar.output.virtual_camera import VirtualCamera
from avatar.output.virtual_devices import VirtualCameraDevice, how_to_create, virtual_camera_devices
from avatar.output.window import Window

__all__ = [
    "Null",
    "Output",
    "PipeWireCamera",
    "VideoWriter",
    "VirtualCamera",
    "VirtualCameraDevice",
    "Window",
    "has_pipewire",
    "how_to_create",
    "missing_display",
    "missing_for_pipewire_camera",
    "open_output",
    "virtual_camera_devices",
]
