"""The warp stage: backward flow from the mesh, one remap of the person, the eyes drawn in."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, Identity, Motion, Warped
from avatar.tools.facemesh import OVAL
from avatar.tools.outlines import Box
from avatar.tools.scaling import resized
from avatar.warp.eyes import eye_layers
from avatar.warp.mesh import HeadMesh
from avatar.warp.openings import without_openings
from avatar.warp.raster import MeshRaster

COARSE = 80
"""Cells of the flow along the whole crop: hair, neck and shoulders move smoothly."""
FINE = 160
"""Cells along the face alone, where lids and lips meet and one cheek hides behind the other side."""
FACE_MARGIN = 0.06
"""Room around the face in the fine part, in heights of the face."""

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
        self._carried = np.empty_like(rest)
        self._carried[:, :2] = (rest[:, :2] + _LOW) / _SPAN
        self._areas = _areas(rest, self._mesh.triangles)
        self._columns = np.empty((side, side), np.float32)
        self._rows = np.empty((side, side), np.float32)

    def __call__(self, motion: Motion) -> Warped:
        """Move the person."""
        points = self._mesh(motion)
        self._carried[:, 2] = self._confidence(points)
        coarse = self._raster(points, self._carried, COARSE)
        columns, rows = self._flow(coarse, points)
        moved = cv2.remap(self._texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        person = np.asarray(cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR), np.uint8)
        for eye in self._eyes:
            eye.draw(person, motion)
        return Warped(
            person=person,
            alpha=np.asarray(cv2.extractChannel(moved, 3), np.uint8),
            confidence=np.ascontiguousarray(coarse[..., 2]),
        )

    def _flow(self, coarse: F32, points: F32) -> tuple[F32, F32]:
        """Where in the texture each pixel comes from: x and y, each (side, side), pixels.

        The two arrays are used again by the next call.
        """
        self._grow(coarse, self._columns, self._rows)
        box = self._face_box(points)
        if box is not None:
            window = (box.left / self.side, box.top / self.side, box.size[0] / self.side)
            fine = self._raster(points, self._carried, FINE, window)
            self._grow(fine, box.of(self._columns), box.of(self._rows))
        return self._columns, self._rows

    def _grow(self, drawn: F32, columns: F32, rows: F32) -> None:
        """Carried coordinates (grid, grid, 3) to texture pixels, grown into `columns` and `rows`."""
        pixels = drawn[..., :2] * np.float32(_SPAN * self.side) - np.float32(_LOW * self.side + 0.5)
        for grown, plane in zip((columns, rows), cv2.split(pixels), strict=True):
            size = (grown.shape[1], grown.shape[0])
            cv2.resize(plane, size, dst=grown, interpolation=cv2.INTER_LINEAR)

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
        least = np.ones(len(points), np.float32)
        np.minimum.at(least, triangles.ravel(), np.repeat(trust, 3))
        return least


def _areas(points: F32, triangles: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> F32:
    """Twice the signed area of each triangle as seen from the front, crop units squared."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    one, two = b - a, c - a
    return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0], np.float32)
