"""When constant-rate outputs get repeats; time is a number here."""

from __future__ import annotations

import numpy as np
import pytest

from avatar.live.handover import Cadence
from avatar.live.rest import Rest
from avatar.tools import clock

PERIOD = 1 / 30


def play(monkeypatch: pytest.MonkeyPatch, arrivals_s: list[float], fps: float = 30) -> tuple[int, int, int]:
    """(given, repeated, left out) by an output that is given frames at these moments."""
    now_ns = 0
    monkeypatch.setattr(clock, "now_ns", lambda: now_ns)
    cadence = Cadence(fps, Rest([]))
    given = repeated = left_out = 0
    for arrival_s in arrivals_s:
        while (patience := cadence.patience_s()) is not None and now_ns / 1e9 + patience < arrival_s:
            now_ns += round(patience * 1e9)
            cadence.given()
            repeated += 1
        now_ns = max(now_ns, round(arrival_s * 1e9))
        if cadence.has_place():
            given += 1
        else:
            left_out += 1
    return given, repeated, left_out


def test_an_even_source_is_neither_repeated_nor_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    assert play(monkeypatch, [i * PERIOD for i in range(900)]) == (900, 0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_jitter_is_not_repeated_and_then_dropped(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    jitter = np.random.default_rng(seed).uniform(-0.45, 0.45, 900) * PERIOD
    arrivals = np.sort(np.arange(1, 901) * PERIOD + jitter).tolist()
    given, repeated, left_out = play(monkeypatch, arrivals)
    assert (given, left_out) == (900, 0)
    # An early first frame sets the clock early: one repeat, and from then on there is room for all.
    assert repeated <= 1


def test_a_slower_source_is_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given, repeated, left_out = play(monkeypatch, [i / 25 for i in range(250)])
    assert (given, left_out) == (250, 0)
    assert given + repeated == pytest.approx(300, abs=2)


def test_a_faster_source_is_thinned_out(monkeypatch: pytest.MonkeyPatch) -> None:
    given, repeated, left_out = play(monkeypatch, [i / 60 for i in range(600)])
    assert repeated == 0
    assert given == pytest.approx(300, abs=4)
    assert given + left_out == 600


def test_a_stall_is_filled_up_frame_by_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [i * PERIOD for i in range(30)] + [2 + i * PERIOD for i in range(30)]
    given, repeated, left_out = play(monkeypatch, arrivals)
    assert (given, left_out) == (60, 0)
    assert repeated == 30


def test_one_late_frame_costs_one_repeat_and_no_drop(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = [i * PERIOD + (0.7 * PERIOD if i == 40 else 0) for i in range(90)]
    assert play(monkeypatch, arrivals) == (90, 1, 0)


def test_before_the_first_frame_there_is_nothing_to_repeat() -> None:
    assert Cadence(30, Rest([])).patience_s() is None
