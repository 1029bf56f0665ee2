"""The warp stage: backward flow from the mesh, one remap of the person, the eyes drawn in."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, U8, Identity, Motion, Warped
from avatar.tools.facemesh import OVAL
from avatar.tools.outlines import Box
from avatar.tools.scaling import resized
from avatar.warp.eyes import eye_layers
from avatar.warp.mesh import HeadMesh
from avatar.warp.openings import without_openings
from avatar.warp.raster import MeshRaster

COARSE = 64
"""About so many cells of the flow along the whole crop: hair, neck and shoulders move smoothly."""
FINE = 160
"""About so many along the face alone, where lids and lips meet and one cheek hides behind the other side."""
FACE_MARGIN = 0.06
"""Room around the face in the fine part, in heights of the face."""

_TORN = 6.0
"""Neighbouring cells that come from this many cells apart in the portrait lie on two sides of a tear."""

_LOW, _SPAN = 0.5, 2.0
"""Crop units -0.5..1.5 are carried through the rasteriser as 0..1."""


class Warper:
    """Identity and motion to the person's pixels in the wanted pose.

    Args:
        identity: who.
        side: side S of the result in pixels.
    """

    def __init__(self, identity: Identity, side: int) -> None:
        self.side = side
        self._mesh = HeadMesh(identity)
        self._raster = MeshRaster(self._mesh.triangles)
        texture = resized(identity.texture, side)
        self._eyes = eye_layers(identity, texture)
        skin = without_openings(texture, identity.landmarks)
        self._texture = np.dstack([skin, resized(identity.alpha, side)])
        rest = self._mesh.rest
        self._carried = np.ones_like(rest)
        self._carried[:, :2] = (rest[:, :2] + _LOW) / _SPAN
        self._areas = _areas(rest, self._mesh.triangles)
        corners = self._mesh.triangles.ravel()
        order = np.argsort(corners, kind="stable")
        self._of_vertex = order // 3  # the triangles of vertex 0, then of vertex 1, ...
        self._vertex_starts = np.searchsorted(corners[order], np.arange(len(rest)))
        ratio = _pixels_a_cell(side, COARSE)
        whole = (-(-side // ratio) + 2) * ratio
        self._moved = np.empty((side, side, 4), np.uint8)
        self._buffers: list[F32] = [np.empty((whole, whole), np.float32) for _ in range(2)]

    def __call__(self, motion: Motion) -> Warped:
        """Move the person."""
        points = self._mesh(motion)
        self._carried[:, 2] = self._confidence(points)
        (columns, rows), confidence, torn = self._flow(points)
        moved = self._moved
        cv2.remap(self._texture, columns, rows, cv2.INTER_LINEAR, dst=moved, borderMode=cv2.BORDER_REPLICATE)
        if torn is not None:
            _soften(torn[0].of(moved), torn[1])
        person = np.asarray(cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR), np.uint8)
        for eye in self._eyes:
            eye.draw(person, motion)
        return Warped(
            person=person,
            alpha=np.asarray(cv2.extractChannel(moved, 3), np.uint8),
            confidence=confidence,
        )

    def _flow(self, points: F32) -> tuple[list[F32], F32, tuple[Box, F32] | None]:
        """Where in the texture each pixel comes from: x and y, each (side, side), pixels.

        Also the confidence, and where in the face's part the flow is torn, because one side hides the other.
        The arrays of the flow are used again by the next call.
        """
        flow, drawn = self._draw(points, Box(0, 0, self.side, self.side), COARSE, self._buffers)
        torn = None
        box = self._face_box(points)
        if box is not None:
            detail, cells = self._draw(points, box, FINE)
            for plane, fine in zip(flow, detail, strict=True):
                box.of(plane)[:] = fine
            ratio = _pixels_a_cell(box.size[0], FINE)
            torn = _tears(cells[1:-1, 1:-1, :2], ratio, _TORN * ratio / self.side / _SPAN)
            if torn is not None:
                torn = _moved(torn, box)
        return flow, np.ascontiguousarray(drawn[1:-1, 1:-1, 2]), torn

    def _draw(
        self, points: F32, box: Box, cells: int, buffers: list[F32] | None = None
    ) -> tuple[list[F32], F32]:
        """The flow in the square `box`, drawn in about `cells` cells a side, and the cells as drawn.

        A cell is a whole number of pixels, and one row of cells more is drawn all around: growing cells to
        pixels would bend the flow at the rim.
        """
        size = box.size[0]
        ratio = _pixels_a_cell(size, cells)
        cells = -(-size // ratio) + 2
        window = ((box.left - ratio) / self.side, (box.top - ratio) / self.side, cells * ratio / self.side)
        drawn = self._raster(points, self._carried, cells, window)
        pixels = drawn[..., :2] * np.float32(_SPAN * self.side) - np.float32(_LOW * self.side + 0.5)
        whole = (cells * ratio, cells * ratio)
        grown = [
            cv2.resize(plane, whole, dst=into, interpolation=cv2.INTER_LINEAR)
            for plane, into in zip(cv2.split(pixels), buffers or (None, None), strict=True)
        ]
        inner = Box(ratio, ratio, ratio + size, ratio + size)
        return [inner.of(np.asarray(plane, np.float32)) for plane in grown], drawn

    def _face_box(self, points: F32) -> Box | None:
        """The square around the face as it is now, in whole pixels, within the crop."""
        face = points[list(OVAL), :2]
        low, high = face.min(axis=0), face.max(axis=0)
        margin = 2 * FACE_MARGIN * self._mesh.height
        size = min(round((float((high - low).max()) + margin) * self.side), self.side)
        corner = np.round((low + high) / 2 * self.side - size / 2)
        left, top = (int(np.clip(edge, 0, self.side - size)) for edge in corner)
        return Box(left, top, left + size, top + size) if size > 0 else None

    def _confidence(self, points: F32) -> F32:
        """(V,), 0..1, per vertex: the least of how little its triangles were stretched or turned away."""
        triangles = self._mesh.triangles
        # Signed: a triangle that turned its back has changed its sign.
        ratio = _areas(points, triangles) / np.where(np.abs(self._areas) < 1e-9, 1e-9, self._areas)
        trust = np.clip(np.minimum(ratio * 1.5, 2.0 / np.maximum(ratio, 1e-3)), 0, 1).astype(np.float32)
        return np.asarray(np.minimum.reduceat(trust[self._of_vertex], self._vertex_starts), np.float32)


def _pixels_a_cell(size: int, cells: int) -> int:
    """Whole pixels a cell when `size` pixels are to be about `cells` cells."""
    return max(1, round(size / cells))


def _moved(torn: tuple[Box, F32], by: Box) -> tuple[Box, F32]:
    """`torn` of the part `by`, as of the whole picture; what hangs over that part is cut off."""
    box, where = torn
    right, bottom = min(box.right, by.size[0]), min(box.bottom, by.size[1])
    kept = np.ascontiguousarray(where[: bottom - box.top, : right - box.left])
    return Box(by.left + box.left, by.top + box.top, by.left + right, by.top + bottom), kept


def _tears(carried: F32, ratio: int, step: float) -> tuple[Box, F32] | None:
    """Where `carried` (cells, cells, 2) jumps by more than `step`.

    Returns:
        The box that holds all jumps, in pixels (`ratio` a cell), and how much each of its pixels is torn,
        0..1; None if nothing jumps.
    """
    planes = cv2.split(np.ascontiguousarray(carried))
    widest = max(
        max(
            cv2.norm(plane[:, 1:], plane[:, :-1], cv2.NORM_INF), cv2.norm(plane[1:], plane[:-1], cv2.NORM_INF)
        )
        for plane in planes
    )
    if widest <= step:
        return None
    jumps = np.zeros((carried.shape[0], carried.shape[1]), np.bool_)
    for plane in planes:
        across = cv2.absdiff(plane[:, 1:], plane[:, :-1]) > step
        down = cv2.absdiff(plane[1:], plane[:-1]) > step
        for part, jump in (
            (jumps[:, 1:], across),
            (jumps[:, :-1], across),
            (jumps[1:], down),
            (jumps[:-1], down),
        ):
            np.logical_or(part, jump, out=part)
    rows, columns = np.flatnonzero(jumps.any(axis=1)), np.flatnonzero(jumps.any(axis=0))
    top, left = max(int(rows[0]) - 2, 0), max(int(columns[0]) - 2, 0)
    held = jumps[top : int(rows[-1]) + 3, left : int(columns[-1]) + 3].astype(np.float32)
    size = (held.shape[1] * ratio, held.shape[0] * ratio)
    where = cv2.resize(cv2.GaussianBlur(held, (0, 0), 0.8), size) * np.float32(1.5)
    box = Box(left * ratio, top * ratio, left * ratio + size[0], top * ratio + size[1])
    return box, np.minimum(where, 1)


def _soften(picture: U8, where: F32) -> None:
    """Blur `picture` (H, W, 4) in place where it is torn: the tear follows cells, not pixels."""
    blurred = cv2.GaussianBlur(picture, (0, 0), 1.3)
    picture[:] = cv2.blendLinear(blurred, np.ascontiguousarray(picture), where, 1 - where)


def _areas(points: F32, triangles: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> F32:
    """Twice the signed area of each triangle as seen from the front, crop units squared."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    one, two = b - a, c - a
    return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0], np.float32)
