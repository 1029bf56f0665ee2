"""A browser as the camera: its newest picture, as a source of the live loop."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame

from avatar.records import Frame, Observation
from avatar.tools import clock
from avatar.tools.slot import Slot

QUIET_S = 0.5
"""Without a picture for so long, the loop is told that no face is seen."""


class BrowserCamera:
    """Gives what a browser sends. While it sends nothing, nobody's face is seen, and the run goes on.

    Attributes:
        fps: what browsers are asked for.
    """

    fps = 30.0

    def __init__(self) -> None:
        self._slot: Slot[tuple[VideoFrame, int]] = Slot()
        self._index = 0
        self._closed = False

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
        rgb = np.ascontiguousarray(picture.to_ndarray(format="rgb24"), np.uint8)
        return Frame(rgb, self._index, came_ns)

    @property
    def dropped(self) -> int:
        """Pictures that nobody fetched in time."""
        return self._slot.dropped

    def close(self) -> None:
        """End; a call that waits in another thread ends too."""
        self._closed = True
        self._slot.close()
