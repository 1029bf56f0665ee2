"""Pasting the head crop back: seams, borders, modes, sizes."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from skimage import data

from avatar.composite import Compositor
from avatar.records import F32, U8, Crop, Identity, Portrait, View
from avatar.tools.placement import MODES, Mode, Rect

HD = (1280, 720)
CROPS = [
    Crop(60, 50, 200),
    Crop(-40, 30, 200),
    Crop(30, -50, 200),
    Crop(190, 20, 220),
    Crop(40, 170, 190),
    Crop(-60, -40, 480),
]


def soft_picture(width: int, height: int) -> U8:
    """Slow waves, so that resampling costs nothing."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    planes = [np.sin(x / 61 + k) * 60 + np.cos(y / 47 - k) * 50 + 125 for k in range(3)]
    return np.round(np.stack(planes, 2)).astype(np.uint8)


def cut(picture: U8, crop: Crop) -> U8:
    """The crop with the border colours going on outside."""
    height, width = picture.shape[:2]
    rows = np.clip(np.arange(crop.top, crop.top + crop.side), 0, height - 1)
    columns = np.clip(np.arange(crop.left, crop.left + crop.side), 0, width - 1)
    return picture[rows[:, None], columns[None, :]]


def identity(picture: U8, crop: Crop, side: int | None = None) -> Identity:
    rgb = cut(picture, crop)
    if side is not None:
        rgb = cv2.resize(rgb, (side, side), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    landmarks = np.full((478, 3), 0.5, np.float32)
    landmarks[10, 1], landmarks[152, 1] = 0.32, 0.68
    alpha = np.zeros(rgb.shape[:2], np.uint8)
    none = np.zeros(52, np.float32)
    pose: F32 = np.eye(4, dtype=np.float32)
    view = View(rgb, alpha, alpha, landmarks, none, pose)
    return Identity("someone", picture, crop, rgb, landmarks, (view,))


def outside(compositor: Compositor) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """True where the head crop does not reach."""
    mask = np.ones((compositor.size[1], compositor.size[0]), bool)
    seen = compositor.placement.head.meet(compositor.placement.picture)
    mask[seen.top : seen.bottom, seen.left : seen.right] = False
    return mask


def noise(side: int) -> Portrait:
    return Portrait(np.random.default_rng(3).integers(0, 256, (side, side, 3), np.uint8))


@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("size", [(321, 257), (320, 240), (224, 224)])
def test_the_own_size_gives_the_picture_itself(size: tuple[int, int], crop: Crop) -> None:
    picture = soft_picture(*size)
    compositor = Compositor(identity(picture, crop))
    frame = compositor(Portrait(cut(picture, crop)), 7, 1234)
    assert (frame.index, frame.captured_ns) == (7, 1234)
    assert frame.rgb.flags.c_contiguous
    np.testing.assert_array_equal(compositor.canvas, picture)
    np.testing.assert_array_equal(frame.rgb, picture)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("crop", CROPS)
@pytest.mark.parametrize("size", [(320, 240), (300, 300), (240, 400), (224, 224)])
def test_the_unchanged_crop_leaves_no_seam(size: tuple[int, int], crop: Crop, mode: Mode) -> None:
    picture = soft_picture(*size)
    compositor = Compositor(identity(picture, crop), size=HD, mode=mode)
    frame = compositor(Portrait(cut(picture, crop)), 0, 0)
    assert frame.rgb.shape == (720, 1280, 3)
    # The border's own row and column are resampled with what lies outside, which the crop does not know.
    difference = np.abs(frame.rgb.astype(int) - compositor.canvas)
    assert difference.max() <= 4
    assert (difference > 1).mean() < 0.002


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("crop", CROPS)
def test_outside_the_head_nothing_changes(crop: Crop, mode: Mode) -> None:
    compositor = Compositor(identity(soft_picture(260, 330), crop), size=(640, 360), mode=mode)
    frame = compositor(noise(crop.side), 0, 0)
    still = outside(compositor)
    np.testing.assert_array_equal(frame.rgb[still], compositor.canvas[still])
    assert np.abs(frame.rgb[~still].astype(int) - compositor.canvas[~still]).mean() > 20


def test_the_crop_fades_in_over_its_borders_inside_the_picture() -> None:
    picture = np.zeros((300, 300, 3), np.uint8)
    crop = Crop(50, 60, 200)
    rgb = Compositor(identity(picture, crop))(Portrait(np.full((200, 200, 3), 240, np.uint8)), 0, 0).rgb
    middle = rgb[160, :, 0].astype(int)
    assert middle[49] == 0
    assert 0 < middle[50] < 40
    assert (np.diff(middle[50:58]) > 0).all()
    assert (middle[58:242] == 240).all()
    assert middle[250] == 0
    np.testing.assert_array_equal(rgb[60:68, 150, 0], rgb[160, 50:58, 0])


def test_at_the_pictures_border_the_crop_is_not_faded() -> None:
    picture = np.zeros((200, 300, 3), np.uint8)
    bright = Portrait(np.full((200, 200, 3), 240, np.uint8))
    touching = Compositor(identity(picture, Crop(50, 0, 200)))(bright, 0, 0).rgb
    assert touching[0, 150, 0] == touching[199, 150, 0] == 240
    hanging = Compositor(identity(picture, Crop(-30, -20, 200)))(bright, 0, 0).rgb
    assert hanging[0, 0, 0] == 240
    assert hanging[90, 169, 0] < 40
    assert hanging[90, 170, 0] == 0


def test_fit_has_plain_bars_and_extend_has_none() -> None:
    picture = soft_picture(300, 400)
    fit = Compositor(identity(picture, Crop(50, 60, 200)), size=HD, mode="fit")
    assert (fit.canvas[:, : fit.placement.picture.left] == fit.canvas[0, 0]).all()
    extend = Compositor(identity(picture, Crop(50, 60, 200)), size=HD, mode="extend")
    bar = extend.canvas[:, : extend.placement.picture.left].astype(np.float32)
    assert bar.std() > 1
    assert bar.mean() < 0.8 * picture.mean(), "the surroundings are dimmed"
    assert np.abs(np.diff(bar, axis=0)).max() < 6, "and blurred"


def test_the_surroundings_know_nothing_of_the_person() -> None:
    picture = np.full((400, 300, 3), 120, np.uint8)
    picture[100:300, 40:260] = (250, 0, 0)
    someone = identity(picture, Crop(20, 80, 260))
    clean = np.full_like(someone.plate, 120)
    someone = dataclasses.replace(someone, plate=clean)
    extend = Compositor(someone, size=HD, mode="extend")
    bar = extend.canvas[:, : extend.placement.picture.left].astype(int)
    assert np.abs(bar[..., 0] - bar[..., 1]).max() <= 1


@pytest.mark.parametrize("side", [96, 200, 256, 512])
def test_portraits_of_any_side_fit_in(side: int) -> None:
    picture = soft_picture(224, 224)
    compositor = Compositor(identity(picture, Crop(10, 12, 200)), size=HD)
    shown = cv2.resize(cut(picture, Crop(10, 12, 200)), (side, side), interpolation=cv2.INTER_AREA)
    frame = compositor(Portrait(shown.astype(np.uint8)), 0, 0)
    assert np.abs(frame.rgb.astype(int) - compositor.canvas).mean() < 1


def test_a_photo_keeps_its_place_in_every_mode() -> None:
    photo: U8 = data.astronaut()  # type: ignore[no-untyped-call]
    crop = Crop(90, -20, 270)
    for mode in MODES:
        compositor = Compositor(identity(photo, crop), size=HD, mode=mode)
        frame = compositor(Portrait(cut(photo, crop)), 0, 0)
        assert np.abs(frame.rgb.astype(int) - compositor.canvas).mean() < 1


def test_frames_share_nothing() -> None:
    compositor = Compositor(identity(soft_picture(300, 200), Crop(40, 20, 150)), size=(640, 360))
    first = compositor(noise(150), 0, 0)
    kept = first.rgb.copy()
    second = compositor(Portrait(np.zeros((150, 150, 3), np.uint8)), 1, 1)
    assert not np.shares_memory(first.rgb, second.rgb)
    np.testing.assert_array_equal(first.rgb, kept)
    with pytest.raises(ValueError, match="read-only"):
        compositor.canvas[0, 0] = 0


def test_wrong_portraits_are_refused() -> None:
    compositor = Compositor(identity(soft_picture(300, 200), Crop(40, 20, 150)))
    for wrong in (np.zeros((150, 140, 3), np.uint8), np.zeros((150, 150), np.uint8)):
        with pytest.raises(ValueError, match=r"\(S, S, 3\) uint8"):
            compositor(Portrait(wrong), 0, 0)
    with pytest.raises(ValueError, match="float32"):
        compositor(Portrait(np.zeros((150, 150, 3), np.float32)), 0, 0)


def test_a_crop_that_covers_the_picture_replaces_all_of_it() -> None:
    picture = soft_picture(201, 151)
    compositor = Compositor(identity(picture, Crop(-30, -60, 270)))
    assert compositor.placement.picture == Rect(0, 0, 201, 151)
    frame = compositor(Portrait(np.full((270, 270, 3), 9, np.uint8)), 0, 0)
    assert (frame.rgb == 9).all()
