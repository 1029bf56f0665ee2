"""The generate stage without a network: the warp, a plain inner mouth, and the background behind."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8, Identity, Motion, Portrait, Warped
from avatar.tools.facemesh import MOUTH, OUTER_LIPS
from avatar.tools.outlines import Box, box_around, fill_ring, gap, smooth_ring
from avatar.tools.scaling import resized

SHUT = 0.012
"""Lips parted less than this, in parts of the mouth's width, are shut."""
SHOWS_TEETH = 0.05
"""Lips of the portrait parted more than this show something worth keeping."""
DEPTH_TONE = 0.2
"""Brightness of the inner mouth against the lips."""


class WarpGenerator:
    """Warped pixels to a finished portrait, with nothing learnt.

    Args:
        identity: who.
        side: side S of the portrait in pixels.
    """

    def __init__(self, identity: Identity, side: int) -> None:
        self._side = side
        self._plate = resized(identity.plate, side)
        self._mouth = InnerMouth(identity, side)
        self._cover = np.empty((side, side), np.float32)
        self._rest = np.empty((side, side), np.float32)
        self._byte = np.float32(1 / 255)

    def __call__(self, warped: Warped, motion: Motion) -> Portrait:
        """Finish one portrait."""
        np.multiply(warped.alpha, self._byte, out=self._cover)
        np.subtract(1, self._cover, out=self._rest)
        rgb = np.asarray(cv2.blendLinear(warped.person, self._plate, self._cover, self._rest), np.uint8)
        self._mouth.draw(rgb, motion)
        return Portrait(rgb=rgb)


class InnerMouth:
    """What opened lips show: dark, and the portrait's own teeth where the picture has them.

    The teeth belong to the skull: they stay with the head while the lips move over them.
    """

    def __init__(self, identity: Identity, side: int) -> None:
        self._side = side
        points = identity.landmarks[:, :2] * side - 0.5
        self._ring = list(MOUTH.ring)
        self._depth = float(identity.landmarks[self._ring, 2].mean())
        texture = resized(identity.texture, side)
        lips = points[list(OUTER_LIPS.ring)]
        box = box_around(lips, side, margin=2) or Box(0, 0, side, side)
        self._at = np.array([box.left, box.top], np.float32)
        width = float(np.linalg.norm(points[MOUTH.upper[0]] - points[MOUTH.upper[-1]]))
        self._soft = max(width / 40, 0.6)
        local = smooth_ring(points[self._ring]) - self._at
        inside = fill_ring(local, box.size)
        skin = fill_ring(smooth_ring(lips) - self._at, box.size) & ~inside
        patch = np.ascontiguousarray(box.of(texture))
        tone = patch[skin > 200].mean(axis=0) if (skin > 200).any() else np.array([150, 90, 85])
        self._dark = (tone * DEPTH_TONE * (1.0, 0.75, 0.75)).astype(np.float32)
        self._teeth: U8 | None = None
        if gap(identity.landmarks, MOUTH) > SHOWS_TEETH:
            keep = cv2.GaussianBlur(cv2.erode(inside, np.ones((3, 3), np.uint8)), (0, 0), self._soft)
            self._teeth = np.dstack([patch, keep])

    def draw(self, picture: U8, motion: Motion) -> None:
        """Draw into `picture` (side, side, 3) what `motion` opens, in place."""
        if gap(motion.landmarks, MOUTH) < SHUT:
            return
        points = motion.landmarks[self._ring, :2] * self._side - np.float32(0.5)
        rim = smooth_ring(points)
        box = box_around(rim, self._side, margin=2)
        if box is None:
            return
        corner = np.array([box.left, box.top], np.float32)
        mask = cv2.GaussianBlur(fill_ring(rim - corner, box.size), (0, 0), self._soft * 0.5)
        inner = np.broadcast_to(self._dark, (box.size[1], box.size[0], 3)).astype(np.float32)
        if self._teeth is not None:
            shown = self._placed(self._teeth, motion, corner, box)
            cover = shown[..., 3:].astype(np.float32) / 255
            inner = inner + cover * (shown[..., :3] - inner)
        part = box.of(picture)
        show = mask[..., None].astype(np.float32) / 255
        part[:] = part + show * (inner - part) + 0.5

    def _placed(self, patch: U8, motion: Motion, corner: F32, box: Box) -> U8:
        """The patch where the head has taken it."""
        turn = motion.head[:2, :2]
        shift = (motion.head[:2, 3] + motion.head[:2, 2] * self._depth) * self._side
        shift = shift + (turn.sum(axis=1) - 1) * np.float32(0.5)
        matrix = np.column_stack([turn, turn @ self._at + shift - corner]).astype(np.float32)
        return np.asarray(cv2.warpAffine(patch, matrix, box.size), np.uint8)
