"""The person's matte: a segmenter's soft blob refined to the picture's edges.

Closed-form matting: in every small window the matte is a linear function of the colour (Levin et al. 2008),
with the large windows and the box-filter product of He et al. 2010. The segmenter's answer is a weak prior in
the band round the outline, so that dark hair on a dark wall stays what it was taken for.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.identity.subject import disc, face_shape, subject
from avatar.records import F32, U8

F64 = NDArray[np.float64]

_SIDES = (128, 256, 512)
"""The matte is solved at these sides, each starting from the one before; a larger crop is refined once."""
_STEPS = (80, 40, 30)
"""Conjugate gradient steps at each side."""
_INWARD, _OUTWARD = 0.014, 0.022
"""Width of the band left open inside and outside of what the segmenter is sure of, parts of the crop."""
_RADIUS = 3
"""Half width of the colour windows, pixels."""
_EPSILON = 1e-5
"""Variance of colour (0..1) below which a window counts as flat."""
_PRIOR = 0.01
"""Weight of a segmenter that is sure, in the band, against 1 for the colour model."""
_CERTAIN = 50.0
"""Weight of the known inside and outside."""
_SOLVED = 1e-5
"""Squared residual of the whole matte at which it is good enough."""
_LOOSE = 0.04
"""Mattes this near to 0 or 1 become 0 or 1: a faint veil over the wall would move with the head."""


def person_matte(rgb: U8, landmarks: F32, person: F32) -> F32:
    """Refine a segmenter's probability to a matte.

    Args:
        rgb: (S, S, 3) uint8, the head crop.
        landmarks: (478, 3) float32, crop units.
        person: (S, S) float32 0..1.

    Returns:
        (S, S) float32, 0 wall .. 1 person, of one connected person who has that face.
    """
    side = rgb.shape[0]
    prior = subject(rgb, person, landmarks)
    matte: F32 | None = None
    for at, steps in zip(_SIDES, _STEPS, strict=True):
        if at <= side or matte is None:
            at = min(at, side)
            start = None if matte is None else _resized(matte, at).clip(0, 1)
            matte = _solve(_resized_rgb(rgb, at), _resized(prior, at), landmarks, start, steps)
    assert matte is not None
    if matte.shape[0] != side:
        matte = _enlarged(matte, rgb)
    matte = np.clip((matte - _LOOSE) / (1 - 2 * _LOOSE), 0, 1)
    return np.maximum(matte, face_shape(side, landmarks, 0.92)).astype(np.float32)


def _solve(rgb: U8, prior: F32, landmarks: F32, start: F32 | None, steps: int) -> F32:
    """Closed-form matting by preconditioned conjugate gradients."""
    side = rgb.shape[0]
    sure_in = cv2.erode((prior > 0.95).astype(np.uint8), disc(_INWARD * side), borderValue=1) > 0
    sure_in |= face_shape(side, landmarks, 0.92) > 0.5
    sure_out = cv2.erode((prior < 0.05).astype(np.uint8), disc(_OUTWARD * side), borderValue=1) > 0
    sure_out &= ~sure_in
    certain = sure_in | sure_out
    target: F64 = np.where(sure_in, 1.0, np.where(sure_out, 0.0, prior))
    weight: F64 = np.where(certain, _CERTAIN, _PRIOR * (2 * prior - 1.0) ** 2)
    matte: F64 = target if start is None else np.where(certain, target, start)
    windows = Windows(rgb, _RADIUS)
    residual = weight * target - (windows.misfit(matte) + weight * matte)
    direction = residual / (1 + weight)
    power = float((residual * direction).sum())
    for _ in range(steps):
        if power < _SOLVED:
            break
        image = windows.misfit(direction) + weight * direction
        step = power / float((direction * image).sum())
        matte = matte + step * direction
        residual = residual - step * image
        conditioned = residual / (1 + weight)
        power, last = float((residual * conditioned).sum()), power
        direction = conditioned + power / last * direction
    return matte.clip(0, 1).astype(np.float32)


def _enlarged(matte: F32, rgb: U8) -> F32:
    """A matte brought to the side of `rgb`, its soft parts fitted to the finer picture."""
    side = rgb.shape[0]
    large = _resized(matte, side).clip(0, 1)
    radius = max(2, round(2 * side / matte.shape[0]))
    soft = ((large > 0.02) & (large < 0.98)).astype(np.float32)
    band = np.minimum(2 * cv2.GaussianBlur(soft, (0, 0), radius), 1)
    return np.asarray(large + band * (Windows(rgb, radius).fit(large.astype(np.float64)) - large), np.float32)


def _resized(values: F32, side: int) -> F32:
    how = cv2.INTER_AREA if side < values.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (side, side), interpolation=how), np.float32)


def _resized_rgb(rgb: U8, side: int) -> U8:
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


class Windows:
    """Linear fits of a matte to the colours of a picture, in a square window round every pixel.

    float64 throughout: in flat and in grey windows the covariance is nearly singular.
    """

    def __init__(self, rgb: U8, radius: int) -> None:
        """Prepare for one picture, (H, W, 3) uint8, and windows of 2 * radius + 1 pixels."""
        colour = rgb.astype(np.float64) / np.float64(255)
        self._size = (2 * radius + 1, 2 * radius + 1)
        self._colour = [np.ascontiguousarray(colour[..., c]) for c in range(3)]
        self._mean = [self._box(c) for c in self._colour]
        self._inverse = self._inverted()

    def _inverted(self) -> list[list[F64]]:
        """The inverse of each window's 3x3 colour covariance, as planes."""
        c, m = self._colour, self._mean
        pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
        eps = np.float64(_EPSILON)
        rr, rg, rb, gg, gb, bb = (self._box(c[i] * c[j]) - m[i] * m[j] + eps * (i == j) for i, j in pairs)
        a, b, d = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        e, f, g = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
        scale = 1 / np.maximum(rr * a + rg * b + rb * d, np.float64(1e-20))
        a, b, d, e, f, g = (plane * scale for plane in (a, b, d, e, f, g))
        return [[a, b, d], [b, e, f], [d, f, g]]

    def fit(self, matte: F64) -> F64:
        """The mean of all windows' fits at every pixel: one pass of the guided filter."""
        mean = self._box(matte)
        along = [self._box(c * matte) - m * mean for c, m in zip(self._colour, self._mean, strict=True)]
        result = mean
        fits: F64 | None = None
        for row, colour, middle in zip(self._inverse, self._colour, self._mean, strict=True):
            slope = row[0] * along[0] + row[1] * along[1] + row[2] * along[2]
            result = result - slope * middle
            part = self._box(slope) * colour
            fits = part if fits is None else fits + part
        assert fits is not None
        return fits + self._box(result)

    def misfit(self, matte: F64) -> F64:
        """What the fits leave of a matte (the matting Laplacian's product): 0 where linear in the colours."""
        return matte - self.fit(matte)

    def _box(self, values: F64) -> F64:
        return np.asarray(cv2.blur(values, self._size), np.float64)
