"""The person's matte: a segmenter's soft blob, made sane with the face and refined to the picture's edges.

The refinement is closed-form matting: in every small window the matte is a linear function of the colour
(Levin et al. 2008), with the large windows and the box-filter product of He et al. 2010. The segmenter's answer
is a weak prior in the band round the outline, so that dark hair on a dark wall stays what it was taken for.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8

_WORK = 512
"""Side at which the matte is solved; larger crops are matted there and refined once at their own size."""
_RADIUS = 3
"""Half width of the colour windows, pixels at `_WORK`."""
_EPSILON = 1e-5
"""Variance of colour (0..1) below which a window counts as flat."""
_PRIOR = 0.01
"""Weight of the segmenter in the band, against 1 for the colour model."""
_CERTAIN = 50.0
"""Weight of the known inside and outside."""
_STEPS = 60
_SMALL_HOLE = 0.006
"""Holes in the person up to this part of the crop are the segmenter's mistakes."""


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
    work = min(side, _WORK)
    if work < side:
        small = np.asarray(cv2.resize(rgb, (work, work), interpolation=cv2.INTER_AREA), np.uint8)
        guess = np.asarray(cv2.resize(person, (work, work), interpolation=cv2.INTER_AREA), np.float32)
    else:
        small, guess = rgb, person
    prior = subject(guess, landmarks)
    matte = _solve(small, prior, landmarks)
    if work < side:
        large = np.asarray(cv2.resize(matte, (side, side), interpolation=cv2.INTER_CUBIC), np.float32).clip(
            0, 1
        )
        radius = max(2, round(2 * side / work))
        guided = _Windows(rgb, radius).smooth(large)
        band = cv2.GaussianBlur(((large > 0.02) & (large < 0.98)).astype(np.float32), (0, 0), radius)
        matte = large + np.minimum(2 * band, 1) * (guided - large)
    matte = np.clip((matte - 0.04) / 0.92, 0, 1)
    return np.asarray(np.maximum(matte, _face(side, landmarks, 0.92)), np.float32)


def subject(person: F32, landmarks: F32) -> F32:
    """The probability of the one person with the face: others removed, holes filled, face and neck forced.

    Where the segmenter has not seen this person at all, a head-and-shoulders shape round the face stands in.
    """
    side = person.shape[0]
    face = _face(side, landmarks, 0.95)
    inside = person[face > 0.5]
    seen = float(inside.mean()) if inside.size else 0.0
    if seen < 0.5 or float(person.mean()) > 0.97:
        person = _bust(side, landmarks)
    person = np.maximum(person, np.maximum(face, _neck(side, landmarks)))
    solid = (person > 0.5).astype(np.uint8)
    _, labels = cv2.connectedComponents(solid, connectivity=4)
    own = labels == np.bincount(labels[(face > 0.5) & (solid > 0)].ravel(), minlength=1).argmax()
    own = _closed(own)
    near = cv2.dilate(own.astype(np.uint8), _disc(0.03 * side))
    soft = np.where(near > 0, person, 0)
    return np.asarray(np.where(own, np.maximum(soft, (solid == 0) * 0.99), soft), np.float32)


def _closed(own: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~own).astype(np.uint8), connectivity=4)
    limit = _SMALL_HOLE * own.size
    for label in range(1, count):
        left, top, width, height, area = stats[label]
        at_border = left == 0 or top == 0 or left + width == own.shape[1] or top + height == own.shape[0]
        if area <= limit and not at_border:
            own = own | (labels == label)
    return own


def _solve(rgb: U8, prior: F32, landmarks: F32) -> F32:
    """Closed-form matting by conjugate gradients, started from the prior."""
    side = rgb.shape[0]
    sure_in = cv2.erode((prior > 0.95).astype(np.uint8), _disc(0.018 * side), borderValue=1) > 0
    sure_in |= _face(side, landmarks, 0.92) > 0.5
    sure_out = cv2.erode((prior < 0.05).astype(np.uint8), _disc(0.03 * side), borderValue=1) > 0
    known = sure_in | sure_out
    weight = np.where(known, _CERTAIN, _PRIOR).astype(np.float32)
    target = np.where(sure_in, 1, np.where(sure_out, 0, prior)).astype(np.float32)
    windows = _Windows(rgb, max(1, round(_RADIUS * side / _WORK)))
    precondition = np.float32(1) / (1 + weight)
    matte = target.copy()
    residual = weight * target - (windows.laplacian(matte) + weight * matte)
    direction = precondition * residual
    power = float((residual * direction).sum())
    for _ in range(_STEPS):
        if power < 1e-4:
            break
        image = windows.laplacian(direction) + weight * direction
        step = power / max(float((direction * image).sum()), 1e-12)
        matte = matte + np.float32(step) * direction
        residual = residual - np.float32(step) * image
        conditioned = precondition * residual
        power, last = float((residual * conditioned).sum()), power
        direction = conditioned + np.float32(power / last) * direction
    return np.asarray(matte.clip(0, 1), np.float32)


class _Windows:
    """Linear fits of a matte to the colours of a picture, in a square window round every pixel."""

    def __init__(self, rgb: U8, radius: int) -> None:
        self._colour = rgb.astype(np.float32) / np.float32(255)
        self._size = (2 * radius + 1, 2 * radius + 1)
        self._mean = self._box(self._colour)
        products = self._box(
            self._colour[..., :, None].repeat(3, 3).reshape(*rgb.shape[:2], 9) * np.tile(self._colour, 3)
        )
        covariance = (
            products.reshape(*rgb.shape[:2], 3, 3) - self._mean[..., :, None] * self._mean[..., None, :]
        )
        covariance += np.eye(3, dtype=np.float32) * _EPSILON
        self._inverse = np.linalg.inv(covariance).astype(np.float32)

    def smooth(self, matte: F32) -> F32:
        """The mean of all windows' fits at every pixel: one pass of the guided filter."""
        mean = self._box(matte)
        together = self._box(self._colour * matte[..., None]) - self._mean * mean[..., None]
        slope = np.einsum("hwij,hwj->hwi", self._inverse, together)
        offset = mean - (slope * self._mean).sum(2)
        fits = self._box(np.dstack([slope, offset]))
        return np.asarray((fits[..., :3] * self._colour).sum(2) + fits[..., 3], np.float32)

    def laplacian(self, matte: F32) -> F32:
        """What is left of a matte when its fits are taken off: 0 where it is linear in the colours."""
        return matte - self.smooth(matte)

    def _box(self, values: F32) -> F32:
        return np.asarray(_box_many(values, self._size), np.float32)


def _box_many(values: F32, size: tuple[int, int]) -> F32:
    if values.ndim == 3 and values.shape[2] > 4:
        parts = [
            cv2.blur(np.ascontiguousarray(values[..., i : i + 3]), size) for i in range(0, values.shape[2], 3)
        ]
        return np.dstack(parts).astype(np.float32)
    return np.asarray(cv2.blur(np.ascontiguousarray(values), size), np.float32)


def _points(side: int, landmarks: F32) -> F32:
    return landmarks[:, :2] * np.float32(side)


def _face(side: int, landmarks: F32, scale: float) -> F32:
    """The face's hull, shrunk about its middle; 0 or 1."""
    points = _points(side, landmarks)
    middle = points.mean(0)
    hull = cv2.convexHull((middle + scale * (points - middle)).astype(np.int32))
    return _filled(side, np.asarray(hull, np.int32))


def _frame_of_face(landmarks: F32, side: int) -> tuple[F32, F32, F32, float]:
    """Chin, unit vectors right and down of the face in the picture, and half its width, pixels."""
    points = _points(side, landmarks)
    brow, chin = points[10], points[152]
    down = (chin - brow) / max(float(np.linalg.norm(chin - brow)), 1e-6)
    across = np.array([down[1], -down[0]], np.float32)
    along = (points[:468] - chin) @ across
    return chin, across, down, float(np.ptp(along)) / 2


def _neck(side: int, landmarks: F32) -> F32:
    """A narrow strip from inside the face to a little below the chin."""
    chin, across, down, half = _frame_of_face(landmarks, side)
    wide = 0.3 * half * across
    ends = [chin - half * down, chin + 0.25 * half * down]
    return _filled(
        side, np.array([ends[0] - wide, ends[0] + wide, ends[1] + wide, ends[1] - wide]).astype(np.int32)
    )


def _bust(side: int, landmarks: F32) -> F32:
    """A soft head-and-shoulders shape."""
    chin, across, down, half = _frame_of_face(landmarks, side)
    points = _points(side, landmarks)
    height = float(np.linalg.norm(points[10] - chin))
    middle = chin - 0.62 * height * down + (points[:468].mean(0) - chin) @ across * across
    angle = float(np.degrees(np.arctan2(down[1], down[0])))
    shape = np.zeros((side, side), np.uint8)
    axes = round(0.85 * height), round(max(1.25 * half, 0.6 * height))
    cv2.ellipse(shape, (round(float(middle[0])), round(float(middle[1]))), axes, angle, 0, 360, 1, -1)
    body = [
        (-0.7, -0.6),
        (-0.7, 0.35),
        (-2.4, 0.95),
        (-3.2, 6),
        (3.2, 6),
        (2.4, 0.95),
        (0.7, 0.35),
        (0.7, -0.6),
    ]
    upright = np.array([0, 1], np.float32)
    corners = np.array([chin + x * half * np.array([1, 0], np.float32) + y * half * upright for x, y in body])
    shape = np.maximum(shape, _filled(side, corners.astype(np.int32)).astype(np.uint8))
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), max(0.8, 0.012 * side))
    return np.asarray(soft, np.float32)


def _filled(side: int, polygon: NDArray[np.int32]) -> F32:
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [polygon], 1)
    return mask.astype(np.float32)


def _disc(radius: float) -> U8:
    reach = max(1, round(radius))
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1)), np.uint8)
