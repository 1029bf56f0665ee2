"""The clock is the fine one of the system."""

from __future__ import annotations

import time

import pytest

from avatar.tools import clock


def test_it_is_the_performance_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    # `monotonic_ns` has steps of 15.6 ms on some systems.
    monkeypatch.setattr(time, "perf_counter_ns", lambda: 123)
    monkeypatch.setattr(time, "monotonic_ns", lambda: 456)
    assert clock.now_ns() == 123
