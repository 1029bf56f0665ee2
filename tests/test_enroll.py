"""Enrolment: which face, which crop, the portrait without its own expression, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from made_people import made_face

from avatar.errors import NoFaceError, PictureError, SeveralFacesError
from avatar.identity import enroll as enrolment
from avatar.identity.enroll import CROP_FACES, CROP_MAX, CROP_MIN, FACE_MIN, boxes, enroll
from avatar.pipeline import enroll_picture
from avatar.records import F32, U8, Crop, Face, Identity
from avatar.tools.facemesh import CHIN, FOREHEAD, MOUTH, OVAL, face_height, face_model
from avatar.tools.geometry import fit_similarity
from avatar.tools.outlines import gap

UNIT = 3.2
"""Height of the made face in units of the face frame, about."""


def ellipse(rgb: U8) -> F32:
    """A person in the middle of any crop."""
    side = rgb.shape[0]
    y, x = (np.mgrid[:side, :side] + 0.5) / side - 0.5
    return np.asarray(np.clip((0.35 - np.hypot(x, y * 0.8)) * 20 + 0.5, 0, 1), np.float32)


def wall(width: int, height: int) -> U8:
    """A picture in which each pixel's place can be read off: red across, green down."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 90)], 2).astype(np.uint8)


def enrolled(picture: U8, *faces: Face, face: int | None = None) -> Identity:
    return enroll(picture, name="someone", find=lambda rgb: list(faces), segment=ellipse, face=face)


def face_at(x: float, y: float, height: float, **expression: float) -> Face:
    return made_face(expression, shift=(x, y), scale=height / UNIT)


# Which face


def test_a_picture_without_a_face_is_refused() -> None:
    with pytest.raises(NoFaceError, match="no face found"):
        enrolled(wall(300, 300))


def test_several_faces_are_listed_from_left_to_right() -> None:
    faces = [face_at(420, 200, 120), face_at(90, 150, 60), face_at(250, 150, 90)]
    with pytest.raises(SeveralFacesError, match="3 faces") as caught:
        enrolled(wall(640, 400), *faces)
    left = [box[0] for box in caught.value.boxes]
    assert left == sorted(left)
    for (x, y, width, height), face in zip(caught.value.boxes, (faces[1], faces[2], faces[0]), strict=True):
        low, high = face.landmarks[:, :2].min(axis=0), face.landmarks[:, :2].max(axis=0)
        assert (x, y, x + width, y + height) == pytest.approx((*low, *high), abs=2)


@pytest.mark.parametrize(("number", "x"), [(1, 90), (2, 250), (3, 420)])
def test_the_face_is_chosen_by_its_number_from_the_left(number: int, x: int) -> None:
    faces = [face_at(420, 200, 120), face_at(90, 150, 60), face_at(250, 150, 90)]
    identity = enrolled(wall(640, 400), *faces, face=number)
    assert identity.crop.left + identity.crop.side / 2 == pytest.approx(x, abs=3)


@pytest.mark.parametrize("number", [0, -1, 2, 9])
def test_a_number_without_a_face_is_refused(number: int) -> None:
    with pytest.raises(PictureError, match=f"no face {number}: the picture has 1"):
        enrolled(wall(300, 300), face_at(150, 150, 80), face=number)


def test_boxes_are_whole_pixels() -> None:
    face = face_at(100, 100, 64)
    (box,) = boxes([face])
    assert all(isinstance(number, int) for number in box)
    assert box[3] == pytest.approx(64, rel=0.1)


def test_a_tiny_face_is_refused() -> None:
    with pytest.raises(PictureError, match=rf"only \d+ pixels high; it takes at least {FACE_MIN}"):
        enrolled(wall(300, 300), face_at(150, 150, FACE_MIN - 3))
    assert enrolled(wall(300, 300), face_at(150, 150, FACE_MIN + 4)).front.texture.shape == (
        CROP_MIN,
        CROP_MIN,
        3,
    )


# The crop


def test_the_crop_is_the_picture_at_its_own_resolution() -> None:
    picture = wall(600, 600)
    identity = enrolled(picture, face_at(300, 280, 110))
    crop = identity.crop
    assert CROP_MIN < crop.side < CROP_MAX
    assert crop.side == pytest.approx(CROP_FACES * face_height(face_at(300, 280, 110).landmarks), abs=1)
    assert identity.front.texture.shape == (crop.side, crop.side, 3)
    own = picture[crop.top : crop.top + crop.side, crop.left : crop.left + crop.side].astype(np.float32)
    alpha = identity.front.alpha[..., None] / np.float32(255)
    again = alpha * identity.front.texture + (1 - alpha) * identity.plate
    assert np.abs(again - own).mean() < 1.5


def test_landmarks_come_to_crop_units_by_pixel_middles() -> None:
    face = face_at(300, 280, 110)
    identity = enrolled(wall(600, 600), face)
    crop = identity.crop
    back = identity.front.landmarks * crop.side + np.array([crop.left - 0.5, crop.top - 0.5, 0], np.float32)
    np.testing.assert_allclose(back, face.landmarks, atol=1e-3)
    middle = identity.front.landmarks[list(OVAL), :2].mean(axis=0)
    np.testing.assert_allclose(middle, (0.5, 0.49), atol=0.01)
    height = np.linalg.norm(identity.front.landmarks[FOREHEAD] - identity.front.landmarks[CHIN])
    assert height == pytest.approx(1 / CROP_FACES, rel=0.02)


@pytest.mark.parametrize(("height", "side"), [(40, CROP_MIN), (600, CROP_MAX)])
def test_the_stored_crop_keeps_within_limits(height: int, side: int) -> None:
    identity = enrolled(wall(1800, 1800), face_at(900, 900, height))
    assert identity.front.texture.shape == identity.plate.shape == (side, side, 3)
    assert identity.front.alpha.shape == (side, side)
    assert identity.crop.side == pytest.approx(CROP_FACES * height, rel=0.1)
    # The place is kept in the scaling: red rises to the right, green downwards.
    middle = identity.front.texture[side // 2, side // 2]
    np.testing.assert_allclose(middle[:2], 127, atol=4)


@pytest.mark.parametrize(("x", "y"), [(10, 150), (290, 150), (150, 10), (150, 290), (5, 5)])
def test_a_crop_may_hang_over_any_border(x: int, y: int) -> None:
    identity = enrolled(wall(300, 300), face_at(x, y, 100))
    crop = identity.crop
    assert crop.left < 0 or crop.top < 0 or max(crop.left, crop.top) + crop.side > 300
    assert identity.picture.shape == (300, 300, 3)
    assert identity.front.texture.shape == (crop.side, crop.side, 3)


def test_outside_of_the_picture_the_crop_is_mirrored() -> None:
    picture = wall(60, 40)
    cut, inside = enrolment.cut_out(picture, Crop(-50, -10, 200))
    assert cut.shape == (200, 200, 3)
    np.testing.assert_array_equal(cut[10:50, 50:110], picture)
    np.testing.assert_array_equal(cut[10:50, 49], picture[:, 0])
    np.testing.assert_array_equal(cut[10:50, 110], picture[:, -1])
    np.testing.assert_array_equal(cut[9, 50:110], picture[0])
    np.testing.assert_array_equal(cut[10:50, 0], picture[:, 49])
    assert inside == pytest.approx((0.25, 0.05, 0.55, 0.25))


@pytest.mark.parametrize("size", [(4800, 1200), (1000, 5000)])
def test_a_picture_that_is_too_big_is_scaled_before_faces_are_looked_for(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def find(rgb: U8) -> list[Face]:
        seen.append(rgb.shape)
        return [face_at(rgb.shape[1] / 2, rgb.shape[0] / 2, 90)]

    width, height = size
    identity = enroll(np.full((height, width, 3), 99, np.uint8), name="x", find=find, segment=ellipse)
    assert max(identity.picture.shape) == enrolment.PICTURE_MAX
    assert seen == [identity.picture.shape]
    assert identity.picture.shape[1] / identity.picture.shape[0] == pytest.approx(width / height, rel=0.01)


def test_a_line_of_pixels_is_refused_for_what_it_is() -> None:
    with pytest.raises(NoFaceError):
        enrolled(np.zeros((1, 20_000, 3), np.uint8))


def test_a_picture_within_the_limits_is_stored_as_it_is() -> None:
    picture = wall(enrolment.PICTURE_MAX, 300)
    assert enrolled(picture, face_at(500, 150, 90)).picture is picture


# Without expression


def test_the_known_expression_is_taken_off() -> None:
    rest = enrolled(wall(600, 600), face_at(300, 280, 110))
    smile = enrolled(
        wall(600, 600), face_at(300, 280, 110, mouthSmileLeft=0.8, mouthSmileRight=0.8, jawOpen=0.3)
    )
    model = face_model()
    shapes = []
    for identity in (rest, smile):
        pose = fit_similarity(model.mean, identity.neutral, model.rigid)
        shapes.append(pose.undo(identity.neutral))
    assert np.linalg.norm(shapes[0] - shapes[1], axis=1).max() < 0.05
    assert np.abs(rest.neutral - rest.front.landmarks).max() < 1e-6


def test_the_smiling_astronaut_is_less_smiling_at_rest(astronaut_identity: Identity) -> None:
    found, rest = astronaut_identity.front.landmarks, astronaut_identity.neutral

    def width(points: F32) -> float:
        return float(np.linalg.norm(points[MOUTH.upper[0]] - points[MOUTH.upper[-1]]))

    assert gap(rest, MOUTH) < 0.8 * gap(found, MOUTH)
    assert width(rest) < 0.95 * width(found)
    model = face_model()
    poses = [fit_similarity(model.mean, points, model.rigid) for points in (found, rest)]
    np.testing.assert_allclose(poses[0].rotation, poses[1].rotation, atol=0.02)
    np.testing.assert_allclose(poses[0].shift, poses[1].shift, atol=0.005)


# The real finder and segmenter


def test_the_astronaut_is_enrolled(astronaut: U8, astronaut_identity: Identity) -> None:
    identity = astronaut_identity
    assert identity.name == "astronaut"
    np.testing.assert_array_equal(identity.picture, astronaut)
    assert identity.crop.side == pytest.approx(309, abs=8)
    assert identity.crop.left + identity.crop.side / 2 == pytest.approx(225, abs=5)
    assert identity.crop.top < 0, "her hair reaches the picture's border: the crop hangs over it"
    nose = np.round(identity.front.landmarks[1, :2] * identity.front.texture.shape[0]).astype(int)
    assert identity.front.alpha[nose[1], nose[0]] == 255
    assert 0.2 < (identity.front.alpha > 128).mean() < 0.8
    assert identity.front.blendshapes.shape == (52,) and identity.front.blendshapes.max() > 0.5
    assert identity.front.landmarks.dtype == identity.neutral.dtype == np.float32


def test_two_people_are_told_apart(
    astronaut: U8, face_landmarker_path: Path, selfie_segmenter_path: Path
) -> None:
    small = cv2.resize(astronaut, (300, 300), interpolation=cv2.INTER_AREA)
    pair = np.full((512, 812, 3), 120, np.uint8)
    pair[:, :512] = astronaut
    pair[100:400, 512:] = small[:, ::-1]
    with pytest.raises(SeveralFacesError) as caught:
        enroll_picture(pair, name="pair")
    (one, two) = caught.value.boxes
    assert one[0] + one[2] / 2 == pytest.approx(225, abs=10)
    assert two[0] + two[2] / 2 == pytest.approx(812 - 225 * 300 / 512, abs=10)
    identity = enroll_picture(pair, name="right", face=2)
    assert identity.crop.side == pytest.approx(309 * 300 / 512, abs=8)
    assert identity.front.texture.shape == (CROP_MIN, CROP_MIN, 3)


def test_a_picture_of_a_wall_has_no_face(face_landmarker_path: Path, selfie_segmenter_path: Path) -> None:
    with pytest.raises(NoFaceError):
        enroll_picture(wall(320, 240), name="wall")
