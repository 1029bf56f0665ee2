"""A person who drives his own picture."""

from __future__ import annotations

import numpy as np
import pytest
from made_drivers import assert_never_crossed
from made_people import FACE_SCALE, blink, made_face, made_identity, made_view

from avatar.records import F32, Observation, View
from avatar.retarget import OwnMotion, Retargeter
from avatar.tools.facemesh import EYES, MOUTH, face_model
from avatar.tools.geometry import rotation_from_vector
from avatar.tools.outlines import gap

TURN = (0.05, -0.1, 0.02)


def seen(expression: dict[str, float] | None = None, turn: tuple[float, float, float] = TURN) -> F32:
    """Landmarks of the person in his own crop."""
    return made_face(expression, turn=turn, shift=(0.5, 0.49), scale=FACE_SCALE).landmarks


@pytest.fixture
def front() -> View:
    return made_view(made_face({"jawOpen": 0.2}, turn=TURN, shift=(0.5, 0.49), scale=FACE_SCALE))


def test_the_picture_itself_is_no_motion(front: View) -> None:
    motion = OwnMotion(front, [seen()])(front.landmarks)
    np.testing.assert_array_equal(motion.landmarks, front.landmarks)
    np.testing.assert_allclose(motion.head, np.eye(3, 4), atol=1e-6)
    np.testing.assert_allclose(motion.blink, 0, atol=0.05)
    assert motion.landmarks.dtype == motion.head.dtype == motion.blink.dtype == np.float32


def test_open_faces_stay_where_they_were_seen(front: View) -> None:
    own = OwnMotion(front, [seen()])
    for face in (seen({"jawOpen": 0.7}), seen({"mouthSmileLeft": 1.0, "jawOpen": 0.3}, turn=(0.2, 0.3, 0))):
        np.testing.assert_array_equal(own(face).landmarks, face)


def test_the_head_is_the_way_from_the_picture(front: View) -> None:
    own = OwnMotion(front, [seen()])
    turn = rotation_from_vector(np.array([0.1, 0.3, -0.1], np.float32))
    moved = front.landmarks @ turn.T * np.float32(1.1) + np.array([0.1, -0.05, 0.02], np.float32)
    motion = own(moved.astype(np.float32))
    skull = face_model().rigid > 0.5
    carried = front.landmarks @ motion.head[:, :3].T + motion.head[:, 3]
    np.testing.assert_allclose(carried[skull], moved[skull], atol=1e-4)


@pytest.mark.parametrize("rest_shut", [False, True])
def test_shut_lids_touch_even_if_the_picture_has_them_shut(rest_shut: bool) -> None:
    """What open eyes are is learnt from the clip, not from the picture alone."""
    expression = blink(1.0) if rest_shut else {}
    front = made_view(made_face(expression, turn=TURN, shift=(0.5, 0.49), scale=FACE_SCALE))
    clip = [seen(blink(share)) for share in (0, 0, 1, 0, 0.05, 0)]
    own = OwnMotion(front, clip)
    shut, open_ = own(clip[2]), own(clip[0])
    assert_never_crossed(shut)
    assert max(gap(shut.landmarks, eye) for eye in EYES) < 0.01 and shut.blink.min() > 0.95
    assert min(gap(open_.landmarks, eye) for eye in EYES) > 0.15 and open_.blink.max() < 0.1


def test_what_was_seen_of_mouth_and_eyes_goes_along(front: View) -> None:
    own = OwnMotion(front, [seen()])
    close_ups = np.zeros((3, 32, 32), np.uint8)
    motion = own(seen(), close_ups)
    assert motion.close_ups is close_ups and motion.trust == 1
    assert own(seen()).close_ups is None and own(seen()).trust == 0


def test_lips_that_all_but_touch_do(front: View) -> None:
    near = seen({"jawOpen": 0.02})
    assert gap(near, MOUTH) > 0
    motion = OwnMotion(front, [seen()])(near)
    assert gap(motion.landmarks, MOUTH) < gap(near, MOUTH) + 1e-6
    assert_never_crossed(motion)


def test_it_says_of_blink_and_jaw_what_the_retargeter_says() -> None:
    identity = made_identity(turn=TURN)
    own = OwnMotion(identity.front, [identity.front.landmarks])
    retarget = Retargeter(identity, mode="absolute", smoothing=0)
    rest = made_face(turn=TURN, shift=(0.5, 0.5), scale=FACE_SCALE)
    retarget.prepare([rest])
    for expression in ({"jawOpen": 0.8}, blink(0.5), blink(1.0) | {"jawOpen": 0.3}):
        face = made_face(expression, turn=TURN, shift=(0.5, 0.5), scale=FACE_SCALE)
        mine, other = own(face.landmarks), retarget(Observation(face, 0, 0))
        np.testing.assert_allclose(mine.blink, other.blink, atol=1e-3)
        assert mine.jaw_open == pytest.approx(other.jaw_open, abs=1e-3)
        np.testing.assert_allclose(mine.landmarks[:468], other.landmarks[:468], atol=1e-3)
        np.testing.assert_allclose(mine.head, other.head, atol=1e-3)
