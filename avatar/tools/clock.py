"""The one place that asks what time it is, so that tests can replace it."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Monotonic time in nanoseconds; only differences have a meaning."""
    # Not `monotonic_ns`: before Python 3.13 it goes in steps of 15.6 ms on Windows, half a frame.
    return time.perf_counter_ns()


def sleep(seconds: float) -> None:
    """Sleep for `seconds`; returns at once for zero or less."""
    if seconds > 0:
        time.sleep(seconds)
