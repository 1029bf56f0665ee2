"""Faces made out of the shipped face model, with expressions and poses that are known."""

from __future__ import annotations

import numpy as np

from avatar.tools.facemesh import face_model
from avatar.tools.geometry import rotation_from_vector
from avatar.train.tracks import Track

PEOPLE, FACES = 24, 60
NOISE = 0.003
"""Of a landmark, face frame units: 0.1 px of a 256 px head crop."""
FLIP = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


def synthetic_person(seed: int) -> Track:
    """A face of its own proportions that makes known expressions in known poses."""
    rng = np.random.default_rng(seed)
    model = face_model()
    proportions = np.diag(rng.normal(1, 0.05, 3)) + rng.normal(0, 0.01, (3, 3))
    own = model.mean @ proportions + model.mean**2 @ rng.normal(0, 0.01, (3, 3))
    landmarks, scores, poses = [], rng.random((FACES, 52)) ** 5, []
    for score in scores:
        turn = rotation_from_vector(rng.normal(0, 0.2, 3).astype(np.float32))
        shape = own + model.expression(score.astype(np.float32)) + rng.normal(0, NOISE, (478, 3))
        landmarks.append(rng.uniform(30, 90) * shape @ turn.T + rng.uniform(0, 500, 3))
        poses.append(np.eye(4))
        poses[-1][:3, :3] = FLIP @ turn @ FLIP
    return Track(np.array(landmarks, np.float32), scores.astype(np.float32), np.array(poses, np.float32))
