"""A browser as the camera: its newest picture, as a source of the live loop."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame

from avatar.records import Frame, Observation
from avatar.tools import clock
from avatar.tools.slot import Slot

QUIET_S = 0.5
"""Without a picture for so long, the loop is told that no face is seen."""
LONG_SIDE = 640
"""Pictures are brought to this length [px] at least, which browsers are asked for."""
SAME_SHAPE = 0.02
"""Width over height that differ by less, in parts, are those of one camera: sides are whole numbers."""


class BrowserCamera:
    """Gives what a browser sends. While it sends nothing, nobody's face is seen, and the run goes on.

    A browser that is short of bandwidth or time sends smaller pictures, and larger ones again later. They
    come out in one size all the same: who drives has not moved, and his calm face need not be learnt anew. A
    picture of another shape is another camera, or a phone that was turned, and has a size of its own.

    Attributes:
        fps: what browsers are asked for.
    """

    fps = 30.0

    def __init__(self) -> None:
        self._slot: Slot[tuple[VideoFrame, int]] = Slot()
        self._index = 0
        self._closed = False
        self._size: tuple[int, int] | None = None

    def take(self, picture: VideoFrame) -> None:
        """Lay in a picture as it comes; never waits."""
        self._slot.put((picture, clock.now_ns()))

    def __call__(self) -> Frame | Observation | None:
        """Wait for the next picture; None once closed."""
        found = self._slot.get(QUIET_S)
        if self._slot.finished or self._closed:
            return None
        self._index += 1
        if found is None:
            return Observation(None, self._index, clock.now_ns())
        picture, came_ns = found
        self._size = width, height = self._size_of(picture.width, picture.height)
        rgb = np.ascontiguousarray(picture.to_ndarray(format="rgb24", width=width, height=height), np.uint8)
        return Frame(rgb, self._index, came_ns)

    def _size_of(self, width: int, height: int) -> tuple[int, int]:
        """Width and height [px] in which a picture is given on: as the last one, if that had its shape."""
        if self._size is not None and abs(width * self._size[1] / (height * self._size[0]) - 1) < SAME_SHAPE:
            return self._size
        larger = max(1.0, LONG_SIDE / max(width, height))
        return round(width * larger), round(height * larger)

    @property
    def dropped(self) -> int:
        """Pictures that nobody fetched in time."""
        return self._slot.dropped

    def close(self) -> None:
        """End; a call that waits in another thread ends too."""
        self._closed = True
        self._slot.close()
