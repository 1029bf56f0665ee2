"""Where pictures come to lie on a canvas."""

from __future__ import annotations

import pytest

from avatar.records import Crop
from avatar.tools.placement import EVEN, FACE_SHARE, MODES, Mode, Rect, place

HD = (1280, 720)
UPRIGHT = (720, 1280), Crop(120, 190, 470)
SQUARE = (512, 512), Crop(80, -10, 300)
WIDE = (1920, 1080), Crop(500, 0, 1000)


@pytest.mark.parametrize("picture, crop", [UPRIGHT, SQUARE, WIDE])
@pytest.mark.parametrize("mode", MODES)
def test_the_head_lies_where_the_picture_has_it(picture: tuple[int, int], crop: Crop, mode: Mode) -> None:
    put = place(picture, crop, HD, mode)
    assert put.head.width == put.head.height == pytest.approx(put.scale * crop.side)
    assert put.head.left == pytest.approx(put.left + put.scale * crop.left)
    assert put.head.top == pytest.approx(put.top + put.scale * crop.top)


@pytest.mark.parametrize("picture, crop", [UPRIGHT, SQUARE])
def test_fit_shows_the_whole_picture_in_the_middle(picture: tuple[int, int], crop: Crop) -> None:
    put = place(picture, crop, HD, "fit")
    assert put.picture.top == 0
    assert put.picture.bottom == 720
    assert put.scale == pytest.approx(720 / picture[1], rel=0.005)
    assert abs(put.picture.left - (1280 - put.picture.right)) <= 2


@pytest.mark.parametrize("picture, crop", [UPRIGHT, SQUARE])
def test_fill_covers_the_canvas_and_keeps_the_head(picture: tuple[int, int], crop: Crop) -> None:
    put = place(picture, crop, HD, "fill")
    assert put.picture == Rect(0, 0, *HD)
    assert put.head.left >= 0
    assert put.head.right <= 1280
    seen = put.head.meet(put.picture)
    assert seen.height >= min(720, put.head.height) * 0.95


def test_fill_shows_hair_before_chest() -> None:
    put = place((720, 1280), Crop(90, 150, 620), HD, "fill")
    assert put.head.height > 720
    assert -put.head.top < put.head.bottom - 720


def test_extend_grows_a_small_face() -> None:
    picture, crop = UPRIGHT
    put = place(picture, crop, HD, "extend", face=0.36)
    assert put.scale * crop.side * 0.36 == pytest.approx(FACE_SHARE * 720, rel=0.01)
    assert put.picture.left > 0
    assert put.picture.right < 1280
    assert abs((put.head.left + put.head.right) / 2 - 640) <= 1


def test_extend_leaves_a_big_face_alone() -> None:
    picture, _ = SQUARE
    put = place(picture, Crop(40, 40, 430), HD, "extend", face=0.36)
    assert put.scale == pytest.approx(720 / picture[1], rel=0.01)
    assert put.picture.top == 0
    assert put.picture.bottom == 720


@pytest.mark.parametrize("mode", ["fill", "extend"])
def test_heads_have_sides_that_can_be_halved_twice(mode: Mode) -> None:
    for side in range(300, 312):
        put = place((1000, 900), Crop(300, 100, side), HD, mode)
        assert put.head.width % EVEN == 0
        assert put.head.width == pytest.approx(put.scale * side)


def test_extend_never_grows_past_the_canvas() -> None:
    put = place((500, 1000), Crop(200, 300, 40), HD, "extend", face=0.36)
    assert put.picture == Rect(0, 0, *HD)
    assert put.scale == pytest.approx(1280 / 500, rel=0.03)


def test_a_person_at_the_side_moves_the_picture_only_as_far_as_there_is_room() -> None:
    put = place((600, 720), Crop(-60, 100, 300), (800, 720), "extend", face=0.7)
    assert put.picture == Rect(200, 0, 800, 720)


@pytest.mark.parametrize("mode", MODES)
def test_all_modes_agree_where_the_aspects_do(mode: Mode) -> None:
    put = place((1290, 720), Crop(400, 50, 500), HD, mode)
    assert put.picture == Rect(0, 0, *HD)
    assert put.scale == pytest.approx(1)


@pytest.mark.parametrize("mode", MODES)
def test_the_pictures_own_size_changes_nothing(mode: Mode) -> None:
    put = place((301, 203), Crop(-20, 11, 187), (301, 203), mode)
    assert (put.scale, put.left, put.top) == (1, 0, 0)
    assert put.head == Rect(-20, 11, 167, 198)
    assert put.picture == Rect(0, 0, 301, 203)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the picture"):
        place((100, 100), Crop(100, 0, 50), HD, "fit")
    with pytest.raises(ValueError, match="positive"):
        place((100, 100), Crop(0, 0, 0), HD, "fit")
    with pytest.raises(ValueError, match="fit, fill, extend"):
        place((100, 100), Crop(0, 0, 50), HD, "stretch")  # type: ignore[arg-type]
