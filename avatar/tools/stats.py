"""Counting times without growing: percentiles over a run, and over the last seconds of it."""

from __future__ import annotations

import random
import threading
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from avatar.tools import clock

CAPACITY = 10_000
RECENT = 150
NS_PER_MS = 1e6


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` percent of `values` lie, interpolated.

    Raises:
        ValueError: without values, or `share` outside 0..100.
    """
    if not values or not 0 <= share <= 100:
        raise ValueError(f"need values and a share in 0..100, got {len(values)} values and {share}")
    ordered = sorted(values)
    place = (len(ordered) - 1) * share / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


class Percentiles:
    """Percentiles of a stream in bounded memory.

    Exact for the first `capacity` values; beyond that every value of the stream has the same chance to be
    among the `capacity` kept ones. One thread adds, any thread reads.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.count = 0
        self._capacity = capacity
        self._kept = array("d")
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._random = random.Random(0)
        self._lock = threading.Lock()

    def add(self, value: float) -> None:
        """Count one value."""
        with self._lock:
            self.count += 1
            self._recent.append(value)
            if len(self._kept) < self._capacity:
                self._kept.append(value)
            elif (place := self._random.randrange(self.count)) < self._capacity:
                self._kept[place] = value

    def percentile(self, share: float) -> float | None:
        """Percentile `share` (0..100) over the whole stream; None when nothing was added."""
        with self._lock:
            kept = list(self._kept)
        return percentile(kept, share) if kept else None

    def recent(self, share: float) -> float | None:
        """The same over the last 150 values."""
        with self._lock:
            kept = list(self._recent)
        return percentile(kept, share) if kept else None

    def summary(self, *shares: int) -> dict[str, float | None]:
        """`{"p50": ..., ...}` for each of `shares`, rounded to 0.01."""
        values = {f"p{share}": self.percentile(share) for share in shares}
        return {name: None if value is None else round(value, 2) for name, value in values.items()}


class StageTimes:
    """How long each stage took, by name, in milliseconds. Threads may share one."""

    def __init__(self) -> None:
        self._stages: dict[str, Percentiles] = {}
        self._lock = threading.Lock()

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """`with times.measure("track"): ...` counts the time of the block, unless it raises."""
        start = clock.now_ns()
        yield
        self.add(stage, (clock.now_ns() - start) / NS_PER_MS)

    def add(self, stage: str, milliseconds: float) -> None:
        """Count one time of `stage`."""
        with self._lock:
            values = self._stages.setdefault(stage, Percentiles())
        values.add(milliseconds)

    def reset(self) -> None:
        """Forget all, for instance after a warm-up."""
        with self._lock:
            self._stages.clear()

    def summary(self) -> dict[str, dict[str, float | None]]:
        """`{stage: {"p50": ms, "p95": ms}}`, stages in the order they were first measured."""
        with self._lock:
            stages = dict(self._stages)
        return {stage: values.summary(50, 95) for stage, values in stages.items()}

    def slowest(self) -> tuple[str, float] | None:
        """(stage, milliseconds) with the highest median of late; None before anything was measured."""
        with self._lock:
            stages = dict(self._stages)
        medians = {stage: values.recent(50) for stage, values in stages.items()}
        known = [(median, stage) for stage, median in medians.items() if median is not None]
        if not known:
            return None
        median, stage = max(known)
        return stage, median
