"""The follower of one face, on composed scenes and a real clip."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.records import BLENDSHAPES, LANDMARKS, U8, Face, Frame
from avatar.track import FaceFinder, FaceTracker
from avatar.track.boxes import Place
from avatar.track.tracker import GRACE_S

FPS = 30
SIZE = (640, 360)

pytestmark = pytest.mark.usefixtures("face_landmarker_path")


@pytest.fixture
def tracker() -> Iterator[FaceTracker]:
    with FaceTracker() as tracker:
        yield tracker


@pytest.fixture(scope="module")
def finder(face_landmarker_path: Path) -> Iterator[FaceFinder]:
    with FaceFinder() as finder:
        yield finder


class Actor:
    """The astronaut's head, to be put anywhere at any size."""

    def __init__(self, astronaut: U8) -> None:
        self.head = astronaut[10:230, 120:340]
        self.offset = (225 - 120, 124 - 10)

    def into(self, scene: U8, x: int, y: int, size: int) -> None:
        """Paint the head so that the face's centre is at x, y and the face `size` px high."""
        scale = size / 106
        head = cv2.resize(self.head, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        left, top = round(x - self.offset[0] * scale), round(y - self.offset[1] * scale)
        height, width = scene.shape[:2]
        rows = slice(max(top, 0), min(top + head.shape[0], height))
        columns = slice(max(left, 0), min(left + head.shape[1], width))
        scene[rows, columns] = head[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]


@pytest.fixture
def actor(astronaut: U8) -> Actor:
    return Actor(astronaut)


def scene_of(actor: Actor, *faces: tuple[int, int, int], size: tuple[int, int] = SIZE) -> U8:
    scene: U8 = np.full((size[1], size[0], 3), (90, 110, 130), np.uint8)
    for x, y, height in faces:
        actor.into(scene, x, y, height)
    return scene


def follow(tracker: FaceTracker, scenes: list[U8], start: int = 0) -> list[Face | None]:
    """What the tracker says to each scene, shown at 30 fps from frame number `start` on."""
    return [
        tracker(Frame(scene, index, index * 1_000_000_000 // FPS))
        for index, scene in enumerate(scenes, start)
    ]


def assert_at(face: Face | None, x: int, y: int, size: int) -> None:
    assert face is not None
    place = Place.of(face)
    assert abs(place.x - x) < 0.12 * size, place
    assert abs(place.y - y) < 0.12 * size, place
    assert abs(place.size - size) < 0.12 * size, place


SMALL = (180, 150, 100)
BIG = (450, 190, 170)


def test_a_face_is_numbers_of_the_promised_kinds(tracker: FaceTracker, astronaut: U8) -> None:
    (face,) = follow(tracker, [astronaut])
    assert face is not None
    assert face.landmarks.shape == (LANDMARKS, 3)
    assert face.landmarks.dtype == np.float32
    assert face.blendshapes.shape == (BLENDSHAPES,)
    assert face.blendshapes.dtype == np.float32
    assert face.pose.shape == (4, 4)
    assert face.pose.dtype == np.float32
    assert face.frame_size == (512, 512)
    np.testing.assert_allclose(face.pose[:3, :3] @ face.pose[:3, :3].T, np.eye(3), atol=1e-3)


def test_follows_a_real_clip_as_closely_as_pictures(
    tracker: FaceTracker, finder: FaceFinder, carphone_frames: list[U8]
) -> None:
    faces = follow(tracker, carphone_frames)
    assert all(face is not None for face in faces)
    for index in range(10, 120, 20):
        (still,) = finder(carphone_frames[index])
        followed = faces[index]
        assert followed is not None
        distance = np.linalg.norm(followed.landmarks[:, :2] - still.landmarks[:, :2], axis=1).mean()
        assert distance < 0.03 * Place.of(still).size


def test_starts_with_the_biggest_face(tracker: FaceTracker, actor: Actor) -> None:
    for face in follow(tracker, [scene_of(actor, SMALL, BIG)] * 3):
        assert_at(face, *BIG)


def test_a_bigger_face_that_enters_does_not_take_over(tracker: FaceTracker, actor: Actor) -> None:
    scenes = [scene_of(actor, SMALL)] * 5
    scenes += [scene_of(actor, SMALL, (max(450, 700 - 20 * step), 190, 170)) for step in range(25)]
    for face in follow(tracker, scenes):
        assert_at(face, *SMALL)


def test_when_the_face_leaves_the_other_one_waits_for_the_grace_period(
    tracker: FaceTracker, actor: Actor
) -> None:
    follow(tracker, [scene_of(actor, SMALL, (*BIG[:2], 60))] * 3)
    grace = int(GRACE_S * FPS)
    faces = follow(tracker, [scene_of(actor, BIG)] * (grace + 3), start=3)
    assert faces[: grace - 1] == [None] * (grace - 1)
    assert_at(faces[-1], *BIG)


def test_the_same_face_is_taken_up_again_when_it_comes_back(tracker: FaceTracker, actor: Actor) -> None:
    follow(tracker, [scene_of(actor, SMALL)] * 3)
    gone = follow(tracker, [scene_of(actor, BIG)] * 20, start=3)
    assert gone == [None] * 20
    for face in follow(tracker, [scene_of(actor, (190, 155, 105), BIG)] * 3, start=23):
        assert_at(face, 190, 155, 105)


def test_a_face_that_moves_fast_stays_the_same_one(tracker: FaceTracker, actor: Actor) -> None:
    bystander = (560, 290, 95)
    places = [(100 + 20 * step, 130, 100 + 3 * step) for step in range(16)]
    for place, face in zip(
        places, follow(tracker, [scene_of(actor, bystander, place) for place in places]), strict=True
    ):
        assert face is not None
        assert Place.of(face).distance(Place(*place)) < 0.2


def test_an_empty_picture_has_no_face(tracker: FaceTracker) -> None:
    empty: U8 = np.full((360, 640, 3), 100, np.uint8)
    assert follow(tracker, [empty] * 3) == [None] * 3


@pytest.mark.parametrize("size", [45, 60])
def test_a_face_too_small_for_the_detector_is_followed(tracker: FaceTracker, actor: Actor, size: int) -> None:
    scenes = [scene_of(actor, (200 + 2 * step, 150, size)) for step in range(10)]
    faces = follow(tracker, scenes)
    for step, face in enumerate(faces):
        assert_at(face, 200 + 2 * step, 150, size)
    assert tracker.searches == 1, "found anew in each frame instead of followed"


def test_reset_takes_the_biggest_face_again(tracker: FaceTracker, actor: Actor) -> None:
    follow(tracker, [scene_of(actor, SMALL)] * 2)
    both = scene_of(actor, SMALL, BIG)
    assert_at(follow(tracker, [both], start=2)[0], *SMALL)
    tracker.reset()
    assert_at(follow(tracker, [both], start=3)[0], *BIG)


def test_frames_of_another_size_start_anew(tracker: FaceTracker, actor: Actor) -> None:
    follow(tracker, [scene_of(actor, SMALL)] * 3)
    for face in follow(tracker, [scene_of(actor, (600, 300, 200), size=(1280, 720))] * 3, start=3):
        assert_at(face, 600, 300, 200)
        assert face is not None
        assert face.frame_size == (1280, 720)


def test_frames_of_the_same_moment_are_taken(tracker: FaceTracker, astronaut: U8) -> None:
    assert all(tracker(Frame(astronaut, index, 5)) for index in range(3))


def covered(frame: U8, face: Face, low: float, high: float) -> U8:
    """The frame with a dark card over the face, from `low` to `high` of its height, wider than the face."""
    points = face.landmarks[:, :2]
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    height = bottom - top
    result = frame.copy()
    rows = slice(int(top + low * height), int(top + high * height))
    result[rows, max(int(left) - 5, 0) : int(right) + 5] = (60, 45, 40)
    return result


UPPER = [33, 133, 362, 263, 6, 168]
"""The corners of the eyes and the root of the nose."""


def test_something_before_the_mouth_does_not_throw_the_face_about(
    tracker: FaceTracker, finder: FaceFinder, carphone_frames: list[U8]
) -> None:
    plain = [finder(frame)[0] for frame in carphone_frames[:50]]
    scenes = [
        covered(frame, face, 1.3 - 0.7 * min(1, step / 10), 1.4) if 10 <= step < 40 else frame
        for step, (frame, face) in enumerate(zip(carphone_frames[:50], plain, strict=True))
    ]
    for face, true in zip(follow(tracker, scenes), plain, strict=True):
        assert face is not None
        height = Place.of(true).size
        off = np.linalg.norm(face.landmarks[UPPER, :2] - true.landmarks[UPPER, :2], axis=1)
        assert off.mean() < 0.05 * height
        assert 0.8 < Place.of(face).size / height < 1.2
        assert np.linalg.norm(face.landmarks[13, :2] - face.landmarks[14, :2]) < 0.2 * height


def test_a_covered_face_is_lost_and_found_again(
    tracker: FaceTracker, finder: FaceFinder, carphone_frames: list[U8]
) -> None:
    shown = carphone_frames[:40]
    scenes = [
        covered(frame, finder(frame)[0], -0.3, 1.3) if 5 <= step < 30 else frame
        for step, frame in enumerate(shown)
    ]
    faces = follow(tracker, scenes)
    assert faces[8:30] == [None] * 22
    for face, frame in zip(faces[31:], shown[31:], strict=True):
        place = Place.of(finder(frame)[0])
        assert_at(face, round(place.x), round(place.y), round(place.size))


def test_the_terminal_stays_quiet(face_landmarker_path: Path) -> None:
    code = (
        "import numpy as np\n"
        "from skimage.data import astronaut\n"
        "from avatar.records import Frame\n"
        "from avatar.track import FaceTracker\n"
        "with FaceTracker() as tracker:\n"
        "    assert tracker(Frame(astronaut(), 0, 0)) and tracker(Frame(astronaut(), 1, 33_000_000))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
