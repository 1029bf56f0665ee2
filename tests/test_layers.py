"""Taking a head crop apart: recomposition, the matte, the wall, the person's colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from avatar.identity.layers import Layers, split_layers
from avatar.identity.plate import background_plate
from avatar.records import F32, U8
from avatar.tools.membrane import membrane

SKIN = (205, 150, 120)
HAIR = (70, 45, 30)
CLOTHES = (40, 50, 90)


def face_points(middle: tuple[float, float] = (0.5, 0.47), size: tuple[float, float] = (0.26, 0.36)) -> F32:
    """478 points filling an ellipse in crop units, forehead and chin where the mesh has them."""
    turn = np.linspace(0, 24 * np.pi, 478)
    out = np.linspace(0.05, 1, 478)
    x = middle[0] + size[0] / 2 * out * np.sin(turn)
    y = middle[1] + size[1] / 2 * out * np.cos(turn)
    points = np.stack([x, y, np.zeros(478)], 1).astype(np.float32)
    points[10, :2] = middle[0], middle[1] - size[1] / 2
    points[152, :2] = middle[0], middle[1] + size[1] / 2
    return points


def wall(side: int, strength: float = 30) -> F32:
    """A bluish wall, lighter to the right and below."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    return np.stack([130 + strength * x, 150 + strength * y, 190 + 0 * x], 2).astype(np.float32)


def person(side: int) -> tuple[F32, F32]:
    """Colours (S, S, 3) and matte (S, S) of a drawn person, drawn four times too big."""
    big = 4 * side
    colours = np.zeros((big, big, 3), np.float32)
    matte = np.zeros((big, big), np.float32)

    def ellipse(x: float, y: float, width: float, height: float, colour: tuple[int, int, int]) -> None:
        place = ((x * big, y * big), (width * big, height * big), 0.0)
        cv2.ellipse(colours, place, colour, -1)
        cv2.ellipse(matte, place, 1.0, -1)

    ellipse(0.5, 1.12, 0.86, 0.72, CLOTHES)
    ellipse(0.5, 0.68, 0.16, 0.34, SKIN)
    ellipse(0.5, 0.43, 0.36, 0.5, HAIR)
    ellipse(0.5, 0.47, 0.26, 0.36, SKIN)
    small = cv2.resize(np.dstack([colours, matte]), (side, side), interpolation=cv2.INTER_AREA).astype(
        np.float32
    )
    return small[..., :3], small[..., 3]


def drawn(side: int, behind: F32 | None = None) -> tuple[U8, F32, F32]:
    """A picture of the drawn person before a wall, the true matte and a segmenter's blobby answer to it."""
    colours, matte = person(side)
    behind = wall(side) if behind is None else behind
    picture = colours + (1 - matte[..., None]) * behind
    blob = cv2.resize(cv2.resize(matte, (64, 64), interpolation=cv2.INTER_AREA), (side, side))
    return np.round(picture).astype(np.uint8), matte, blob.astype(np.float32)


def recomposed(layers: Layers) -> F32:
    share = layers.alpha[..., None].astype(np.float32) / 255
    return np.asarray(share * layers.texture + (1 - share) * layers.plate, np.float32)


def error(layers: Layers, rgb: U8) -> float:
    return float(np.abs(recomposed(layers) - rgb).mean())


@pytest.mark.parametrize("side", [96, 224, 256, 512, 600])
def test_layers_give_the_picture_back(side: int) -> None:
    rgb, _, blob = drawn(side)
    layers = split_layers(rgb, face_points(), blob)
    assert layers.alpha.shape == (side, side)
    assert layers.texture.shape == layers.plate.shape == (side, side, 3)
    assert layers.alpha.dtype == layers.texture.dtype == layers.plate.dtype == np.uint8
    assert error(layers, rgb) < 1


def test_a_busy_wall_is_given_back_too() -> None:
    stripes = wall(256)
    stripes[(np.arange(256) // 12) % 2 == 0] -= 60
    rgb, _, blob = drawn(256, stripes)
    assert error(split_layers(rgb, face_points(), blob), rgb) < 2


def test_the_matte_finds_the_outline_in_the_picture() -> None:
    rgb, matte, blob = drawn(512)
    found = split_layers(rgb, face_points(), blob).alpha.astype(np.float32) / 255
    assert np.abs(found - matte).mean() < 0.25 * np.abs(blob - matte).mean()
    assert np.abs(found - matte).max() < 0.6


def test_the_wall_behind_the_person_is_the_wall() -> None:
    rgb, _, blob = drawn(256)
    plate = split_layers(rgb, face_points(), blob).plate.astype(np.float32)
    assert np.abs(plate - wall(256)).mean() < 4
    assert np.abs(plate - wall(256)).max() < 25, "something of the person is left in the wall"


def test_far_from_the_person_the_wall_is_the_picture() -> None:
    rgb, matte, blob = drawn(256)
    plate = split_layers(rgb, face_points(), blob).plate
    far = cv2.dilate(matte, np.ones((31, 31), np.uint8)) == 0
    assert far.any()
    np.testing.assert_array_equal(plate[far], rgb[far])


def test_no_wall_is_in_the_persons_colours() -> None:
    rgb, matte, blob = drawn(512)
    texture = split_layers(rgb, face_points(), blob).texture.astype(np.float32)
    head = np.zeros_like(matte)
    head[:230] = 1
    rim = (head > 0) & (cv2.dilate(matte, np.ones((13, 13), np.uint8)) > 0) & (matte < 0.9)
    from_hair = np.abs(texture - np.array(HAIR)).mean(2)[rim]
    assert rim.sum() > 1000
    assert np.percentile(from_hair, 95) < 25


def test_a_hole_in_the_face_is_closed() -> None:
    rgb, _, blob = drawn(256)
    blob[110:135, 110:140] = 0
    assert split_layers(rgb, face_points(), blob).alpha[110:135, 110:140].min() == 255


def test_someone_else_is_not_taken_along() -> None:
    rgb, _, blob = drawn(256)
    cv2.circle(blob, (26, 60), 18, 1.0, -1)
    layers = split_layers(rgb, face_points(), blob)
    assert layers.alpha[40:80, 8:45].max() == 0


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_a_segmenter_that_fails_is_stood_in_for(answer: float) -> None:
    rgb, matte, _ = drawn(256)
    layers = split_layers(rgb, face_points(), np.full((256, 256), answer, np.float32))
    found = layers.alpha.astype(np.float32) / 255
    assert error(layers, rgb) < 2
    overlap = np.minimum(found, matte).sum() / np.maximum(found, matte).sum()
    assert overlap > 0.8


def test_the_head_of_a_photo_is_kept_when_the_segmenter_fails() -> None:
    photo: U8 = data.astronaut()[0:256, 96:352]  # type: ignore[no-untyped-call]
    landmarks = face_points((0.5, 0.41), (0.36, 0.44))
    layers = split_layers(photo, landmarks, np.zeros((256, 256), np.float32))
    assert error(layers, photo) < 2
    assert layers.alpha[60:140, 100:160].min() == 255
    assert layers.alpha[:100, :20].max() == 0


def test_the_mirrored_person_in_the_padding_is_no_wall() -> None:
    rgb, _, blob = drawn(256)
    rgb[:, 226:] = HAIR
    layers = split_layers(rgb, face_points(), blob, inside=(0, 0, 226 / 256, 1))
    behind = layers.plate[60:200, 80:180].astype(np.float32)
    assert np.abs(behind - wall(256)[60:200, 80:180]).mean() < 8


def test_the_same_picture_gives_the_same_layers() -> None:
    rgb, _, blob = drawn(128)
    first, second = (split_layers(rgb, face_points(), blob) for _ in range(2))
    np.testing.assert_array_equal(first.alpha, second.alpha)
    np.testing.assert_array_equal(first.plate, second.plate)
    np.testing.assert_array_equal(first.texture, second.texture)


def test_wrong_shapes_are_refused() -> None:
    rgb, _, blob = drawn(96)
    with pytest.raises(ValueError, match=r"\(S, S, 3\) uint8"):
        split_layers(rgb[:, :90], face_points(), blob)
    with pytest.raises(ValueError, match="person must be"):
        split_layers(rgb, face_points(), blob[:50])


def test_a_membrane_continues_a_slope_exactly() -> None:
    slope = wall(128, 60)
    known = np.ones((128, 128), np.float32)
    known[40:90, 30:100] = 0
    broken = slope * known[..., None]
    filled = membrane(broken, known)
    assert np.abs(filled - slope).max() < 1.5


def test_a_membrane_never_leaves_the_range_of_what_is_known() -> None:
    rng = np.random.default_rng(1)
    colour = rng.uniform(50, 200, (100, 77, 3)).astype(np.float32)
    known = np.zeros((100, 77), np.float32)
    known[:, :9] = 1
    filled = membrane(colour, known)
    assert filled.min() >= colour[:, :9].min() - 0.01
    assert filled.max() <= colour[:, :9].max() + 0.01


def test_a_person_who_fills_the_crop_leaves_a_calm_wall() -> None:
    rgb, _, _ = drawn(96)
    plate = background_plate(rgb, np.ones((96, 96), np.float32))
    assert plate.shape == rgb.shape
    inner = plate[4:-4, 4:-4].astype(np.float32)
    assert np.abs(np.diff(inner, axis=0)).mean() < 3
    assert np.abs(inner - rgb[4:-4, 4:-4]).mean() > 20, "the person is still there"
