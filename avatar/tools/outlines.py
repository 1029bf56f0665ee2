"""Cuts in the face drawn at output resolution: smooth closed lines and their soft masks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32, U8
from avatar.tools.facemesh import Opening

_Number = TypeVar("_Number", np.uint8, np.float32)

PARTED = 0.05
"""Lips of a portrait parted more than this (see `gap`) show an inner mouth; others show their own line."""

SUPERSAMPLE = 4
"""Points of a smoothed line per landmark."""

_SHIFT = 4
_SUB = 1 << _SHIFT


@dataclass(frozen=True, slots=True)
class Box:
    """A part of a picture in pixels, right and bottom excluded."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top

    def of(self, picture: NDArray[_Number]) -> NDArray[_Number]:
        """The part of `picture` (H, W, ...), as a view."""
        return picture[self.top : self.bottom, self.left : self.right]


def strips(cover: U8, within: Box, rows: int, margin: int = 0) -> Iterator[Box]:
    """Boxes of at most `rows` rows that hold all of `cover` (H, W) that lies in `within`, from the top.

    What is not 0 is held, and what is nearer to it than `margin` pixels. Where nothing is, nothing is given.
    """
    for top in range(within.top, within.bottom, rows):
        bottom = min(top + rows, within.bottom)
        seen = cover[max(0, top - margin) : bottom + margin]
        columns = np.flatnonzero(np.bitwise_or.reduce(seen, axis=0))
        if len(columns):
            left = max(within.left, int(columns[0]) - margin)
            right = min(within.right, int(columns[-1]) + 1 + margin)
            if left < right:
                yield Box(left, top, right, bottom)


def box_around(line: F32, side: int, margin: int = 1) -> Box | None:
    """The box that holds `line` (N, 2) in a picture of `side` pixels; None if it lies outside."""
    low = np.maximum(np.floor(line.min(axis=0)).astype(int) - margin, 0)
    high = np.minimum(np.ceil(line.max(axis=0)).astype(int) + margin + 1, side)
    if (high <= low).any():
        return None
    return Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def smooth_ring(ring: F32) -> F32:
    """A closed line through `ring` (N, 2) with `SUPERSAMPLE` points per landmark (Catmull-Rom spline)."""
    return np.asarray(_spline(len(ring)) @ ring, np.float32)


@cache
def _spline(count: int) -> F32:
    """(SUPERSAMPLE * count, count): the weights of the landmarks in each point of the line."""
    here = np.eye(count, dtype=np.float32)
    before, after, later = np.roll(here, 1, 0), np.roll(here, -1, 0), np.roll(here, -2, 0)
    t = (np.arange(SUPERSAMPLE, dtype=np.float32) / SUPERSAMPLE)[:, None, None]
    weights = 0.5 * (
        2 * here
        + (after - before) * t
        + (2 * before - 5 * here + 4 * after - later) * t**2
        + (3 * here - before - 3 * after + later) * t**3
    )
    # np.roll moves landmark i - 1 to row i: rows are points, columns landmarks.
    return np.asarray(weights.transpose(1, 0, 2).reshape(-1, count), np.float32)


def fill_ring(ring: F32, size: tuple[int, int]) -> U8:
    """Mask of the inside of a closed line (N, 2) in pixels, with a soft edge; `size` is (width, height)."""
    mask = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillPoly(mask, [np.round(ring * _SUB).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return mask


def reach_along(mask: U8, origins: F32, rays: F32, longest: float) -> F32:
    """How far `mask` goes on without a gap from each of `origins` (N, 2) along its ray (N, 2, unit length).

    `mask` is (S, S); places and lengths are crop units. Returns (N,), at most `longest`.
    """
    steps = np.linspace(0, longest, 121, dtype=np.float32)
    places = (origins[:, None] + rays[:, None] * steps[:, None]) * mask.shape[0] - np.float32(0.5)
    columns, rows = (np.ascontiguousarray(places[..., axis], np.float32) for axis in (0, 1))
    seen = np.asarray(cv2.remap(mask, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))
    gone = seen < 64
    gone[:, :6] = False  # the matte may be thin right at the outline
    first = np.where(gone.any(axis=1), gone.argmax(axis=1), len(steps) - 1)
    return np.asarray(steps[first], np.float32)


def gap(landmarks: F32, opening: Opening) -> float:
    """How far an opening of the face is open, in parts of its width."""
    upper, lower = _rims(opening)
    apart = landmarks[upper, :2] - landmarks[lower, :2]
    across = landmarks[opening.upper[0], :2] - landmarks[opening.upper[-1], :2]
    return float(np.hypot(apart[:, 0], apart[:, 1]).mean() / max(float(np.hypot(*across)), 1e-6))


@cache
def _rims(opening: Opening) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    upper, lower = zip(*opening.pairs, strict=True)
    return np.array(upper), np.array(lower)
