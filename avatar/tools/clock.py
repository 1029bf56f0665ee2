"""The one place that asks what time it is, so that tests can replace it."""

from __future__ import annotations

import time


def now_ns() -> int:
    """Monotonic time in nanoseconds; only differences have a meaning."""
    return time.monotonic_ns()


def sleep(seconds: float) -> None:
    """Sleep for `seconds`; returns at once for zero or less."""
    if seconds > 0:
        time.sleep(seconds)
