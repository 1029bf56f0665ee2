"""Where frames come from: a camera, a video file, a still picture, or a motion recording."""

from __future__ import annotations

from avatar.capture.motion_file import MotionRecording, read_motion, write_motion
from avatar.capture.pictures import read_picture
from avatar.capture.video_file import VideoFile

__all__ = ["MotionRecording", "VideoFile", "read_motion", "read_picture", "write_motion"]
