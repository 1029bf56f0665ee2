"""Similarity transforms between sets of points, and rotations as vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.records import F32


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """point -> scale * rotation @ point + shift."""

    scale: float
    rotation: F32
    """(3, 3), orthonormal."""
    shift: F32
    """(3,)."""

    def __call__(self, points: F32) -> F32:
        """Move points (N, 3)."""
        return (self.scale * points @ self.rotation.T + self.shift).astype(np.float32)

    def undo(self, points: F32) -> F32:
        """The points (N, 3) that `self` moves to `points`."""
        return ((points - self.shift) @ self.rotation / self.scale).astype(np.float32)

    def after(self, first: Similarity) -> Similarity:
        """`first`, then `self`."""
        return Similarity(
            self.scale * first.scale,
            (self.rotation @ first.rotation).astype(np.float32),
            self(first.shift[None])[0],
        )

    def inverse(self) -> Similarity:
        """The way back."""
        return Similarity(1 / self.scale, self.rotation.T, self.undo(np.zeros((1, 3), np.float32))[0])

    @property
    def matrix(self) -> F32:
        """(3, 4), for points as columns."""
        return np.column_stack([self.scale * self.rotation, self.shift]).astype(np.float32)


def fit_similarity(source: F32, target: F32, weights: F32) -> Similarity:
    """The similarity that moves `source` (N, 3) closest to `target` (N, 3), in weighted least squares.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    IEEE PAMI 13(4), 1991, equations 40-42.
    """
    share = weights / weights.sum()
    source_mid, target_mid = share @ source, share @ target
    a, b = source - source_mid, target - target_mid
    u, stretch, vt = np.linalg.svd((b * share[:, None]).T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((stretch * sign).sum() / (share @ (a * a).sum(axis=1)))
    return Similarity(
        scale, rotation.astype(np.float32), (target_mid - scale * rotation @ source_mid).astype(np.float32)
    )


def rotation_from_vector(vector: F32) -> F32:
    """Rotation matrix (3, 3) of a rotation vector (3,) [rad], by Rodrigues' formula."""
    angle = float(np.linalg.norm(vector))
    if angle < 1e-8:
        return np.eye(3, dtype=np.float32)
    x, y, z = (vector / angle).tolist()
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], np.float32)
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k), np.float32)


def vector_from_rotation(rotation: F32) -> F32:
    """Rotation vector (3,) [rad] of a rotation matrix (3, 3); angles below 180 degrees."""
    cosine = float(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    angle = float(np.arccos(cosine))
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ],
        np.float32,
    )
    sine = float(np.linalg.norm(axis)) / 2
    return np.asarray(axis * (0.5 if sine < 1e-6 else angle / (2 * sine)), np.float32)


def smoothstep(share: F32 | float) -> F32:
    """0 below 0, 1 above 1, and smooth in between."""
    inside = np.clip(np.asarray(share, np.float32), 0, 1)
    return np.asarray(inside * inside * (3 - 2 * inside), np.float32)


def soft_limit(value: F32 | float, limit: float, knee: float = 0.6) -> F32:
    """`value` up to `knee * limit`, then bent smoothly so that `limit` is never passed."""
    size = np.abs(value)
    start, room = knee * limit, (1 - knee) * limit
    bent = start + room * np.tanh(np.maximum(size - start, 0) / room)
    return np.asarray(np.sign(value) * np.where(size > start, bent, size), np.float32)
