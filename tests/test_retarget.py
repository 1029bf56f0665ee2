"""From the driver's face to the portrait's: rest, limits, contact, lost faces, calmness and lag."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from made_drivers import SMILE, Driver, assert_never_crossed, jump, off
from made_people import Vector, blink, made_face, made_identity

from avatar.records import F32, U8, Face, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.retarget.retarget import (
    SCALE_LIMIT,
    SHIFT_LIMIT,
    TURN_LIMIT,
    MotionMode,
)
from avatar.tools.close_ups import CLOSE_UP
from avatar.tools.facemesh import EYES, MOUTH, face_model
from avatar.tools.geometry import fit_similarity, vector_from_rotation
from avatar.tools.outlines import gap

MODES: tuple[MotionMode, ...] = ("relative", "absolute")


@pytest.fixture(scope="module")
def laughing() -> Identity:
    """A made person whose picture laughs and looks a little aside."""
    return made_identity(SMILE, turn=(0.05, -0.2, 0.08), stretch=(1.1, 0.95, 1))


def head_pose(motion: Motion, identity: Identity) -> tuple[F32, F32, float]:
    """How the head is turned [rad], moved [crop units] and grown (logarithm) against the portrait.

    The shift is that of the middle of the face.
    """
    model = face_model()
    pose = fit_similarity(model.mean, identity.front.landmarks, model.rigid)
    scale = float(np.cbrt(np.linalg.det(motion.head[:, :3].astype(np.float64))))
    turn = vector_from_rotation((motion.head[:, :3] / scale).astype(np.float32))
    moved = motion.head[:, :3] @ pose.shift + motion.head[:, 3] - pose.shift
    return turn, np.asarray(moved, np.float32), float(np.log(scale))


# Rest


def test_a_driver_at_rest_gives_the_portraits_rest(laughing: Identity) -> None:
    drive = Driver(laughing)
    for motion in drive.hold(made_face(turn=(0.1, 0.3, 0), stretch=(0.85, 1.2, 1.1)), 0.5):
        assert off(motion, laughing.neutral) < 0.01
        assert (motion.blink == 0).all()
        np.testing.assert_allclose(motion.head, np.eye(3, 4), atol=1e-5)


def test_the_astronaut_at_rest_is_her_neutral(astronaut_identity: Identity) -> None:
    assert off(Driver(astronaut_identity)(made_face()), astronaut_identity.neutral) < 0.01
    assert off(Driver(astronaut_identity)(made_face()), astronaut_identity.front.landmarks) > 2  # she smiles


def test_the_expression_of_the_first_face_is_not_taken_for_rest(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    first = drive(made_face(SMILE))
    assert off(first, laughing.neutral) > 3
    assert off(drive(made_face()), laughing.neutral) < 0.3


def without_scores(face: Face) -> Face:
    """The same face, its expression not noticed: as if these were the driver's own features."""
    return Face(face.landmarks, face.blendshapes * 0, face.pose, face.frame_size)


def test_rest_is_refined_and_then_settles(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    wrong = without_scores(made_face({"jawOpen": 0.5}))
    assert off(drive(wrong), laughing.neutral) < 0.5
    drive.hold(made_face(), 3.0)
    before = drive(wrong)
    assert off(before, laughing.neutral) > 3, "the first guess was mended"
    drive.hold(wrong, 10.0)
    assert jump(before, drive(wrong)) < 1e-3, "and what was found is kept"


def test_a_whole_clip_knows_which_of_its_faces_is_like_the_picture(laughing: Identity) -> None:
    """Absolute: the face with the portrait's expression and direction gives the portrait as it is."""
    alike = made_face(SMILE, turn=(0.05, -0.2, 0.08))
    clip = [made_face(), alike, made_face(SMILE, turn=(0.3, 0.4, 0)), made_face({"mouthPucker": 1.0})]
    drive = Driver(laughing, "absolute", smoothing=0)
    drive.retarget.prepare(clip)
    assert off(drive(alike), laughing.front.landmarks) < 1
    assert off(drive(clip[-1]), laughing.front.landmarks) > 8


def test_own_face_as_driver_gives_the_picture_in_absolute_mode(astronaut_identity: Identity) -> None:
    own = Face(
        astronaut_identity.front.landmarks * 256,
        astronaut_identity.front.blendshapes,
        astronaut_identity.front.pose,
        (256, 256),
    )
    drive = Driver(astronaut_identity, "absolute")
    drive.retarget.prepare([own])
    for motion in drive.hold(own, 0.2):
        assert off(motion, astronaut_identity.front.landmarks) < 0.3


def test_absolute_takes_the_drivers_direction_and_relative_keeps_the_portraits(laughing: Identity) -> None:
    aside = made_face(turn=(0, 0.4, 0))
    model = face_model()
    for mode, wanted in (("relative", (0.05, -0.2, 0.08)), ("absolute", (0, 0.4, 0))):
        drive = Driver(laughing, "relative" if mode == "relative" else "absolute", smoothing=0)
        drive.retarget.prepare([aside])
        found = fit_similarity(model.mean, drive(aside).landmarks, model.rigid)
        np.testing.assert_allclose(vector_from_rotation(found.rotation), wanted, atol=0.03)


# The driver's camera and proportions


@pytest.mark.parametrize("mode", MODES)
def test_the_drivers_place_and_size_in_the_camera_do_not_matter(
    laughing: Identity, carphone_faces: list[Face], mode: MotionMode
) -> None:
    near, far = Driver(laughing, mode), Driver(laughing, mode)
    offset = np.array([170, -60, 0], np.float32)
    for face in carphone_faces[:60]:
        other = Face(face.landmarks * 2.5 + offset, face.blendshapes, face.pose, (800, 600))
        assert jump(near(face), far(other)) < 0.01


def test_the_head_follows_turn_shift_and_approach(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    drive.retarget.prepare([made_face()])
    turn, _, _ = head_pose(drive(made_face(turn=(0, 0.2, 0))), laughing)
    np.testing.assert_allclose(turn, (0, 0.2, 0), atol=1e-3)
    _, shift, _ = head_pose(drive(made_face(shift=(320 + 20, 240 - 10))), laughing)
    assert shift[0] == pytest.approx(20 / 60 * 0.11 * 0.7, rel=0.05)
    assert shift[1] == pytest.approx(-10 / 60 * 0.11 * 0.7, rel=0.05)
    _, _, scale = head_pose(drive(made_face(scale=66)), laughing)
    assert scale == pytest.approx(0.7 * np.log(1.1), abs=1e-3)


@pytest.mark.parametrize("stretch", [(0.8, 1.2, 1), (1.25, 0.85, 1), (1, 1, 0.6)])
def test_a_driver_of_other_proportions_does_not_lend_them(laughing: Identity, stretch: Vector) -> None:
    drive = Driver(laughing, smoothing=0)
    drive.retarget.prepare([made_face(stretch=stretch)])
    rest = drive(made_face(stretch=stretch))
    assert off(rest, laughing.neutral) < 0.3, "only the lips may come a little nearer"
    open_wide = made_face(blink(1.0) | {"jawOpen": 0.7}, stretch=stretch)
    motion = drive(open_wide)
    assert max(gap(motion.landmarks, eye) for eye in EYES) < 0.01
    assert_never_crossed(motion)
    opened = gap(motion.landmarks, MOUTH) - gap(rest.landmarks, MOUTH)
    drivers = gap(open_wide.landmarks, MOUTH) - gap(made_face(stretch=stretch).landmarks, MOUTH)
    assert opened == pytest.approx(drivers, rel=0.15), "as wide as the driver's, in parts of the mouth"


@pytest.mark.parametrize("mode", MODES)
def test_limits_hold_for_extreme_poses(laughing: Identity, mode: MotionMode) -> None:
    extremes = [
        made_face(turn=turn, shift=shift, scale=scale)
        for turn in ((0, 1.4, 0), (0, -1.4, 0), (1.2, 0, 0), (0, 0, -1.5), (0.9, 0.9, 0.9))
        for shift, scale in (((9000, 240), 60), ((320, -9000), 600), ((-9000, 9000), 6))
    ]
    drive = Driver(laughing, mode, smoothing=0)
    drive.retarget.prepare([made_face()])
    widest = np.zeros(3)
    for face in extremes:
        motion = drive(face)
        assert np.isfinite(motion.landmarks).all()
        turn, shift, scale = head_pose(motion, laughing)
        assert np.abs(turn).max() <= TURN_LIMIT[mode] + 1e-3
        assert np.abs(shift).max() <= SHIFT_LIMIT[mode] + 1e-4
        assert abs(scale) <= SCALE_LIMIT[mode] + 1e-4
        widest = np.maximum(widest, (np.abs(turn).max(), np.abs(shift).max(), abs(scale)))
    limits = np.array((TURN_LIMIT[mode], SHIFT_LIMIT[mode], SCALE_LIMIT[mode]))
    assert (widest > 0.9 * limits).all(), "the extremes reach what is allowed"


# The neutral face and whole clips


@pytest.mark.parametrize("mode", MODES)
def test_set_neutral_from_another_thread_takes_the_next_face(laughing: Identity, mode: MotionMode) -> None:
    drive = Driver(laughing, mode, smoothing=0)
    odd = made_face({"browDownLeft": 1.0, "mouthFrownLeft": 1.0, "jawOpen": 0.3}, turn=(0.2, 0.1, 0))
    before = drive.hold(odd, 0.2)[-1]
    assert off(before, laughing.neutral) > 3
    thread = threading.Thread(target=drive.retarget.set_neutral)
    thread.start()
    thread.join()
    after = drive.hold(odd, 1.0)[-1]
    if mode == "relative":
        assert off(after, laughing.neutral) < 0.01
    other = drive.hold(made_face(SMILE), 0.2)[-1]
    assert off(other, laughing.neutral) > 3, "only one face was taken"
    settled = drive.hold(odd, 4.0)[-1]
    assert jump(after, settled) < 1e-3, "what was set is kept"


def test_reset_forgets_the_driver(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    drive.retarget.set_neutral()
    drive.hold(made_face(SMILE, stretch=(0.8, 1.2, 1)), 1.0)
    drive.retarget.reset()
    assert off(drive(None), laughing.neutral) < 1e-3
    assert off(drive(made_face()), laughing.neutral) < 0.01


@pytest.mark.parametrize("mode", MODES)
def test_a_clip_is_prepared_with_its_holes(laughing: Identity, mode: MotionMode) -> None:
    clip = [None, made_face(SMILE), None, made_face({"jawOpen": 0.2}), made_face(turn=(0, 0.2, 0)), None]
    drive = Driver(laughing, mode)
    drive.retarget.prepare(clip)
    assert all(np.isfinite(drive(face).landmarks).all() for face in clip)
    empty = Driver(laughing, mode)
    empty.retarget.prepare([None, None])
    assert off(empty(None), laughing.neutral) < 1e-3
    assert np.isfinite(empty(made_face()).landmarks).all()


def test_prepare_knows_the_rest_before_the_first_frame(laughing: Identity) -> None:
    """A driver whose scores are wrong in the first frame is known from his later ones."""
    wrong = made_face(SMILE)
    wrong = Face(wrong.landmarks, wrong.blendshapes * 0, wrong.pose, wrong.frame_size)
    other = Driver(laughing, smoothing=0)
    assert off(other(wrong), laughing.neutral) < 0.01
    drive = Driver(laughing, smoothing=0)
    drive.retarget.prepare([wrong, *[made_face()] * 60])
    assert off(drive(wrong), laughing.neutral) > 3
    assert off(drive(made_face()), laughing.neutral) < 0.5


# Whatever comes


def test_stopped_and_jumping_clocks_do_no_harm(laughing: Identity) -> None:
    retarget = Retargeter(laughing)
    for time in (0, 0, 0, 10**9, 10**9 - 5, 10**12, 10**12):
        motion = retarget(Observation(made_face({"jawOpen": 0.5}), 0, time))
        assert np.isfinite(motion.landmarks).all() and np.isfinite(motion.head).all()


def test_the_drivers_close_ups_count_as_long_as_he_is_there(laughing: Identity) -> None:
    retarget = Retargeter(laughing)
    seen = np.full((3, CLOSE_UP, CLOSE_UP), 200, np.uint8)

    def at(ms: int, face: Face | None, close_ups: U8 | None) -> tuple[U8 | None, float]:
        motion = retarget(Observation(face, 0, ms * 1_000_000, close_ups))
        return motion.close_ups, motion.trust

    def assert_seen(ms: int, face: Face | None, level: int) -> None:
        close_ups, trust = at(ms, face, None if face is None else seen)
        assert close_ups is not None and (close_ups == level).all() and trust == 1

    assert at(0, None, None) == (None, 0)
    for ms in range(66, 800, 33):
        at(ms, made_face(), seen)
    assert_seen(800, made_face(), 200)
    assert_seen(1000, None, 200)  # held
    # Another look after a short loss comes by and by, as the landmarks do.
    seen = seen // 2
    levels = [int(at(ms, made_face(), seen)[0].max()) for ms in range(1033, 1400, 33)]  # type: ignore[union-attr]
    assert levels == sorted(levels, reverse=True) and levels[0] > 190 and 100 < levels[3] < 190
    assert_seen(1433, made_face(), 100)
    shares = [at(ms, None, None)[1] for ms in range(1800, 3000, 100)]
    assert shares == sorted(shares, reverse=True) and 0 < shares[3] < 1
    assert at(3000, None, None) == (None, 0)
    # Landmarks alone, as of a recording.
    for ms in range(3100, 4000, 33):
        last = at(ms, made_face(), None)
    assert last == (None, 0)


def test_motions_are_fresh_and_typed(laughing: Identity) -> None:
    drive = Driver(laughing)
    one, two = drive(made_face()), drive(made_face())
    assert one.landmarks.shape == (478, 3) and one.head.shape == (3, 4) and one.blink.shape == (2,)
    assert {one.landmarks.dtype, one.head.dtype, one.blink.dtype} == {np.dtype(np.float32)}
    for name in ("landmarks", "head", "blink"):
        assert not np.shares_memory(getattr(one, name), getattr(two, name))
    held, still = drive(None), drive(None)
    assert not np.shares_memory(held.landmarks, still.landmarks)
    assert not np.shares_memory(held.blink, still.blink)


def test_the_head_matrix_moves_the_resting_face(laughing: Identity) -> None:
    """Motion.head is the rigid part: it moves the portrait's points as the landmarks move."""
    drive = Driver(laughing, smoothing=0)
    drive(made_face())
    motion = drive(made_face(turn=(0.1, 0.2, -0.1), shift=(330, 235), scale=63))
    wanted = laughing.neutral @ motion.head[:, :3].T + motion.head[:, 3]
    assert off(motion, wanted.astype(np.float32)) < 0.05
