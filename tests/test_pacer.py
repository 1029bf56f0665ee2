"""The pacer keeps absolute deadlines; time is a number here."""

from __future__ import annotations

import pytest

from avatar.tools import clock
from avatar.tools.pacer import Pacer


class Time:
    """A clock that goes on only when told, or slept upon."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += max(0, round(seconds * 1e9))

    @property
    def s(self) -> float:
        return (self.ns - 5_000_000_000) / 1e9


def wait(pacer: Pacer) -> None:
    clock.sleep((pacer.deadline() - clock.now_ns()) / 1e9)
    pacer.step()


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    fake = Time()
    monkeypatch.setattr(clock, "now_ns", fake.now_ns)
    monkeypatch.setattr(clock, "sleep", fake.sleep)
    return fake


def test_the_first_wait_returns_at_once_then_steps_are_even(time: Time) -> None:
    pacer = Pacer(30)
    moments = []
    for _ in range(31):
        wait(pacer)
        moments.append(time.s)
    assert moments[0] == 0
    assert moments[30] == pytest.approx(1, abs=1e-6)
    assert moments[10] == pytest.approx(1 / 3, abs=1e-6)


def test_work_between_waits_does_not_add_up(time: Time) -> None:
    pacer = Pacer(25)
    for _ in range(26):
        wait(pacer)
        time.sleep(0.03)
    assert time.s == pytest.approx(1.03, abs=1e-6)


def test_a_small_delay_is_made_good(time: Time) -> None:
    pacer = Pacer(10)
    wait(pacer)
    time.sleep(0.25)
    wait(pacer)
    wait(pacer)
    assert time.s == pytest.approx(0.25)
    wait(pacer)
    assert time.s == pytest.approx(0.3)


def test_far_behind_it_starts_anew_instead_of_sprinting(time: Time) -> None:
    pacer = Pacer(10)
    wait(pacer)
    time.sleep(2)
    wait(pacer)
    wait(pacer)
    assert time.s == pytest.approx(2.1)


def test_deadlines_do_not_drift_by_rounding(time: Time) -> None:
    pacer = Pacer(29.97)
    first = pacer.deadline()
    for _ in range(29_970):
        time.ns = pacer.deadline()
        pacer.step()
    assert pacer.deadline() - first == 1_000_000_000_000


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Pacer(0)
