"""Pictures at another size, and sharper."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.tools.scaling import sharpened


def test_sharpening_makes_edges_steeper_and_leaves_plain_parts() -> None:
    picture = np.full((20, 20, 3), 100, np.uint8)
    picture[:, 10:] = 160
    picture = np.asarray(cv2.blur(picture, (3, 3)), np.uint8)
    made = sharpened(picture, 0.5)
    assert np.diff(made[10, :, 0].astype(int)).max() > np.diff(picture[10, :, 0].astype(int)).max()
    assert (made[:, :7] == 100).all() and (made[:, 13:] == 160).all()
    assert sharpened(picture, 0) is picture
