"""An output that shows nothing, for measuring."""

from __future__ import annotations

from avatar.records import Frame


class Null:
    """Takes frames and counts them."""

    constant_rate = False

    def __init__(self) -> None:
        self.frames = 0
        """Frames taken so far."""

    def __call__(self, frame: Frame) -> None:
        """Count one frame."""
        self.frames += 1

    def close(self) -> None:
        """Nothing is held."""
