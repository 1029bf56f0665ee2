"""The pose of a face: how MediaPipe's canonical face must be moved to lie under the landmarks.

The camera is made up, as landmarks do not tell its lens: 63 degrees high, looking at the picture's centre,
its near plane 1 cm away. The landmarks are laid on that plane, the face's size there says how far away a face
of the canonical size is, the landmarks are moved out to there, and that once more. The steps and numbers are
those of mediapipe/tasks/cc/vision/face_geometry/libs/geometry_pipeline.cc and
face_geometry_from_landmarks_graph.cc in https://github.com/google-ai-edge/mediapipe; the solution is that of
D. Akca, "Generalized Procrustes analysis and its applications in photogrammetry", 2003, section 2.4,
https://doi.org/10.3929/ethz-a-004656648.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from math import radians, tan

import numpy as np
from numpy.typing import NDArray

from avatar.errors import ModelError
from avatar.records import F32

F64 = NDArray[np.float64]

METADATA = "geometry_pipeline_metadata_landmarks.binarypb"
SKIN = 468
"""Landmarks without the irises."""
VIEW_HEIGHT = 2 * tan(radians(63) / 2)
"""What the camera sees of its near plane, which is 1 away [cm]."""
VERTEX = 5
"""Numbers of a vertex: x, y, z, u, v."""


class Geometry:
    """Knows the canonical face."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        """Read the face out of the bundle's files; raises ModelError if it is not there or not readable."""
        try:
            canonical, weights = _canonical_face(files[METADATA])
        except (KeyError, ValueError, IndexError, TypeError, struct.error) as error:
            raise ModelError(f"the canonical face of the face landmarker cannot be read: {error}") from None
        self.used = np.flatnonzero(weights)
        """Landmarks that count; the lips, for instance, do not."""
        self.canonical = canonical
        """(468, 3), all of the canonical face [cm]: x to its left, y up, z to the front."""
        self._weights = (weights[self.used] / weights.sum())[:, None]
        self._middle = (canonical[self.used] * self._weights).sum(axis=0)
        centred = canonical[self.used] - self._middle
        self._weighted = centred * self._weights
        self._spread = float((centred * self._weighted).sum())

    def pose(self, landmarks: F32, frame_size: tuple[int, int]) -> F32:
        """(4, 4) canonical face to camera [cm]: x right, y up, z towards the camera; hardly any scale in it.

        Args:
            landmarks: (478, 3) px.
            frame_size: (width, height) of the picture that the camera sees [px].
        """
        width, height = frame_size
        pixel = VIEW_HEIGHT / height
        depth = landmarks[:SKIN, 2].mean(dtype=np.float64) * pixel
        on_plane = landmarks[self.used].astype(np.float64)
        on_plane = (on_plane - np.array([width / 2, height / 2, 0])) * np.array([pixel, -pixel, pixel])
        flat = on_plane * np.array([1, 1, -1])
        scale = self._fit(flat)[0]
        for _ in range(2):
            far = (on_plane[:, 2:] - depth + 1) / scale
            moved = np.concatenate([on_plane[:, :2] * far, -far], axis=1)
            size, rotation, translation = self._fit(moved)
            scale *= size
        pose = np.eye(4, dtype=np.float32)
        pose[:3, :3], pose[:3, 3] = size * rotation, translation
        return pose

    def _fit(self, points: F64) -> tuple[float, F64, F64]:
        """Scale, rotation (3, 3) and translation (3,) that bring the canonical face nearest to (N, 3)."""
        middle = (points * self._weights).sum(axis=0)
        products = (points - middle).T @ self._weighted
        u, singular, v = np.linalg.svd(products)
        if np.linalg.det(products) < 0:  # else it would be a mirror
            u[:, 2], singular[2] = -u[:, 2], -singular[2]
        rotation = u @ v
        scale = float(singular.sum() / self._spread)
        return scale, rotation, middle - scale * rotation @ self._middle


def _canonical_face(metadata: bytes) -> tuple[F64, F64]:
    """(468, 3) places [cm] and (468,) weights of the message GeometryPipelineMetadata.

    See mediapipe/tasks/cc/vision/face_geometry/proto/ for its fields and those of Mesh3d within.
    """
    vertices: list[float] = []
    weights = np.zeros(SKIN)
    for number, value in _fields(metadata):
        if number == 1:
            vertices = [struct.unpack("<f", part)[0] for name, part in _fields(value) if name == 3]
        elif number == 2:
            parts = dict(_fields(value))
            weights[int.from_bytes(parts.get(1, b""), "little")] = struct.unpack("<f", parts[2])[0]
    return np.array(vertices).reshape(SKIN, VERTEX)[:, :3], weights


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each field, see https://protobuf.dev/programming-guides/encoding/."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                value, at = _varint(message, at)
                yield key >> 3, value.to_bytes(8, "little")
                continue
            case 2:
                length, at = _varint(message, at)
            case 5:
                length = 4
            case kind:
                raise ValueError(f"a field of kind {kind}")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        value |= (message[at] & 127) << shift
        shift += 7
        at += 1
        if not message[at - 1] & 128:
            return value, at
