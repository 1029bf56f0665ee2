"""Where finished frames go: a virtual camera, a window, an mp4 file, or nowhere."""

from __future__ import annotations

from avatar.output.display import missing_display
from avatar.output.null import Null
from avatar.output.outputs import Output, open_output
from avatar.output.video_writer import VideoWriter
from avatar.output.virtual_camera import VirtualCamera
from avatar.output.virtual_devices import VirtualCameraDevice, how_to_create, virtual_camera_devices
from avatar.output.window import Window

__all__ = [
    "Null",
    "Output",
    "VideoWriter",
    "VirtualCamera",
    "VirtualCameraDevice",
    "Window",
    "how_to_create",
    "missing_display",
    "open_output",
    "virtual_camera_devices",
]
