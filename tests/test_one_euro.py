"""The One-Euro filter against its definition: calm at rest, quick in motion."""

from __future__ import annotations

import math

import numpy as np
import pytest

from avatar.records import F32
from avatar.tools.one_euro import OneEuro

STEP = 1 / 30


def value(*numbers: float) -> F32:
    return np.array(numbers, np.float32)


def run(filter_: OneEuro, values: list[float], seconds: float = STEP) -> list[float]:
    return [float(filter_(value(number), seconds)[0]) for number in values]


def test_the_first_value_passes_unchanged() -> None:
    np.testing.assert_array_equal(OneEuro(1, 1)(value(3, -2), 0), value(3, -2))


def test_a_still_value_stays() -> None:
    assert run(OneEuro(1, 5), [0.7] * 20) == pytest.approx([0.7] * 20, abs=1e-6)


def test_without_beta_it_is_a_low_pass_of_the_cutoff() -> None:
    rate = 2 * math.pi * 2.0 * STEP
    share = rate / (1 + rate)
    found = run(OneEuro(2.0, 0), [0.0] + [1.0] * 10)
    assert found == pytest.approx([1 - (1 - share) ** i for i in range(11)], abs=1e-5)


def test_speed_opens_the_filter() -> None:
    """The cutoff after one step, from the published formulas."""
    slow = 2 * math.pi * 3.0 * STEP
    speed = slow / (1 + slow) * (1.0 / STEP)
    rate = 2 * math.pi * (1.5 + 0.2 * speed) * STEP
    assert run(OneEuro(1.5, 0.2), [0.0, 1.0])[1] == pytest.approx(rate / (1 + rate), abs=1e-5)
    lag = [1 - run(OneEuro(1.5, beta), [0.0, 1.0, 1.0])[-1] for beta in (0, 0.1, 1, 10)]
    assert lag == sorted(lag, reverse=True) and lag[-1] < 0.02 < 0.3 < lag[0]


def test_all_parts_of_one_vector_are_filtered_alike() -> None:
    """Speed is the vector's: a turn does not bend because one axis is slower."""
    both, alone = OneEuro(1, 4), OneEuro(1, 4)
    both(value(0, 0), STEP), alone(value(0), STEP)
    found = both(value(1, 0.01), STEP)
    assert found[1] / found[0] == pytest.approx(0.01, rel=1e-3)
    assert alone(value(0.01), STEP)[0] < found[1]


def test_rows_are_filtered_each_by_its_own_speed() -> None:
    filter_ = OneEuro(1, 4)
    filter_(np.zeros((2, 3), np.float32), STEP)
    found = filter_(np.array([[1, 0, 0], [0.01, 0, 0]], np.float32), STEP)
    assert found[0, 0] > 0.8 and found[1, 0] < 0.25 * 0.01 + 0.005
    assert found.dtype == np.float32 and found.shape == (2, 3)


def test_noise_at_rest_is_calmed() -> None:
    noise = np.random.default_rng(1).normal(0, 0.001, 300)
    found = run(OneEuro(1.0, 5.0), [float(number) for number in noise])
    assert np.std(found[30:]) < 0.45 * np.std(noise[30:])


def test_a_ramp_is_followed_closely() -> None:
    ramp = [i * 0.05 for i in range(60)]
    assert ramp[-1] - run(OneEuro(1.0, 20.0), ramp)[-1] < 0.05 / 3, "less than a third of a frame behind"


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1.5])
def test_a_clock_that_stops_or_jumps_starts_it_anew(seconds: float) -> None:
    filter_ = OneEuro(1, 0)
    run(filter_, [0.0] * 5)
    assert run(filter_, [1.0], seconds) == [1.0]
    assert run(filter_, [1.0]) == [1.0]


def test_reset_forgets() -> None:
    filter_ = OneEuro(1, 0)
    run(filter_, [0.0, 5.0, 5.0])
    filter_.reset()
    assert run(filter_, [9.0]) == [9.0]


def test_results_are_not_changed_later() -> None:
    filter_ = OneEuro(1, 1)
    filter_(value(0), STEP)
    first = filter_(value(1), STEP)
    kept = first.copy()
    second = filter_(value(2), STEP)
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(first, second)
