"""The backward flow in coarse cells, grown to pixels a few rows at a time, and its tears."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from avatar.records import F32, U8
from avatar.tools.outlines import Box

TORN = 6.0
"""Neighbouring cells that come from this many cells apart in the portrait lie on two sides of a tear."""
SOFT = 1.3
"""Blur (sigma) of a tear [px]."""


def pixels_a_cell(size: int, cells: int) -> int:
    """Whole pixels a cell when `size` pixels are to be about `cells` cells."""
    return max(1, round(size / cells))


@dataclass(frozen=True, slots=True, eq=False)
class CellFlow:
    """Where in the texture the pixels of a square part come from, in cells of `ratio` pixels.

    One cell more lies all around the part: growing cells to pixels would bend the flow at its rim.
    """

    box: Box
    """The part, pixels."""
    ratio: int
    columns: F32
    """(cells + 2, cells + 2), x in the texture, pixels."""
    rows: F32
    """The same, y."""

    def grown(self, top: int, bottom: int) -> tuple[F32, F32]:
        """X and y of the part's pixel rows `top` to `bottom` (excluded), each (bottom - top, size)."""
        first, last = top // self.ratio, -(-bottom // self.ratio)
        size = (self.columns.shape[1] * self.ratio, (last - first + 2) * self.ratio)
        begin = self.ratio + top - first * self.ratio
        kept = slice(begin, begin + bottom - top), slice(self.ratio, self.ratio + self.box.size[0])
        columns, rows = (
            np.asarray(cv2.resize(plane[first : last + 2], size, interpolation=cv2.INTER_LINEAR), np.float32)
            for plane in (self.columns, self.rows)
        )
        return columns[kept], rows[kept]

    def lay_over(self, columns: F32, rows: F32, top: int) -> None:
        """Put this part into pixel rows of the whole, (N, side) each, that begin with row `top`; in place."""
        begin, end = max(self.box.top, top), min(self.box.bottom, top + len(columns))
        if begin >= end:
            return
        across = slice(self.box.left, self.box.right)
        fine = self.grown(begin - self.box.top, end - self.box.top)
        columns[begin - top : end - top, across], rows[begin - top : end - top, across] = fine

    def tears(self) -> tuple[Box, F32] | None:
        """Where the flow jumps, because one side of the face hides the other.

        Returns:
            A box that holds all jumps, pixels of the whole, and how much each of its pixels is torn, 0..1;
            None if nothing jumps.
        """
        step = TORN * self.ratio
        planes = [np.ascontiguousarray(plane[1:-1, 1:-1]) for plane in (self.columns, self.rows)]
        if all(_widest(plane) <= step for plane in planes):
            return None
        jumps = np.zeros(planes[0].shape, np.bool_)
        for plane in planes:
            across = cv2.absdiff(plane[:, 1:], plane[:, :-1]) > step
            down = cv2.absdiff(plane[1:], plane[:-1]) > step
            jumps[:, 1:] |= across
            jumps[:, :-1] |= across
            jumps[1:] |= down
            jumps[:-1] |= down
        rows, columns = np.flatnonzero(jumps.any(axis=1)), np.flatnonzero(jumps.any(axis=0))
        top, left = max(int(rows[0]) - 2, 0), max(int(columns[0]) - 2, 0)
        held = jumps[top : int(rows[-1]) + 3, left : int(columns[-1]) + 3].astype(np.float32)
        size = (held.shape[1] * self.ratio, held.shape[0] * self.ratio)
        where = cv2.resize(cv2.GaussianBlur(held, (0, 0), 0.8), size) * np.float32(1.5)
        left, top = self.box.left + left * self.ratio, self.box.top + top * self.ratio
        right, bottom = min(left + size[0], self.box.right), min(top + size[1], self.box.bottom)
        kept = np.minimum(where[: bottom - top, : right - left], 1)
        return Box(left, top, right, bottom), np.ascontiguousarray(kept)


def soften(part: U8, where: F32) -> None:
    """Blur `part` (H, W) or (H, W, 3) in place by `where`: a tear follows cells, not pixels."""
    blurred = cv2.GaussianBlur(part, (0, 0), SOFT)
    part[:] = cv2.blendLinear(blurred, np.ascontiguousarray(part), where, 1 - where)


def _widest(plane: F32) -> float:
    across = cv2.norm(plane[:, 1:], plane[:, :-1], cv2.NORM_INF)
    return max(across, cv2.norm(plane[1:], plane[:-1], cv2.NORM_INF))
