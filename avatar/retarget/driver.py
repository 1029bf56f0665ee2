"""The driver's face taken apart: head pose, and shape in the face frame; and what it is like at rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avatar.records import F32
from avatar.tools.facemesh import face_model
from avatar.tools.geometry import (
    Similarity,
    fit_similarity,
    rotation_from_vector,
    vector_from_rotation,
)

REST_SPREAD = 0.35
"""How far (in blendshapes) a face may be from rest to count for the resting face."""
SETTLED = 75
"""Faces after which the resting face is settled: 2.5 s at 30 fps."""


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """One face, its pose apart from its shape."""

    pose: Similarity
    """Face frame to camera pixels."""
    shape: F32
    """(478, 3), face frame: expression and proportions."""
    blendshapes: F32
    """(52,)."""


def posed(landmarks: F32, blendshapes: F32) -> Posed:
    """Take a face apart; `landmarks` (478, 3) in any unit."""
    model = face_model()
    pose = fit_similarity(model.mean, landmarks, model.rigid)
    return Posed(pose, pose.undo(landmarks), blendshapes)


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """The driver at rest: what the portrait's own resting face and place answer to."""

    shape: F32
    """(478, 3), face frame."""
    pose: Similarity
    """Face frame to camera pixels."""


class RestFinder:
    """Finds the driver's resting face while he is already driving.

    From the first face on there is an answer: that face with its expression taken off by the face model. It
    is refined by a mean over faces near rest and settles after `SETTLED` faces.
    """

    def __init__(self) -> None:
        self._settled = False
        self._weight = 0.0
        self._count = 0
        self._shape = np.zeros((478, 3))
        self._turn = np.zeros(3)
        self._shift = np.zeros(3)
        self._scale = 0.0

    @property
    def settled(self) -> bool:
        """Whether `add` changes nothing any more."""
        return self._settled

    def settle(self) -> None:
        """Leave it as it is now."""
        self._settled = True

    def add(self, face: Posed, *, settle: bool = True) -> None:
        """Take one more face into account; with `settle` only the first ones are."""
        if self.settled:
            return
        self._count += 1
        moved = float(np.linalg.norm(face.blendshapes[1:]))
        turned = vector_from_rotation(face.pose.rotation)
        weight = (
            float(np.exp(-((moved / REST_SPREAD) ** 2) / 2 - (np.linalg.norm(turned) / 0.5) ** 2 / 2)) + 1e-4
        )
        share = weight / (self._weight + weight)
        neutral = face.shape - face_model().expression(face.blendshapes)
        self._shape += share * (neutral - self._shape)
        self._turn += share * (turned - self._turn)
        self._shift += share * (face.pose.shift - self._shift)
        self._scale += share * (face.pose.scale - self._scale)
        self._weight += weight
        self._settled = settle and self._count >= SETTLED

    @property
    def rest(self) -> Rest:
        """The best guess so far; needs at least one face."""
        turn = rotation_from_vector(self._turn.astype(np.float32))
        return Rest(
            self._shape.astype(np.float32), Similarity(self._scale, turn, self._shift.astype(np.float32))
        )


def nearest(faces: Sequence[Posed], blendshapes: F32, turn: F32) -> Posed:
    """The face most like an expression (52,) and a head turned by `turn` (3,) [rad]."""

    def distance(face: Posed) -> float:
        expression = np.linalg.norm(face.blendshapes - blendshapes)
        return float(expression + np.linalg.norm(vector_from_rotation(face.pose.rotation) - turn))

    return min(faces, key=distance)
