"""Channels beside each other, and pictures over each other."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.tools.stacking import ROWS, over, stacked


def test_stacked_is_dstack() -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(0, 256, (9, 7, *last), np.uint8) for last in ((3,), (), (5,))]
    np.testing.assert_array_equal(stacked(*parts), np.dstack(parts))


@pytest.mark.parametrize("height", [5, ROWS, 2 * ROWS + 1])
def test_over_shows_the_person_as_far_as_he_covers(height: int) -> None:
    rng = np.random.default_rng(1)
    person, wall = (rng.integers(0, 256, (height, 6, 3), np.uint8) for _ in range(2))
    alpha = rng.integers(0, 256, (height, 6), np.uint8)
    alpha[0], alpha[-1] = 0, 255
    made = over(person, alpha, wall)
    share = alpha[..., None] / 255
    assert np.abs(made - (share * person + (1 - share) * wall)).max() <= 1
    np.testing.assert_array_equal(made[0], wall[0])
    np.testing.assert_array_equal(made[-1], person[-1])
