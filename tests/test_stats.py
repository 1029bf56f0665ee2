"""Percentiles are exact while short, bounded and fair when long."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from avatar.tools import clock
from avatar.tools.stats import Percentiles, StageTimes, percentile


def test_short_streams_are_exact() -> None:
    values = np.random.default_rng(1).normal(size=501).tolist()
    stream = Percentiles()
    for value in values:
        stream.add(value)
    for share in (0, 5, 50, 95, 99, 100):
        assert stream.percentile(share) == pytest.approx(float(np.percentile(values, share)))


def test_long_streams_stay_small_and_close() -> None:
    stream = Percentiles(capacity=1000)
    for value in range(50_000):
        stream.add(float(value))
    assert stream.count == 50_000
    assert len(stream._kept) == 1000
    median, high = stream.percentile(50), stream.percentile(95)
    assert median is not None and high is not None
    assert median == pytest.approx(25_000, rel=0.1)
    assert high == pytest.approx(47_500, rel=0.05)


def test_recent_forgets_the_past() -> None:
    stream = Percentiles()
    for value in [1000.0] * 500 + [1.0] * 200:
        stream.add(value)
    assert stream.recent(50) == 1.0
    assert stream.percentile(50) == 1000.0


def test_nothing_is_none_not_zero() -> None:
    assert Percentiles().percentile(50) is None
    assert Percentiles().recent(50) is None
    assert Percentiles().summary(50) == {"p50": None}
    with pytest.raises(ValueError, match="need values"):
        percentile([], 50)


def test_stages_are_measured_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0

    def tick() -> int:
        return now

    monkeypatch.setattr(clock, "now_ns", tick)
    times = StageTimes()
    assert times.slowest() is None
    for took_ms in (1, 2, 3):
        with times.measure("track"):
            now += took_ms * 1_000_000
    with times.measure("warp"):
        now += 4_000_000
    assert times.summary() == {"track": {"p50": 2.0, "p95": 2.9}, "warp": {"p50": 4.0, "p95": 4.0}}
    assert times.slowest() == ("warp", 4.0)


def test_a_failed_stage_is_not_measured() -> None:
    times = StageTimes()
    with pytest.raises(RuntimeError), times.measure("track"):
        raise RuntimeError
    assert times.summary() == {}


def test_threads_may_share_stage_times() -> None:
    times = StageTimes()

    def work() -> None:
        for _ in range(2000):
            times.add("a", 1.0)
            times.add("b", 2.0)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert times._stages["a"].count == times._stages["b"].count == 6000
