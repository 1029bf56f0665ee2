"""Where finished frames go: a virtual camera, a window, an mp4 file, or nowhere."""

from __future__ import annotations

from avatar.output.video_writer import VideoWriter

__all__ = ["VideoWriter"]
