"""The warp stage: backward flow from the mesh, one remap of the person, the eyes drawn in."""

from __future__ import annotations

import cv2
import numpy as np

from avatar.records import F32, Identity, Motion, Warped
from avatar.tools.scaling import resized
from avatar.warp.eyes import eye_layers
from avatar.warp.mesh import HeadMesh
from avatar.warp.raster import MeshRaster

GRID = 256
"""Cells of the flow along one side of the crop. It is continuous, so it grows to any size without tearing."""

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
        self._raster = MeshRaster(self._mesh.triangles, GRID)
        texture = resized(identity.texture, side)
        self._texture = np.dstack([texture, resized(identity.alpha, side)])
        self._eyes = eye_layers(identity, texture)
        rest = self._mesh.rest
        self._carried = np.empty_like(rest)
        self._carried[:, :2] = (rest[:, :2] + _LOW) / _SPAN
        self._areas = _areas(rest, self._mesh.triangles)

    def __call__(self, motion: Motion) -> Warped:
        """Move the person."""
        points = self._mesh(motion)
        self._carried[:, 2] = self._confidence(points)
        drawn = self._raster(points, self._carried)
        flow = cv2.resize(drawn[..., :2], (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        scale = _SPAN * self.side
        flow = cv2.addWeighted(flow, scale, flow, 0, -_LOW * self.side - 0.5)
        moved = cv2.remap(self._texture, flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        person = cv2.cvtColor(moved, cv2.COLOR_BGRA2BGR)
        for eye in self._eyes:
            eye.draw(person, motion)
        return Warped(
            person=np.asarray(person, np.uint8),
            alpha=np.asarray(cv2.extractChannel(moved, 3), np.uint8),
            confidence=np.ascontiguousarray(drawn[..., 2]),
        )

    def _confidence(self, points: F32) -> F32:
        """(V,), 0..1, per vertex: the least of how little its triangles were stretched and turned away."""
        triangles = self._mesh.triangles
        areas = _areas(points, triangles)
        # Signed: a triangle that turned its back has changed its sign.
        ratio = areas / np.where(np.abs(self._areas) < 1e-9, 1e-9, self._areas)
        trust = np.clip(np.minimum(ratio * 1.5, 2.0 / np.maximum(ratio, 1e-3)), 0, 1).astype(np.float32)
        least = np.ones(len(points), np.float32)
        np.minimum.at(least, triangles.ravel(), np.repeat(trust, 3))
        return least


def _areas(points: F32, triangles: np.ndarray[tuple[int, int], np.dtype[np.int32]]) -> F32:
    """Twice the signed area of each triangle as seen from the front, crop units squared."""
    a, b, c = (points[triangles[:, i], :2] for i in range(3))
    one, two = b - a, c - a
    return np.asarray(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0], np.float32)
