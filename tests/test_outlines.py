"""Outlines: smooth rings, their masks and boxes, how far an opening is open."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.records import F32
from avatar.tools.facemesh import EYES, MOUTH, face_model
from avatar.tools.outlines import SUPERSAMPLE, Box, box_around, fill_ring, gap, smooth_ring, strips


def circle(count: int, radius: float, centre: tuple[float, float]) -> F32:
    angles = np.arange(count) * 2 * np.pi / count
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius + centre
    return points.astype(np.float32)


def test_a_smooth_ring_goes_through_every_point() -> None:
    ring = circle(9, 10, (20, 20)) + np.random.default_rng(3).normal(0, 1, (9, 2)).astype(np.float32)
    line = smooth_ring(ring)
    assert line.shape == (9 * SUPERSAMPLE, 2) and line.dtype == np.float32
    np.testing.assert_allclose(line[::SUPERSAMPLE], ring, atol=1e-4)


def test_a_smooth_ring_is_rounder_than_its_points() -> None:
    line = smooth_ring(circle(8, 10, (0, 0)))
    radii = np.linalg.norm(line, axis=1)
    assert radii.min() > 9.8 and radii.max() < 10.05
    steps = np.linalg.norm(np.diff(np.concatenate([line, line[:1]]), axis=0), axis=1)
    assert steps.max() < 1.3 * steps.min(), "closed, and evenly spaced"


def test_a_filled_ring_has_its_area_and_a_soft_edge() -> None:
    mask = fill_ring(smooth_ring(circle(24, 20, (40.3, 30.7))), (80, 60))
    assert mask.shape == (60, 80) and mask.dtype == np.uint8
    assert mask.sum() / 255 == pytest.approx(np.pi * 20.5**2, rel=0.04)
    y, x = np.mgrid[:60, :80]
    assert (mask * x).sum() / mask.sum() == pytest.approx(40.3, abs=0.15)
    assert (mask * y).sum() / mask.sum() == pytest.approx(30.7, abs=0.15)
    assert 40 < ((mask > 0) & (mask < 255)).sum() < 400
    assert mask[30, 40] == 255 and mask[0, 0] == 0


def test_a_fraction_of_a_pixel_counts() -> None:
    sums = [int(fill_ring(circle(24, 10 + part, (20, 20)), (40, 40)).sum()) for part in (0, 0.25, 0.5, 0.75)]
    assert (np.diff(sums) > 255 * 5).all()


def test_a_ring_outside_the_mask_fills_nothing_there() -> None:
    assert not fill_ring(circle(12, 5, (-30, 200)), (40, 40)).any()
    assert fill_ring(circle(12, 100, (20, 20)), (40, 40)).min() == 255


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        ((10.2, 20.7), (30.1, 25.0), Box(9, 19, 33, 27)),
        ((-5, -5), (3, 4), Box(0, 0, 5, 6)),
        ((95, 95), (300, 300), Box(94, 94, 100, 100)),
    ],
)
def test_a_box_holds_its_line_and_stays_inside(
    low: tuple[float, float], high: tuple[float, float], wanted: Box
) -> None:
    assert box_around(np.array([low, high], np.float32), 100) == wanted


def test_a_margin_widens_the_box() -> None:
    assert box_around(np.array([(40, 40), (50, 60)], np.float32), 100, margin=5) == Box(35, 35, 56, 66)


@pytest.mark.parametrize("shift", [(-200, 0), (0, -200), (200, 0), (0, 200)])
def test_a_line_outside_has_no_box(shift: tuple[float, float]) -> None:
    line = np.array([(40, 40), (50, 60)], np.float32) + np.array(shift, np.float32)
    assert box_around(line, 100) is None


def test_a_box_is_a_view() -> None:
    picture = np.zeros((20, 30, 3), np.uint8)
    box = Box(4, 5, 9, 7)
    assert box.size == (5, 2)
    part = box.of(picture)
    assert part.shape == (2, 5, 3)
    part[:] = 7
    assert picture.sum() == 7 * 30 and picture[5, 4, 0] == picture[6, 8, 0] == 7


def test_the_gap_is_in_parts_of_the_width_and_free_of_size_and_roll() -> None:
    shape = face_model().mean.copy()
    for opening in (*EYES, MOUTH):
        width = float(np.linalg.norm(shape[opening.upper[0], :2] - shape[opening.upper[-1], :2]))
        for upper, lower in opening.pairs:
            shape[lower, :2] = shape[upper, :2] + (0, 0.25 * width)
        assert gap(shape, opening) == pytest.approx(0.25, abs=1e-4)
        turn = np.array([[0.8, -0.6], [0.6, 0.8]], np.float32)
        moved = shape.copy()
        moved[:, :2] = 37 * shape[:, :2] @ turn.T + 5
        assert gap(moved, opening) == pytest.approx(0.25, abs=1e-4)
        for upper, lower in opening.pairs:
            shape[lower] = shape[upper]
        assert gap(shape, opening) == 0


def test_a_face_without_any_size_has_no_gap() -> None:
    assert gap(np.zeros((478, 3), np.float32), MOUTH) == 0


def test_strips_hold_what_is_there_and_its_surroundings() -> None:
    cover = np.zeros((50, 40), np.uint8)
    cover[12, 5] = cover[30, 20] = 1
    assert list(strips(cover, Box(0, 0, 40, 50), 10)) == [Box(5, 10, 6, 20), Box(20, 30, 21, 40)]
    assert list(strips(cover, Box(2, 5, 22, 35), 10, margin=4)) == [
        Box(2, 5, 10, 15),
        Box(2, 15, 10, 25),
        Box(16, 25, 22, 35),
    ]
    assert not list(strips(cover, Box(30, 0, 40, 50), 10, margin=4))
