"""The driver is learnt anew when he may be another one, or the camera another."""

from __future__ import annotations

import numpy as np
import pytest
from made_people import made_face, made_identity

from avatar.records import Face, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import face_model
from avatar.tools.geometry import fit_similarity, vector_from_rotation


@pytest.fixture(scope="module")
def someone() -> Identity:
    return made_identity()


def turned(motion: Motion, identity: Identity) -> float:
    """The head's turn about the vertical away from the portrait's [rad]."""
    pose = fit_similarity(identity.neutral, motion.landmarks, face_model().rigid)
    return float(vector_from_rotation(pose.rotation)[1])


def driven(retarget: Retargeter, face: Face | None, seconds: float, start: float) -> list[Motion]:
    return [retarget(Observation(face, i, int((start + i / 30) * 1e9))) for i in range(round(seconds * 30))]


def test_a_face_that_comes_back_after_long_is_learnt_anew(someone: Identity) -> None:
    """Another person, smaller and aside, would otherwise sit at the limits for good."""
    retarget = Retargeter(someone)
    driven(retarget, made_face(), 4, 0)
    driven(retarget, None, 3, 4)
    other = driven(retarget, made_face(shift=(500, 120), scale=28), 5, 7)[-1]
    assert np.abs(other.landmarks - someone.neutral)[:468].max() < 0.01


def test_a_short_absence_keeps_what_was_learnt(someone: Identity) -> None:
    retarget = Retargeter(someone)
    driven(retarget, made_face(), 4, 0)
    driven(retarget, None, 0.5, 4)
    aside = driven(retarget, made_face(turn=(0, 0.3, 0)), 2, 4.5)[-1]
    assert turned(aside, someone) == pytest.approx(0.3, abs=0.03)


def test_another_camera_size_is_learnt_anew(someone: Identity) -> None:
    face = made_face()
    double = Face(face.landmarks * 2, face.blendshapes, face.pose, (1280, 960))
    retarget = Retargeter(someone)
    driven(retarget, face, 4, 0)
    doubled = driven(retarget, double, 3, 4)[-1]
    assert np.abs(doubled.landmarks - someone.neutral)[:468].max() < 0.01
