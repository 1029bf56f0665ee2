"""The inner mouth without a network."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8, Motion, View
from avatar.tools.facemesh import CHIN, FOREHEAD, MOUTH, OUTER_LIPS, OVAL
from avatar.tools.geometry import smoothstep
from avatar.tools.outlines import PARTED, Box, box_around, fill_ring, gap, smooth_ring
from avatar.tools.scaling import resized

SHUT = 0.012
"""Lips parted less than this, in parts of the mouth's width, are shut."""
LINE_GONE = 0.05
"""The painted line of shut lips is gone when they are parted this much, in the same parts."""
LINE_TONE = 0.45
"""Brightness of that line against the lips."""
LINE_WIDTH = 1 / 30
"""Its width in the middle, in parts of the mouth's width."""
DEPTH_TONE = 0.2
"""Brightness of the inner mouth against the lips."""
TEETH_WIDTH = 0.46
"""Half width of the painted row of teeth, in parts of the mouth's width."""
MOUTH_MIN = 0.3
"""A mouth drawn together hides a jaw at least this wide, in heights of the face."""
TEETH_LOW = 0.045
"""How far the upper teeth reach below the line of the shut lips, in the middle, in the same parts."""
TEETH_TONE = 1.0
"""Brightness of painted teeth against the brighter parts of the face,"""
SHADOW = 0.25
"""and what of it is left at the lips, in whose shadow they lie."""
STRETCHED, TORN = 0.5, 1.0
"""Parted lips that open or shut by less than the first, as a logarithm, keep the pixels between them; by more
than the second these are painted."""
PARTING, SPLIT = 0.2, 0.5
"""The same of shut lips, which have no such pixels."""
SLACK = 0.03
"""Added to an opening before its logarithm is taken, in parts of the mouth's width."""
INCISOR = 0.105
"""Width of one front tooth, in parts of the mouth's width."""


class InnerMouth:
    """What opened lips show: dark, and upper teeth, the portrait's own where the picture has them.

    The teeth belong to the skull: they stay with the head while the lips move over them.
    """

    def __init__(self, view: View, side: int) -> None:
        self._side = side
        points = view.landmarks[:, :2] * side - 0.5
        self._ring = list(MOUTH.ring)
        self._gap = gap(view.landmarks, MOUTH)
        self._depth = float(view.landmarks[self._ring, 2].mean())
        texture = resized(view.texture, side)
        lips = points[list(OUTER_LIPS.ring)]
        box = box_around(lips, side, margin=round(float(np.ptp(lips[:, 0])) / 4)) or Box(0, 0, side, side)
        self._at = np.array([box.left, box.top], np.float32)
        width = float(np.linalg.norm(points[MOUTH.upper[0]] - points[MOUTH.upper[-1]]))
        self._soft = max(width / 40, 0.6)
        local = smooth_ring(points[self._ring]) - self._at
        inside = fill_ring(local, box.size)
        skin = fill_ring(smooth_ring(lips) - self._at, box.size) & ~inside
        patch = np.ascontiguousarray(box.of(texture))
        tone = patch[skin > 200].mean(axis=0) if (skin > 200).any() else np.array([150, 90, 85])
        self._dark = (tone * DEPTH_TONE * (1.0, 0.75, 0.75)).astype(np.float32)
        self._line = (tone * LINE_TONE).astype(np.float32)
        self._parted = self._gap > PARTED
        if self._parted:
            keep = cv2.GaussianBlur(cv2.erode(inside, np.ones((3, 3), np.uint8)), (0, 0), self._soft)
            self._teeth = np.dstack([patch, keep]).astype(np.uint8)
        else:
            corners = points[[MOUTH.upper[0], MOUTH.upper[-1]]] - self._at
            least = MOUTH_MIN * float(np.linalg.norm(points[FOREHEAD] - points[CHIN]))
            self._teeth = painted_teeth(box.size, corners, max(width, least), _enamel(view))

    def share(self, relaxed: F32) -> float:
        """How much of the mouth has to be painted, as `OpeningLayer`."""
        stretch = abs(float(np.log((gap(relaxed, MOUTH) + SLACK) / (self._gap + SLACK))))
        own, torn = (STRETCHED, TORN) if self._parted else (PARTING, SPLIT)
        return float(smoothstep((stretch - own) / (torn - own)))

    def box(self, motion: Motion) -> Box | None:
        """The part of the picture that the lips take up."""
        points = motion.landmarks[list(OUTER_LIPS.ring), :2] * self._side - np.float32(0.5)
        return box_around(points, self._side, margin=3)

    def draw(self, picture: U8, motion: Motion) -> None:
        """Draw into `picture` (side, side, 3) what `motion` opens, in place."""
        parted = gap(motion.landmarks, MOUTH)
        if self._parted and parted < LINE_GONE:
            self._draw_line(picture, motion, 1 - parted / LINE_GONE)
        if parted < SHUT:
            return
        points = motion.landmarks[self._ring, :2] * self._side - np.float32(0.5)
        rim = smooth_ring(points)
        box = box_around(rim, self._side, margin=2)
        if box is None:
            return
        corner = np.array([box.left, box.top], np.float32)
        mask = cv2.GaussianBlur(fill_ring(rim - corner, box.size), (0, 0), self._soft * 0.5)
        shown = self._placed(self._teeth, motion, corner, box)
        cover = shown[..., 3:].astype(np.float32) / 255
        inner = self._dark + cover * (shown[..., :3] - self._dark)
        if not self._parted:
            light = cv2.GaussianBlur(mask, (0, 0), max(0.15 * box.size[1], 0.8))[..., None]
            inner = inner * (SHADOW + (1 - SHADOW) / 255 * light)
        part = box.of(picture)
        show = mask[..., None].astype(np.float32) / 255
        part[:] = part + show * (inner - part) + 0.5

    def _draw_line(self, picture: U8, motion: Motion, cover: float) -> None:
        """The line where the lips meet; a picture of parted lips has none."""
        upper, lower = (
            motion.landmarks[list(rim), :2] * self._side - np.float32(0.5)
            for rim in (MOUTH.upper, MOUTH.lower)
        )
        middle = (upper + lower) / 2
        thick = np.zeros_like(middle)
        swell = np.sin(np.linspace(0, np.pi, len(middle), dtype=np.float32))
        thick[:, 1] = swell * LINE_WIDTH / 2 * np.linalg.norm(middle[-1] - middle[0])
        ring = smooth_ring(np.concatenate([middle - thick, (middle + thick)[-2:0:-1]]))
        box = box_around(ring, self._side, margin=3)
        if box is None:
            return
        mask = fill_ring(ring - np.array([box.left, box.top], np.float32), box.size)
        share = cv2.GaussianBlur(mask, (0, 0), self._soft)[..., None] * np.float32(cover / 255)
        part = box.of(picture)
        part[:] = part + share * (self._line - part) + 0.5

    def _placed(self, patch: U8, motion: Motion, corner: F32, box: Box) -> U8:
        """The patch where the head has taken it."""
        turn = motion.head[:2, :2]
        shift = (motion.head[:2, 3] + motion.head[:2, 2] * self._depth) * self._side
        shift = shift + (turn.sum(axis=1) - 1) * np.float32(0.5)
        matrix = np.column_stack([turn, turn @ self._at + shift - corner]).astype(np.float32)
        return np.asarray(cv2.warpAffine(patch, matrix, box.size), np.uint8)


def painted_teeth(size: tuple[int, int], corners: F32, width: float, enamel: F32) -> U8:
    """An upper row of teeth, blurred as teeth in a shadow are, for a portrait that shows none.

    Args:
        size: (width, height) of the patch in pixels.
        corners: (2, 2), the corners of the shut mouth in the patch, pixels.
        width: of the mouth, pixels.
        enamel: (3,), their colour.

    Returns:
        (height, width, 4) uint8: colour and cover.
    """
    along = corners[1] - corners[0]
    along = along / max(float(np.linalg.norm(along)), 1e-3)
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    middle = corners.mean(axis=0)
    across = ((x - middle[0]) * along[0] + (y - middle[1]) * along[1]) / width
    down = ((y - middle[1]) * along[0] - (x - middle[0]) * along[1]) / width
    bow = np.clip(np.abs(across) / TEETH_WIDTH, 0, 1) ** 2
    soft = 0.02
    cover = np.clip((TEETH_LOW * (1 - 1.2 * bow) - down) / soft, 0, 1) * np.clip((1 - bow) / 0.3, 0, 1)
    gaps = np.abs((across / INCISOR + 0.5) % 1 - 0.5)  # 0 between two teeth
    shade = (1 - 0.6 * bow) * (0.95 + 0.05 * np.clip(gaps / 0.25, 0, 1))
    colour = enamel * shade[..., None]
    return np.dstack([np.clip(colour, 0, 255), cover * 255]).astype(np.uint8)


def _enamel(view: View) -> F32:
    """The colour of teeth in the light of this picture: that of the brighter skin, with less colour."""
    side = view.texture.shape[0]
    outline = view.landmarks[list(OVAL), :2] * side - np.float32(0.5)
    face = view.texture[fill_ring(outline, (side, side)) > 200].astype(np.float32)
    bright = np.percentile(face, 80, axis=0) if len(face) else np.array([200.0, 190.0, 180.0])
    grey = bright.mean()
    return np.asarray(TEETH_TONE * (0.3 * grey + 0.7 * bright), np.float32)
