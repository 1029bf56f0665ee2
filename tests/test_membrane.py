"""Holes filled as by a membrane, and pictures at another size."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.records import F32, U8
from avatar.tools.membrane import membrane
from avatar.tools.scaling import resized


def slope(height: int, width: int) -> F32:
    """A plane in two channels: its own smooth continuation."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    return np.stack([x + 0.5 * y, 200 - y], 2).astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (51, 90), (33, 7), (400, 320)])
def test_a_hole_in_a_slope_is_filled_with_the_slope(height: int, width: int) -> None:
    colour = slope(height, width)
    known = np.ones((height, width), np.float32)
    hole = np.s_[height // 3 : height // 2, width // 3 : width // 2 + 1]
    known[hole] = 0
    spoilt = colour.copy()
    spoilt[hole] = 1e4
    filled = membrane(spoilt, known)
    assert filled.shape == colour.shape and filled.dtype == np.float32
    assert np.abs(filled - colour)[known == 1].max() < 1e-3, "what is known stays"
    assert np.abs(filled - colour)[hole].max() < 0.03 * np.ptp(colour)


def test_a_filled_hole_has_no_new_extremes() -> None:
    random = np.random.default_rng(2)
    colour = random.uniform(50, 90, (60, 60, 3)).astype(np.float32)
    known = (random.uniform(size=(60, 60)) > 0.7).astype(np.float32)
    known[20:40] = 0
    filled = membrane(colour, known)
    assert filled.min() > 49.9 and filled.max() < 90.1


def test_a_border_without_knowledge_is_continued() -> None:
    colour = np.zeros((40, 40, 3), np.float32)
    colour[:, :10] = 100
    known = np.zeros((40, 40), np.float32)
    known[:, :10] = 1
    assert membrane(colour, known) == pytest.approx(100, abs=1)


def test_the_filling_is_smooth() -> None:
    """Between two known rims at other tones it goes over evenly, without the steps of the coarse levels."""
    colour = np.zeros((40, 64, 3), np.float32)
    colour[:, 50:] = 100
    known = np.zeros((40, 64), np.float32)
    known[:, :14] = known[:, 50:] = 1
    row = membrane(colour, known)[20, 13:51, 0]
    np.testing.assert_allclose(row, np.linspace(0, 100, len(row)), atol=0.7)
    assert np.abs(np.diff(row, 2)).max() < 0.3


def test_where_nothing_is_known_there_are_still_numbers() -> None:
    assert np.isfinite(membrane(np.full((30, 20, 3), 7, np.float32), np.zeros((30, 20), np.float32))).all()


def test_its_own_size_is_the_picture_itself() -> None:
    picture: U8 = np.zeros((30, 30, 3), np.uint8)
    assert resized(picture, 30) is picture


@pytest.mark.parametrize("side", [24, 60, 150])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_other_sizes_keep_places_and_tones(side: int, channels: tuple[int, ...]) -> None:
    ramp = np.linspace(20, 220, 60).astype(np.uint8)
    picture: U8 = np.broadcast_to(ramp.reshape(1, 60, *[1] * len(channels)), (60, 60, *channels)).copy()
    found = resized(picture, side)
    assert found.shape == (side, side, *channels) and found.dtype == np.uint8
    wanted = np.interp((np.arange(side) + 0.5) / side, (np.arange(60) + 0.5) / 60, ramp)
    assert np.abs(found[side // 2].reshape(side, -1)[:, 0] - wanted).max() < 3


def test_shrinking_takes_means_so_that_nothing_flickers() -> None:
    stripes: U8 = np.tile(np.array([0, 255], np.uint8), (64, 32))
    assert np.abs(resized(stripes, 16).astype(int) - 127).max() <= 1
