"""From the driver's face to the portrait's: rest, limits, contact, lost faces, calmness and lag."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from made_people import Vector, blink, made_face, made_identity

from avatar.records import F32, U8, Face, Frame, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.retarget.proportions import opening_of
from avatar.retarget.retarget import (
    EASE_NS,
    HOLD_NS,
    RETURN_NS,
    SCALE_LIMIT,
    SHIFT_LIMIT,
    TURN_LIMIT,
    MotionMode,
)
from avatar.tools.facemesh import EYES, IRISES, MOUTH, Opening, face_model
from avatar.tools.geometry import fit_similarity, vector_from_rotation
from avatar.tools.lag import MotionLag
from avatar.tools.outlines import gap
from avatar.track import FaceTracker

PERIOD_NS = 33_333_333
MODES: tuple[MotionMode, ...] = ("relative", "absolute")
SMILE = {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.4}
PX = 1 / 256
"""A pixel of a head crop of 256, in crop units."""


class Driver:
    """Feeds faces to a retargeter with the time stamps of a camera of 30 fps."""

    def __init__(self, identity: Identity, mode: MotionMode = "relative", smoothing: float = 1.0) -> None:
        self.retarget = Retargeter(identity, mode=mode, smoothing=smoothing)
        self.count = 0

    def __call__(self, face: Face | None) -> Motion:
        motion = self.retarget(Observation(face, self.count, self.count * PERIOD_NS))
        self.count += 1
        return motion

    def hold(self, face: Face | None, seconds: float) -> list[Motion]:
        return [self(face) for _ in range(round(seconds * 30))]


@pytest.fixture(scope="module")
def laughing() -> Identity:
    """A made person whose picture laughs and looks a little aside."""
    return made_identity(SMILE, turn=(0.05, -0.2, 0.08), stretch=(1.1, 0.95, 1))


@pytest.fixture(scope="module")
def carphone_faces(carphone_frames: list[U8], face_landmarker_path: object) -> list[Face]:
    """What the tracker sees of the man in the car: 4 s of talking."""
    with FaceTracker() as track:
        seen = [track(Frame(rgb, i, i * PERIOD_NS)) for i, rgb in enumerate(carphone_frames)]
    faces = [face for face in seen if face is not None]
    assert len(faces) == len(carphone_frames)
    return faces


def jump(one: Motion, other: Motion) -> float:
    """The farthest that a landmark moved, pixels of a 256 crop."""
    return float(np.linalg.norm(one.landmarks - other.landmarks, axis=1).max() / PX)


def off(motion: Motion, landmarks: F32) -> float:
    """The farthest that a landmark is off, pixels of a 256 crop."""
    return float(np.linalg.norm(motion.landmarks - landmarks, axis=1).max() / PX)


def with_shut(face: Face, opening: Opening, overlap: float = 0.0) -> Face:
    """The same face with an opening shut; by `overlap` pixels its rims cross."""
    landmarks = face.landmarks.copy()
    for upper, lower in opening.pairs:
        middle = (landmarks[upper] + landmarks[lower]) / 2
        landmarks[upper] = landmarks[lower] = middle
        landmarks[upper, 1] += overlap / 2
        landmarks[lower, 1] -= overlap / 2
    return Face(landmarks, face.blendshapes, face.pose, face.frame_size)


def head_pose(motion: Motion, identity: Identity) -> tuple[F32, F32, float]:
    """How the head is turned [rad], moved [crop units] and grown (logarithm) against the portrait.

    The shift is that of the middle of the face.
    """
    model = face_model()
    pose = fit_similarity(model.mean, identity.landmarks, model.rigid)
    scale = float(np.cbrt(np.linalg.det(motion.head[:, :3].astype(np.float64))))
    turn = vector_from_rotation((motion.head[:, :3] / scale).astype(np.float32))
    moved = motion.head[:, :3] @ pose.shift + motion.head[:, 3] - pose.shift
    return turn, np.asarray(moved, np.float32), float(np.log(scale))


def assert_never_crossed(motion: Motion) -> None:
    for opening in (*EYES, MOUTH):
        upper, lower = (motion.landmarks[[pair[i] for pair in opening.pairs], 1] for i in (0, 1))
        assert (lower - upper).min() > -1e-5


# Rest


def test_a_driver_at_rest_gives_the_portraits_rest(laughing: Identity) -> None:
    drive = Driver(laughing)
    for motion in drive.hold(made_face(turn=(0.1, 0.3, 0), stretch=(0.85, 1.2, 1.1)), 0.5):
        assert off(motion, laughing.neutral) < 0.01
        assert (motion.blink == 0).all()
        np.testing.assert_allclose(motion.head, np.eye(3, 4), atol=1e-5)


def test_the_astronaut_at_rest_is_her_neutral(astronaut_identity: Identity) -> None:
    assert off(Driver(astronaut_identity)(made_face()), astronaut_identity.neutral) < 0.01
    assert off(Driver(astronaut_identity)(made_face()), astronaut_identity.landmarks) > 2  # she smiles


def test_the_expression_of_the_first_face_is_not_taken_for_rest(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    first = drive(made_face(SMILE))
    assert off(first, laughing.neutral) > 3
    assert off(drive(made_face()), laughing.neutral) < 0.3


def test_rest_settles(laughing: Identity) -> None:
    drive = Driver(laughing, smoothing=0)
    talk = [made_face({"jawOpen": 0.3 + 0.3 * np.sin(i)}) for i in range(90)]
    for face in talk:
        drive(face)
    before = drive(made_face({"jawOpen": 0.5}))
    for _ in range(300):
        drive(made_face({"jawOpen": 0.5}))
    assert jump(before, drive(made_face({"jawOpen": 0.5}))) < 1e-3


def test_own_face_as_driver_gives_the_picture_in_absolute_mode(astronaut_identity: Identity) -> None:
    own = Face(
        astronaut_identity.landmarks * 256,
        astronaut_identity.blendshapes,
        astronaut_identity.pose,
        (256, 256),
    )
    drive = Driver(astronaut_identity, "absolute")
    drive.retarget.prepare([own])
    for motion in drive.hold(own, 0.2):
        assert off(motion, astronaut_identity.landmarks) < 0.3


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


# Lids, lips, irises


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


# Faces that go and come


def test_a_lost_face_is_held_and_then_eased_to_rest(laughing: Identity) -> None:
    drive = Driver(laughing)
    drive.hold(made_face(), 0.3)
    last = drive.hold(made_face(SMILE | blink(0.3), turn=(0, 0.25, 0), shift=(340, 230)), 0.5)[-1]
    assert off(last, laughing.neutral) > 8
    lost = drive.hold(None, (HOLD_NS + EASE_NS) / 1e9 + 0.2)
    times = np.arange(1, len(lost) + 1) * PERIOD_NS
    distance = np.array([off(motion, laughing.neutral) for motion in lost])
    held = times <= HOLD_NS
    assert max(jump(last, lost[i]) for i in np.flatnonzero(held)) == 0
    assert (np.diff(distance) <= 1e-4).all()
    easing = ~held & (times < HOLD_NS + EASE_NS)
    assert (np.diff(distance[easing]) < 0).all()
    assert distance[times >= HOLD_NS + EASE_NS].max() < 1e-3
    steps = [jump(*pair) for pair in pairwise([last, *lost])]
    assert max(steps) < 2.2 * distance[0] / (EASE_NS / PERIOD_NS), "no jump in the easing"


@pytest.mark.parametrize("away", [1, 5, 20, 60])
def test_a_face_that_comes_back_is_joined_without_a_jump(laughing: Identity, away: int) -> None:
    drive = Driver(laughing)
    drive.hold(made_face(turn=(0, -0.2, 0)), 0.3)
    before = drive.hold(made_face(turn=(0, -0.2, 0)), 0.3)[-1]
    lost = [drive(None) for _ in range(away)]
    back = drive.hold(made_face(SMILE | blink(1.0), turn=(0, 0.3, 0), shift=(350, 240)), 1.0)
    whole = jump(lost[-1], back[-1])
    assert whole > 10
    everything = [before, *lost, *back]
    steps = [jump(*pair) for pair in pairwise(everything)]
    assert max(steps) < 2.2 * whole / (RETURN_NS / PERIOD_NS)
    blinks = [float(motion.blink[0]) for motion in everything]
    assert blinks[-1] > 0.9
    assert np.abs(np.diff(blinks)).max() < 0.3, "the lids do not snap"
    assert steps[-1] < 0.01


def test_the_first_face_is_joined_without_a_jump_too(laughing: Identity) -> None:
    drive = Driver(laughing, "absolute")
    waiting = drive.hold(None, 0.3)
    assert off(waiting[-1], laughing.neutral) < 1e-3
    back = drive.hold(made_face(SMILE, turn=(0, 0.4, 0)), 1.0)
    everything = [*waiting, *back]
    steps = [jump(*pair) for pair in pairwise(everything)]
    assert max(steps) < 2.2 * jump(waiting[-1], back[-1]) / (RETURN_NS / PERIOD_NS)


def test_a_face_lost_while_it_is_being_joined_is_held(laughing: Identity) -> None:
    drive = Driver(laughing)
    drive.hold(made_face(), 0.3)
    smile = made_face(SMILE, turn=(0, 0.3, 0))
    everything = [*drive.hold(None, 0.2), *(drive(smile) for _ in range(3)), *(drive(None) for _ in range(5))]
    everything += [drive(smile) for _ in range(30)]
    steps = [jump(*pair) for pair in pairwise(everything)]
    assert max(steps) < 0.4 * jump(everything[0], everything[-1])


def test_before_any_face_there_is_the_resting_portrait(laughing: Identity) -> None:
    motion = Driver(laughing)(None)
    assert off(motion, laughing.neutral) < 1e-3
    np.testing.assert_allclose(motion.head, np.eye(3, 4), atol=1e-6)


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


# Calm and quick


def test_smoothing_calms_a_still_noisy_face(laughing: Identity) -> None:
    """A tracker's noise: each landmark a little, the whole head a little."""
    random = np.random.default_rng(5)
    noisy = [
        made_face(
            noise=random.normal(0, 0.3, (478, 3)).astype(np.float32),
            turn=(0, float(random.normal(0, 0.01)), 0),
            shift=(320 + float(random.normal(0, 0.7)), 240),
        )
        for _ in range(90)
    ]
    jitter = {}
    for smoothing in (0.0, 1.0, 2.0):
        drive = Driver(laughing, smoothing=smoothing)
        drive.retarget.prepare(noisy)
        jitter[smoothing] = np.array([drive(face).landmarks for face in noisy])[30:].std(axis=0).mean()
    assert jitter[1.0] < 0.6 * jitter[0.0]
    assert jitter[2.0] < 0.8 * jitter[1.0]


@pytest.mark.parametrize("mode", MODES)
def test_smoothing_hardly_lags_on_a_talking_face(
    laughing: Identity, carphone_faces: list[Face], mode: MotionMode
) -> None:
    found = {}
    for smoothing in (0.0, 1.0, 8.0):
        drive, lag = Driver(laughing, mode, smoothing), MotionLag()
        drive.retarget.prepare(carphone_faces)
        for index, face in enumerate(carphone_faces):
            lag.record(index * PERIOD_NS, face.landmarks, drive(face).landmarks)
        found[smoothing] = lag.lag_ms()
    assert found[0.0] == pytest.approx(0, abs=4)
    assert found[1.0] is not None and found[1.0] < 15
    assert found[8.0] is not None and found[8.0] > 15, "the measure sees a lag where there is one"


def test_stopped_and_jumping_clocks_do_no_harm(laughing: Identity) -> None:
    retarget = Retargeter(laughing)
    for time in (0, 0, 0, 10**9, 10**9 - 5, 10**12, 10**12):
        motion = retarget(Observation(made_face({"jawOpen": 0.5}), 0, time))
        assert np.isfinite(motion.landmarks).all() and np.isfinite(motion.head).all()


def test_motions_are_fresh_and_typed(laughing: Identity) -> None:
    drive = Driver(laughing)
    one, two = drive(made_face()), drive(made_face())
    assert one.landmarks.shape == (478, 3) and one.head.shape == (3, 4) and one.blink.shape == (2,)
    assert {one.landmarks.dtype, one.head.dtype, one.blink.dtype} == {np.dtype(np.float32)}
    for name in ("landmarks", "head", "blink"):
        assert not np.shares_memory(getattr(one, name), getattr(two, name))
    held, still = drive(None), drive(None)
    assert not np.shares_memory(held.landmarks, still.landmarks)


def test_the_head_matrix_moves_the_resting_face(laughing: Identity) -> None:
    """Motion.head is the rigid part: it moves the portrait's points as the landmarks move."""
    drive = Driver(laughing, smoothing=0)
    drive(made_face())
    motion = drive(made_face(turn=(0.1, 0.2, -0.1), shift=(330, 235), scale=63))
    wanted = laughing.neutral @ motion.head[:, :3].T + motion.head[:, 3]
    assert off(motion, wanted.astype(np.float32)) < 0.05


def test_opening_of_tells_crossed_rims() -> None:
    shape = face_model().mean.copy()
    assert opening_of(shape, MOUTH) > 0
    for upper, lower in MOUTH.pairs:
        shape[[upper, lower]] = shape[[lower, upper]]
    assert opening_of(shape, MOUTH) < 0
