"""Square pictures at another size, and sharper."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import U8


def resized(picture: U8, side: int) -> U8:
    """A square picture (S, S, ...) at `side` pixels; the picture itself if that is its size."""
    if picture.shape[0] == side:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def sharpened(picture: U8, amount: float) -> U8:
    """A picture (H, W, C) plus `amount` times what a blur of 3 x 3 pixels takes from it (unsharp mask)."""
    if amount == 0:
        return picture
    blurred = cv2.blur(picture, (3, 3))
    return np.asarray(cv2.addWeighted(picture, 1 + amount, blurred, -amount, 0), np.uint8)
