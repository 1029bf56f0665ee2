"""Picks the output that a word on the command line means."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from avatar.errors import OutputError
from avatar.output.null import Null
from avatar.output.pipewire_camera import PipeWireCamera
from avatar.output.video_writer import VideoWriter
from avatar.output.virtual_camera import VirtualCamera
from avatar.output.window import Window

Output: TypeAlias = VideoWriter | Window | VirtualCamera | PipeWireCamera | Null


def open_output(spec: str, *, fps: float, size: tuple[int, int], mirror: bool = True) -> Output:
    """Open an output.

    Args:
        spec: virtualcam, pipewire, window, null, or a file that ends in .mp4. virtualcam:DEVICE names the
            device.
        fps: frames a second.
        size: (width, height) of the frames.
        mirror: show the window mirrored; nothing else ever is.

    Raises:
        OutputError: it cannot be opened, or `spec` means nothing.
    """
    if spec == "virtualcam":
        return VirtualCamera(fps, size)
    if spec.startswith("virtualcam:"):
        return VirtualCamera(fps, size, spec.removeprefix("virtualcam:"))
    if spec == "pipewire":
        return PipeWireCamera(fps, size)
    if spec == "window":
        return Window(mirror=mirror)
    if spec == "null":
        return Null()
    if Path(spec).suffix.lower() == ".mp4":
        return VideoWriter(spec, fps, size)
    raise OutputError(
        f"{spec!r} is no output: take virtualcam, pipewire, window, null, or a file that ends in .mp4"
    )
