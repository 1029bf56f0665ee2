"""The skin without what shows through it, so that shut lids and lips drag neither iris nor teeth along."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8
from avatar.tools.facemesh import EYES, MOUTH, Opening
from avatar.tools.outlines import PARTED, box_around, fill_ring, gap, smooth_ring


def without_openings(texture: U8, landmarks: F32) -> U8:
    """The picture with eyes and parted lips filled from the lids and the lips.

    Args:
        texture: (S, S, 3).
        landmarks: (478, 3), crop units, where the openings are.
    """
    filled = texture.copy()
    for eye in EYES:
        _fill(filled, landmarks, eye)
    if gap(landmarks, MOUTH) > PARTED:
        _fill(filled, landmarks, MOUTH)
    return filled


def _fill(texture: U8, landmarks: F32, opening: Opening) -> None:
    side = texture.shape[0]
    ring = smooth_ring(landmarks[list(opening.ring), :2] * side - np.float32(0.5))
    width = float(np.ptp(ring[:, 0]))
    box = box_around(ring, side, margin=max(4, round(width / 4)))
    if box is None:
        return
    part = box.of(texture)
    inside = fill_ring(ring - np.array([box.left, box.top], np.float32), box.size)
    reach = max(1, round(width / 40))
    hole = cv2.dilate(np.where(inside > 60, 255, 0).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
    healed = np.asarray(cv2.inpaint(part, hole, 3, cv2.INPAINT_TELEA), np.float32)
    soft = cv2.GaussianBlur(hole, (0, 0), max(0.5, reach / 2))[..., None].astype(np.float32) / 255
    soft[inside > 60] = 1
    part[:] = np.clip(part + soft * (healed - part) + 0.5, 0, 255).astype(np.uint8)
