"""What the other side sends, for the person at this computer: a picture in a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import cv2
import numpy as np
from av.video.frame import VideoFrame

from avatar.records import U8, Frame

INSET = 0.25
"""Part of the window's width that one's own avatar takes up."""
GREY = 32


class Shown(Protocol):
    """A window: `avatar.output.Window`."""

    closed: bool

    def __call__(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class GuestWindow:
    """An output of the live loop that shows who one talks to, and one's own avatar small in a corner.

    Args:
        window: where it is drawn.
        newest: gives the other side's newest picture; None while there is none.
    """

    constant_rate = False
    main_thread = True

    def __init__(self, window: Shown, newest: Callable[[], VideoFrame | None]) -> None:
        self._window, self._newest = window, newest

    @property
    def closed(self) -> bool:
        """Whether the user closed the window."""
        return self._window.closed

    def __call__(self, frame: Frame) -> None:
        """Draw both."""
        picture = self._newest()
        rgb = np.full_like(frame.rgb, GREY) if picture is None else picture.to_ndarray(format="rgb24")
        self._window(Frame(with_inset(np.asarray(rgb, np.uint8), frame.rgb), frame.index, frame.captured_ns))

    def close(self) -> None:
        """Take the window away."""
        self._window.close()


def with_inset(picture: U8, small: U8) -> U8:
    """`picture` with `small`, scaled down, in its lower right corner; a new array."""
    height, width = picture.shape[:2]
    side = max(1, round(width * INSET))
    tall = max(1, min(height, round(side * small.shape[0] / small.shape[1])))
    drawn = picture.copy()
    drawn[height - tall :, width - side :] = cv2.resize(small, (side, tall), interpolation=cv2.INTER_AREA)
    return drawn
