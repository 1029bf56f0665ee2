"""Picks the source that a word on the command line means."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from avatar.capture.camera import Camera
from avatar.capture.pictures import PICTURE_SUFFIXES
from avatar.capture.recording import Recording
from avatar.capture.still import StillImage
from avatar.capture.video_file import VIDEO_SUFFIXES, Loop, VideoFile
from avatar.errors import VideoError

Source: TypeAlias = Camera | VideoFile | StillImage | Recording

MOTION_SUFFIX = ".motion"
_FILE_SUFFIXES = VIDEO_SUFFIXES | PICTURE_SUFFIXES | {MOTION_SUFFIX, ".heic", ".heif"}


def open_source(
    spec: str,
    *,
    backend: str | None = None,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    paced: bool = True,
    loop: Loop = False,
) -> Source:
    """Open a source of frames, or of observations.

    Args:
        spec: a camera's index, name or device; or a video, a picture or a .motion file.
        backend: for cameras.
        size: (width, height) that cameras are asked for and videos are scaled to; else not used.
        fps: frame rate that cameras are asked for and videos are converted to; that of a still picture.
        paced: for files: real time, or as fast as asked for.
        loop: for videos and recordings.

    Raises:
        CameraError, VideoError, PictureError, MotionFileError: it cannot be opened.
    """
    check_no_address(spec)
    if not names_file(spec):
        return Camera(spec, backend=backend, size=size, fps=fps)
    path = Path(spec)
    suffix = path.suffix.lower()
    if suffix == MOTION_SUFFIX:
        return Recording(path, paced=paced, loop=loop)
    if suffix in PICTURE_SUFFIXES or suffix in (".heic", ".heif"):
        return StillImage(path, fps or 30.0, paced=paced)
    return VideoFile(path, paced=paced, loop=loop, size=size, fps=fps)


def check_no_address(spec: str) -> None:
    """Raise VideoError if that is the address of a stream."""
    if "://" in spec:
        raise VideoError(f"{spec}: addresses are not read, only cameras and files")


def names_file(spec: str) -> bool:
    """Whether `open_source` takes that for the name of a file, be it there or not; else it is a camera's."""
    if "://" in spec or spec.strip().isdecimal() or spec.startswith("/dev/video"):
        return False
    path = Path(spec)
    return path.is_file() or path.suffix.lower() in _FILE_SUFFIXES or len(path.parts) > 1
