"""The avatar on the control page: an output that costs nothing while nobody looks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from avatar.control.feed import Feed
from avatar.control.gallery import jpeg
from avatar.control.stage import Stage
from avatar.records import U8, Frame

WIDEST = 1280
"""Wider frames are scaled down [px]."""
QUALITY = 82


class Preview:
    """Keeps the newest frame for the page.

    Args:
        stage: what plays; it knows how its frames look in a mirror.
        driver: the feed of what the camera sees: who looks at that one wants the run to go on, too.

    Attributes:
        mirror: whether frames are shown as in a mirror.
        feed: of the frames.
    """

    constant_rate = False

    def __init__(self, stage: Stage, driver: Feed[Any] | None = None) -> None:
        self.mirror = True
        self.feed: Feed[Frame] = Feed(self._packed)
        self._stage = stage
        self._driver = driver

    @property
    def wanted(self) -> bool:
        """Whether anybody looks, here or at the driver."""
        return self.feed.watched or (self._driver is not None and self._driver.watched)

    def __call__(self, frame: Frame) -> None:
        """Keep one frame."""
        self.feed.put(frame)

    def close(self) -> None:
        """Nothing is held."""

    def _packed(self, frame: Frame) -> bytes:
        shown = self._stage.as_in_mirror(frame) if self.mirror else frame.rgb
        return jpeg(narrowed(shown, WIDEST), QUALITY)


def narrowed(rgb: U8, widest: int) -> U8:
    """A picture scaled down to `widest` pixels, if it is wider."""
    height, width = rgb.shape[:2]
    if width <= widest:
        return rgb
    size = (widest, max(1, round(height * widest / width)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
