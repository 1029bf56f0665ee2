"""Backward flow of a moving triangle mesh, with depth order, by OpenCV's software rasteriser."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from avatar.records import F32

_CAMERA = 100.0
"""Distance of the rasteriser's camera [crop units]: so far away that its perspective is a parallel one."""
_FIELD = 2 * math.atan(0.5 / _CAMERA)
_ROOM = 20.0
"""Depth in front of and behind the face that is still drawn [sides of the window]."""

Window = tuple[float, float, float]
"""A square part of the crop: left, top, side, crop units."""
WHOLE: Window = (0.0, 0.0, 1.0)


class MeshRaster:
    """Draws per-vertex values of a mesh into a square grid; the nearest triangle wins.

    Args:
        triangles: (T, 3) vertex numbers.
    """

    def __init__(self, triangles: NDArray[np.int32]) -> None:
        self._triangles = np.ascontiguousarray(triangles, np.int32)
        self._settings: Any = cv2.TriangleRasterizeSettings()
        self._settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
        self._settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
        self._view = np.eye(4, dtype=np.float32)

    def __call__(self, points: F32, values: F32, grid: int, window: Window = WHOLE) -> F32:
        """Draw.

        Args:
            points: (V, 3) in crop units, where the vertices are now.
            values: (V, 3), 0..1, what each of them carries.
            grid: side of the result in cells.
            window: the part of the crop that is drawn.

        Returns:
            (grid, grid, 3) float32; zero where there is no triangle. The middle of cell (i, j) lies at
            ((j + 0.5) / grid, (i + 0.5) / grid) of the window.
        """
        left, top, side = window
        depth = _CAMERA + points[:, 2] / side
        seen = np.empty_like(points)
        seen[:, 0] = ((points[:, 0] - left) / side - 0.5) * depth / _CAMERA
        seen[:, 1] = (0.5 - (points[:, 1] - top) / side) * depth / _CAMERA
        seen[:, 2] = -depth
        drawn = np.zeros((grid, grid, 3), np.float32)
        far = np.full((grid, grid), _CAMERA + _ROOM, np.float32)
        near_plane, far_plane = _CAMERA - _ROOM, _CAMERA + _ROOM
        cv2.triangleRasterize(
            seen,
            self._triangles,
            values,
            drawn,
            far,
            self._view,
            _FIELD,
            near_plane,
            far_plane,
            self._settings,
        )
        return drawn
