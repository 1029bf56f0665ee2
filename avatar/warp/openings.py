"""Eyes and mouth: the skin without what shows through it, and when that is needed.

A face that is like the view's keeps the pixels of its eyes and its mouth: nothing painted is as good. Where
lids, lips or gaze have gone far from the view's, stretched pixels tear; there the skin is continued over the
opening, so that shut lids and lips drag neither iris nor teeth along, and what shows is painted anew.
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from avatar.records import F32, U8, Motion
from avatar.tools.facemesh import EYES, MOUTH, Opening
from avatar.tools.outlines import PARTED, Box, box_around, fill_ring, gap, smooth_ring


class OpeningLayer(Protocol):
    """What shows through one opening of the skin, painted anew."""

    def share(self, relaxed: F32) -> float:
        """How much of it has to be painted, 0..1; 0 where the view's own pixels do.

        Args:
            relaxed: (478, 3), crop units of the view: the wanted face in the head's place in the view.
        """

    def box(self, motion: Motion) -> Box | None:
        """The part of the picture it paints on; None if that lies outside."""

    def draw(self, picture: U8, motion: Motion) -> None:
        """Paint it into `picture` (side, side, 3), in place."""


def without_openings(texture: U8, landmarks: F32) -> U8:
    """Eyes and parted lips filled from the lids and the lips.

    Args:
        texture: (S, S, 3).
        landmarks: (478, 3), crop units, where the openings are.

    Returns:
        (S, S, 4): colours, and how much they cover those of `texture`.
    """
    filled = np.dstack([texture, np.zeros(texture.shape[:2], np.uint8)])
    for eye in EYES:
        _fill(filled, landmarks, eye)
    if gap(landmarks, MOUTH) > PARTED:
        _fill(filled, landmarks, MOUTH)
    return filled


def lay_over(below: U8, above: U8) -> None:
    """Lay colours with their cover (H, W, 4) over `below` (H, W, 3), in place."""
    share = above[..., 3:].astype(np.float32) / np.float32(255)
    below[:] = below + share * (above[..., :3].astype(np.float32) - below) + np.float32(0.5)


def _fill(filled: U8, landmarks: F32, opening: Opening) -> None:
    side = filled.shape[0]
    ring = smooth_ring(landmarks[list(opening.ring), :2] * side - np.float32(0.5))
    width = float(np.ptp(ring[:, 0]))
    box = box_around(ring, side, margin=max(4, round(width / 4)))
    if box is None:
        return
    part = box.of(filled)
    inside = fill_ring(ring - np.array([box.left, box.top], np.float32), box.size)
    reach = max(1, round(width / 40))
    hole = cv2.dilate(np.where(inside > 60, 255, 0).astype(np.uint8), np.ones((2 * reach + 1,) * 2, np.uint8))
    part[..., :3] = cv2.inpaint(np.ascontiguousarray(part[..., :3]), hole, 3, cv2.INPAINT_TELEA)
    cover = cv2.GaussianBlur(hole, (0, 0), max(0.5, reach / 2))
    part[..., 3] = np.where(inside > 60, 255, cover)
