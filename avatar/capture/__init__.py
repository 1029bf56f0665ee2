"""Where frames come from: a camera, a video file, a still picture, or a motion recording."""

from __future__ import annotations

# before PyAV, or no window could be opened: see avatar.output
import cv2  # noqa: F401

from avatar.capture.camera import Camera
from avatar.capture.devices import CameraInfo, list_cameras
from avatar.capture.motion_file import MotionRecording, read_motion, write_motion
from avatar.capture.pictures import decode_picture, read_picture
from avatar.capture.recording import Recording
from avatar.capture.sources import Source, check_no_address, names_file, open_source
from avatar.capture.still import StillImage
from avatar.capture.video_file import VIDEO_SUFFIXES, VideoFile

__all__ = [
    "VIDEO_SUFFIXES",
    "Camera",
    "CameraInfo",
    "MotionRecording",
    "Recording",
    "Source",
    "StillImage",
    "VideoFile",
    "check_no_address",
    "decode_picture",
    "list_cameras",
    "names_file",
    "open_source",
    "read_motion",
    "read_picture",
    "write_motion",
]
