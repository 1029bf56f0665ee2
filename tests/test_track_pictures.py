"""Faces and people in still pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from avatar.errors import ModelError
from avatar.records import U8
from avatar.track import FaceFinder, PersonSegmenter
from avatar.track.boxes import Place, Window
from avatar.track.finder import _tiles
from avatar.track.quiet import quiet_stderr


@pytest.fixture(scope="module")
def finder(face_landmarker_path: Path) -> Iterator[FaceFinder]:
    with FaceFinder() as finder:
        yield finder


@pytest.fixture(scope="module")
def segmenter(selfie_segmenter_path: Path) -> Iterator[PersonSegmenter]:
    with PersonSegmenter() as segmenter:
        yield segmenter


def canvas(width: int, height: int) -> U8:
    return np.full((height, width, 3), (90, 110, 130), np.uint8)


def paste(picture: U8, astronaut: U8, left: int, top: int, scale: float) -> None:
    """Put the astronaut's head into the picture; her face is 106 px times `scale`."""
    head = cv2.resize(astronaut[10:230, 120:340], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    picture[top : top + head.shape[0], left : left + head.shape[1]] = head


def test_the_astronaut_is_found_where_she_is(finder: FaceFinder, astronaut: U8) -> None:
    (face,) = finder(astronaut)
    place = Place.of(face)
    assert abs(place.x - 225) < 4
    assert abs(place.y - 124) < 4
    assert abs(place.size - 106) < 6
    assert face.blendshapes[[44, 45]].min() > 0.4, "she smiles"
    assert face.blendshapes[[9, 10]].max() < 0.5, "her eyes are open"


def test_pixels_are_counted_from_the_first_ones_centre(finder: FaceFinder, astronaut: U8) -> None:
    (face,) = finder(astronaut)
    (big,) = finder(np.asarray(cv2.resize(astronaut, None, fx=4, fy=4), np.uint8))
    same = (big.landmarks[:, :2] + 0.5) / 4 - 0.5
    assert np.abs((same - face.landmarks[:, :2]).mean(axis=0)).max() < 0.2


@pytest.mark.parametrize("height", [40, 60, 100])
def test_small_faces_are_found(finder: FaceFinder, astronaut: U8, height: int) -> None:
    picture = canvas(1280, 720)
    scale = height / 106
    paste(picture, astronaut, 900, 400, scale)
    (face,) = finder(picture)
    assert Place.of(face).distance(Place(900 + 105 * scale, 400 + 114 * scale, height)) < 0.15
    assert face.frame_size == (1280, 720)


@pytest.mark.parametrize("inset", [0, 10, 18])
def test_faces_that_fill_the_picture_and_more_are_found(
    finder: FaceFinder, astronaut: U8, inset: int
) -> None:
    top, left = 71 + inset, 180 + inset
    (face,) = finder(np.ascontiguousarray(astronaut[top : 177 - inset, left : 270 - inset]))
    (whole,) = finder(astronaut)
    off = face.landmarks[:, :2] + np.array([left, top]) - whole.landmarks[:, :2]
    assert np.linalg.norm(off, axis=1).mean() < 0.06 * 106
    assert face.frame_size == (90 - 2 * inset, 106 - 2 * inset)


def test_several_faces_come_biggest_first_without_the_background(finder: FaceFinder, astronaut: U8) -> None:
    picture = canvas(1280, 720)
    paste(picture, astronaut, 1100, 100, 0.4)
    paste(picture, astronaut, 700, 300, 1.0)
    paste(picture, astronaut, 100, 100, 2.2)
    paste(picture, astronaut, 1100, 600, 0.3)
    sizes = [Place.of(face).size for face in finder(picture)]
    assert len(sizes) == 2
    assert sizes == sorted(sizes, reverse=True)
    assert abs(sizes[0] - 233) < 20
    assert abs(sizes[1] - 106) < 12


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 400), (360, 640)])
def test_no_face_is_an_empty_list(finder: FaceFinder, shape: tuple[int, int]) -> None:
    assert finder(np.full((*shape, 3), 77, np.uint8)) == []


def test_every_picture_to_bring_to_life_has_one_face(finder: FaceFinder, shared_data: Path) -> None:
    paths = sorted(
        path
        for folder in ("portraits", "photos")
        for path in (shared_data / folder).iterdir()
        if path.suffix in (".jpg", ".png")
    )
    assert paths
    for path in paths:
        bgr = cv2.imread(str(path))
        assert bgr is not None
        (face,) = finder(np.ascontiguousarray(bgr[:, :, ::-1]))
        assert Place.of(face).size > 0.15 * max(bgr.shape), path.name


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("size", [(1280, 720), (720, 1280), (641, 641), (3, 2), (1, 1), (5, 400)])
def test_tiles_cover_the_picture_and_overlap_by_half(size: tuple[int, int], level: int) -> None:
    width, height = size
    seen = np.zeros((height, width), np.int32)
    side = -(-max(size) // 2**level)
    for tile in _tiles(width, height, level):
        assert 0 <= tile.left < tile.right <= width
        assert 0 <= tile.top < tile.bottom <= height
        assert tile.right - tile.left == min(side, width)
        assert tile.bottom - tile.top == min(side, height)
        seen[tile.slices] += 1
    assert seen.min() >= 1
    assert seen[height // 2, width // 2] > 1 or side >= min(size) or max(size) < 8


def test_a_window_stays_inside_the_picture() -> None:
    for x, y in ((-50, 20), (400, 20), (20, -90), (20, 999), (160, 120)):
        window = Window.around(Place(x, y, 40), 2.0, (320, 240))
        assert 0 <= window.left < window.right <= 320
        assert 0 <= window.top < window.bottom <= 240


def test_the_person_is_told_from_the_background(segmenter: PersonSegmenter, astronaut: U8) -> None:
    mask = segmenter(astronaut)
    assert mask.shape == (512, 512)
    assert mask.dtype == np.float32
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert mask[100:160, 200:245].min() > 0.9, "her face"
    assert mask[:100, :60].max() < 0.1, "the flag"


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (5, 400), (31, 17)])
def test_masks_have_the_size_of_any_picture(segmenter: PersonSegmenter, shape: tuple[int, int]) -> None:
    assert segmenter(np.zeros((*shape, 3), np.uint8)).shape == shape


def test_a_broken_model_file_is_one_clear_line(
    face_landmarker_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken.task"
    broken.write_bytes(b"not a model")
    monkeypatch.setattr("avatar.weights.resolve", lambda name: broken)
    with pytest.raises(ModelError, match="cannot start the face landmarker") as error:
        FaceFinder()
    assert "\n" not in str(error.value)


def test_native_noise_is_dropped_and_the_terminal_given_back(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, b"noise")
    os.write(2, b"kept")
    assert capfd.readouterr().err == "kept"


@pytest.mark.parametrize("width", [640, 700, 760, 800, 840])
def test_landmarks_are_right_near_the_detectors_limit(finder: FaceFinder, astronaut: U8, width: int) -> None:
    # In the picture 800 px wide MediaPipe alone is a fifth of the face's size off.
    picture = canvas(width, 600)
    paste(picture, astronaut, 300, 200, 1.0)
    (face,) = finder(picture)
    (true,) = finder(astronaut)
    off = face.landmarks[:, :2] - true.landmarks[:, :2] - np.array([300 - 120, 200 - 10])
    assert np.linalg.norm(off, axis=1).mean() < 0.02 * 106
