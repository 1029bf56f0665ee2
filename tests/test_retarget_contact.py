"""Lids, lips and irises: they meet, never cross, and stay where they belong."""

from __future__ import annotations

import numpy as np
import pytest
from made_drivers import SMILE, Driver, assert_never_crossed
from made_people import blink, made_face, made_identity

from avatar.records import Face, Identity
from avatar.retarget.proportions import opening_of
from avatar.tools.facemesh import EYES, IRISES, MOUTH, Opening, face_model
from avatar.tools.outlines import gap


@pytest.fixture(scope="module")
def laughing() -> Identity:
    """A made person whose picture laughs and looks a little aside."""
    return made_identity(SMILE, turn=(0.05, -0.2, 0.08), stretch=(1.1, 0.95, 1))


def with_shut(face: Face, opening: Opening, overlap: float = 0.0) -> Face:
    """The same face with an opening shut; by `overlap` pixels its rims cross."""
    landmarks = face.landmarks.copy()
    for upper, lower in opening.pairs:
        middle = (landmarks[upper] + landmarks[lower]) / 2
        landmarks[upper] = landmarks[lower] = middle
        landmarks[upper, 1] += overlap / 2
        landmarks[lower, 1] -= overlap / 2
    return Face(landmarks, face.blendshapes, face.pose, face.frame_size)


@pytest.mark.parametrize("overlap", [0.0, 1.0, 4.0])
def test_shut_lids_and_lips_meet_and_never_cross(astronaut_identity: Identity, overlap: float) -> None:
    drive = Driver(astronaut_identity, smoothing=0)
    drive(made_face())
    face = made_face()
    for opening in (*EYES, MOUTH):
        face = with_shut(face, opening, overlap)
    motion = drive(face)
    assert_never_crossed(motion)
    assert max(gap(motion.landmarks, opening) for opening in (*EYES, MOUTH)) < 0.005
    assert (motion.blink > 0.99).all()
    assert motion.jaw_open < 0.005


def test_rims_that_cross_in_one_place_meet_there(laughing: Identity) -> None:
    """Rolled in lips: open in the middle, crossed at one pair."""
    drive = Driver(laughing, smoothing=0)
    drive.retarget.prepare([made_face()])
    face = made_face({"jawOpen": 0.6})
    face.landmarks[MOUTH.upper[1], 1] += 30
    motion = drive(face)
    assert gap(motion.landmarks, MOUTH) > 0.1
    assert_never_crossed(motion)


def test_a_blink_shuts_and_opens_the_lids(astronaut_identity: Identity) -> None:
    drive = Driver(astronaut_identity, smoothing=0)
    drive(made_face())
    gaps, blinks = [], []
    for amount in (0, 0.2, 0.4, 0.6, 0.8, 1):
        motion = drive(made_face(blink(amount)))
        gaps.append([gap(motion.landmarks, eye) for eye in EYES])
        blinks.append(motion.blink)
        assert_never_crossed(motion)
    assert (np.diff(gaps, axis=0) < 1e-5).all() and (np.diff(blinks, axis=0) > -1e-5).all()
    assert min(gaps[0]) > 0.15
    assert max(gaps[-1]) < 0.005 and blinks[-1].min() > 0.99
    open_again = drive(made_face())
    assert min(gap(open_again.landmarks, eye) for eye in EYES) > 0.15 and open_again.blink.max() < 0.05


def test_one_eye_shuts_alone(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    drive.retarget.prepare([made_face()])
    motion = drive(made_face({"eyeBlinkRight": 1.0}))
    assert motion.blink[0] > 0.95 and motion.blink[1] < 0.4  # the other one squints with it
    assert gap(motion.landmarks, EYES[0]) < 0.01 < 0.1 < gap(motion.landmarks, EYES[1])


def test_the_jaw_opens_with_the_drivers(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    drive(made_face())
    motions = [drive(made_face({"jawOpen": amount})) for amount in (0, 0.3, 0.6, 1)]
    assert (np.diff([motion.jaw_open for motion in motions]) > 0.02).all()
    assert (np.diff([gap(motion.landmarks, MOUTH) for motion in motions]) > 0.02).all()
    assert 0 <= motions[0].jaw_open < 0.2 and 0.4 < motions[-1].jaw_open <= 1


def test_irises_follow_the_gaze_and_stay_inside(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    drive.retarget.prepare([made_face()])
    rest = drive(made_face())
    iris = list(IRISES[0])
    for step, moved in ((2.0, True), (-2.0, True), (60.0, False)):
        face = made_face()
        face.landmarks[iris, 0] += step
        motion = drive(face)
        offset = motion.landmarks[iris[0], 0] - rest.landmarks[iris[0], 0]
        if moved:
            assert offset == pytest.approx(step / 60 * 0.11, rel=0.25)
        corners = motion.landmarks[[EYES[0].upper[0], EYES[0].upper[-1]]]
        width = np.linalg.norm(corners[0] - corners[1])
        assert abs(motion.landmarks[iris[0], 0] - corners[:, 0].mean()) < 0.35 * width


def test_opening_of_tells_crossed_rims() -> None:
    shape = face_model().mean.copy()
    assert opening_of(shape, MOUTH) > 0
    for upper, lower in MOUTH.pairs:
        shape[[upper, lower]] = shape[[lower, upper]]
    assert opening_of(shape, MOUTH) < 0
