"""The models in a loop of ours give what MediaPipe itself gives, which is loaded here to compare with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from avatar.errors import ModelError
from avatar.records import F32, U8, Face, Frame
from avatar.track import FaceFinder, FaceTracker, PersonSegmenter, mediapipe_landmarker
from avatar.track.boxes import Place
from avatar.track.landmarker import open_landmarker
from avatar.track.litert_landmarker import LiteRTLandmarker
from avatar.track.mediapipe_landmarker import MediaPipeLandmarker, base_options, load_vision, to_image
from avatar.track.quiet import quiet_stderr

HEAD = 256 / 2.1
"""Pixels of a face in a head crop of 256 pixels a side."""
FAR, SCORE, DEGREES = 0.15, 0.004, 0.4
"""What may differ: landmarks [px of such a crop], expression, pose. The most seen: 0.042, 0.0012 and 0.14."""

Find = Callable[[U8], list[Face]]


@pytest.fixture(scope="module")
def ours(face_landmarker_path: Path) -> Iterator[Find]:
    with open_landmarker("litert", 4) as landmarker:
        assert isinstance(landmarker, LiteRTLandmarker)
        yield landmarker.find


@pytest.fixture(scope="module")
def theirs(face_landmarker_path: Path) -> Iterator[Find]:
    with open_landmarker("mediapipe", 4) as landmarker:
        assert isinstance(landmarker, MediaPipeLandmarker)
        yield landmarker.find


def distance(one: F32, other: F32) -> float:
    """Mean distance of landmarks in pixels of a head crop."""
    off = np.linalg.norm(one[:, :2] - other[:, :2], axis=1).mean()
    return float(off) / Place.at(other).size * HEAD


def degrees(one: F32, other: F32) -> float:
    """The angle between two poses."""
    a, b = (pose[:3, :3].astype(np.float64) / np.cbrt(np.linalg.det(pose[:3, :3])) for pose in (one, other))
    return float(np.degrees(2 * np.arcsin(min(np.linalg.norm(a - b) / np.sqrt(8), 1))))


def assert_alike(one: Face, other: Face, *, turned: float = DEGREES) -> None:
    assert distance(one.landmarks, other.landmarks) < FAR
    assert np.abs(one.blendshapes - other.blendshapes).mean() < SCORE
    assert degrees(one.pose, other.pose) < turned
    away = other.pose[:3, 3]
    assert np.linalg.norm(one.pose[:3, 3] - away) < 0.02 * np.linalg.norm(away)
    assert one.frame_size == other.frame_size


def moments(clip: Path, every: int, most: int) -> list[U8]:
    """Each `every`-th frame of a clip, `most` of them at most."""
    with av.open(str(clip)) as container:
        frames = itertools.islice(container.decode(video=0), 0, every * most, every)
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames]


def test_a_picture(ours: Find, theirs: Find, astronaut: U8) -> None:
    (one,), (other,) = ours(astronaut), theirs(astronaut)
    assert_alike(one, other)
    np.testing.assert_allclose(one.landmarks[:, 2], other.landmarks[:, 2], atol=0.5)


@pytest.mark.parametrize("size", [(640, 480), (301, 256), (97, 64)])
def test_pictures_of_any_shape(ours: Find, theirs: Find, astronaut: U8, size: tuple[int, int]) -> None:
    picture = np.asarray(cv2.resize(astronaut[20:260, 100:400], size), np.uint8)
    (one,), (other,) = ours(picture), theirs(picture)
    assert_alike(one, other)


@pytest.mark.parametrize("tilt", [-40, -15, 25])
def test_tilted_heads(ours: Find, theirs: Find, astronaut: U8, tilt: int) -> None:
    turn = cv2.getRotationMatrix2D((225, 124), tilt, 1.5)
    picture = np.asarray(cv2.warpAffine(astronaut, turn, (512, 400)), np.uint8)
    (one,), (other,) = ours(picture), theirs(picture)
    assert distance(one.landmarks, other.landmarks) < FAR
    assert np.abs(one.blendshapes - other.blendshapes).mean() < SCORE
    # In a picture that is not square MediaPipe makes a tilted face deeper.
    assert degrees(one.pose, other.pose) < 2.5


def test_several_faces_in_the_same_order(ours: Find, theirs: Find, astronaut: U8) -> None:
    picture = np.full((360, 640, 3), 100, np.uint8)
    for left, size in ((0, 215), (215, 200), (420, 220)):
        picture[60 : 60 + size, left : left + size] = cv2.resize(astronaut[10:230, 120:340], (size, size))
    some, others = ours(picture), theirs(picture)
    assert len(some) == len(others) == 3
    for one, other in zip(some, others, strict=True):
        assert distance(one.landmarks, other.landmarks) < FAR


def test_a_clip(ours: Find, theirs: Find, carphone_frames: list[U8]) -> None:
    for frame in carphone_frames[::15]:
        (one,), (other,) = ours(frame), theirs(frame)
        assert_alike(one, other, turned=1)  # he tilts his head, see the test before


def test_many_people(ours: Find, theirs: Find, shared_data: Path) -> None:
    clips = sorted((shared_data / "clips" / "dev").iterdir())
    assert len(clips) > 10
    for clip in clips:
        for frame in moments(clip, every=20, most=3):
            for one, other in zip(ours(frame), theirs(frame), strict=True):
                assert_alike(one, other, turned=1)


@contextmanager
def video_mode() -> Iterator[Callable[[U8, int], F32]]:
    vision = load_vision()
    options = vision.FaceLandmarkerOptions(
        base_options=base_options("face_landmarker"), running_mode=vision.RunningMode.VIDEO
    )
    with quiet_stderr():
        task = vision.FaceLandmarker.create_from_options(options)
    with closing(task):

        def landmarks(rgb: U8, milliseconds: int) -> F32:
            (points,) = task.detect_for_video(to_image(rgb), milliseconds).face_landmarks
            size = np.array([rgb.shape[1], rgb.shape[0]])
            return np.array([(p.x, p.y) for p in points], np.float32) * size.astype(np.float32)

        yield landmarks


def test_following_is_mediapipes_video_mode(face_landmarker_path: Path, carphone_frames: list[U8]) -> None:
    with video_mode() as watch, FaceTracker() as track:
        far = []
        for index, rgb in enumerate(carphone_frames):
            face = track(Frame(rgb, index, index * 33_000_000))
            assert face is not None
            far.append(distance(face.landmarks, watch(rgb, 1 + index * 33)))
    # They start from other regions, and a smooth face is slow to forget it.
    assert np.mean(far) < 0.3
    assert np.mean(far[60:]) < 0.1
    assert track.searches == 1


def test_mediapipe_itself_follows_too(face_landmarker_path: Path, carphone_frames: list[U8]) -> None:
    with FaceTracker() as plain, FaceTracker("mediapipe") as itself:
        for index, rgb in enumerate(carphone_frames[:20]):
            frame = Frame(rgb, index, index * 33_000_000)
            one, other = plain(frame), itself(frame)
            assert one is not None
            assert other is not None
            assert distance(one.landmarks, other.landmarks) < 3
            assert degrees(one.pose, other.pose) < 5
    assert itself.searches == 1


def test_the_mask_of_the_person(
    selfie_segmenter_path: Path, astronaut: U8, carphone_frames: list[U8]
) -> None:
    vision = load_vision()
    options: Any = vision.ImageSegmenterOptions(
        base_options=base_options("selfie_segmenter"), output_confidence_masks=True
    )
    with quiet_stderr():
        task = vision.ImageSegmenter.create_from_options(options)
    with closing(task), PersonSegmenter() as segment:
        for picture in (astronaut, carphone_frames[0], np.ascontiguousarray(astronaut[:300, 50:450])):
            mask = task.segment(to_image(picture)).confidence_masks[0].numpy_view()
            np.testing.assert_allclose(segment(picture), mask.reshape(picture.shape[:2]), atol=0.08)
            assert np.abs(segment(picture) - mask.reshape(picture.shape[:2])).mean() < 2e-4


def test_a_missing_system_library_is_named_with_its_packages(
    face_landmarker_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_options: Any) -> None:
        raise OSError("libGLESv2.so.2: cannot open shared object file")

    monkeypatch.setattr(load_vision().FaceLandmarker, "create_from_options", fail)
    monkeypatch.setattr(mediapipe_landmarker, "missing_libraries", lambda: ["libGLESv2.so.2"])
    with pytest.raises(ModelError, match=r"libGLESv2\.so\.2.*apt-get install libgles2$"):
        FaceFinder("mediapipe")


def test_a_broken_model_file_is_one_clear_line(
    face_landmarker_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"not a model")
    monkeypatch.setattr("avatar.weights.resolve", lambda name: broken)
    with pytest.raises(ModelError, match="cannot start the face landmarker") as error:
        FaceFinder("mediapipe")
    assert "\n" not in str(error.value)
