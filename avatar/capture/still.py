"""A still picture in the place of a camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.capture.pictures import read_picture
from avatar.capture.timetable import Ticks
from avatar.records import Frame


class StillImage:
    """One picture again and again, as a camera that nothing moves in front of. It never ends.

    Args:
        picture: a file, or (H, W, 3) uint8 RGB.
        fps: frames a second.
        paced: False gives frames as fast as asked for.

    Raises:
        PictureError: the file cannot be read.
        ValueError: the array is not a picture.
    """

    def __init__(self, picture: str | Path | NDArray[Any], fps: float = 30.0, *, paced: bool = True) -> None:
        rgb: NDArray[Any] = read_picture(picture) if isinstance(picture, str | Path) else picture
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"a picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
        self.fps = fps
        self.size = (rgb.shape[1], rgb.shape[0])
        self._rgb = np.ascontiguousarray(rgb)
        self._ticks = Ticks(fps, paced=paced, total=None)

    def __call__(self) -> Frame | None:
        """Give the picture when the next frame is due; None once closed."""
        tick = self._ticks()
        return Frame(self._rgb, *tick) if tick else None

    @property
    def dropped(self) -> int:
        """Frames that nobody fetched in time."""
        return self._ticks.dropped

    def close(self) -> None:
        """End; a call that waits in another thread ends too."""
        self._ticks.closed = True
