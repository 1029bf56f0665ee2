"""What is worked out of a measured call."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, TypeAlias

import numpy as np

from avatar.tools.stats import percentile
from bench import timecode
from bench.soak import MAX_MEMORY_MIB

Rows: TypeAlias = Sequence[Sequence[Any]]
"""[code, seen, captured or None, arrived or None] of each picture, wall clock [ms]."""

MOST_MS = 10_000
"""A code that was seen later than that belongs to another round of the camera file."""
PAIR_MS = 400
"""Flash and beep of the same second are nearer to each other than that."""


def glass(camera: Rows, guest: Rows) -> list[float]:
    """Milliseconds from the camera browser's picture to the guest's, for each that was seen at both ends.

    Args:
        camera: where the camera is.
        guest: the same where the avatar is shown; each code counts when it is first seen.
    """
    began: dict[int, list[float]] = {}
    for code, seen, captured, *_ in camera:
        began.setdefault(int(code), []).append(captured or seen)
    took: list[float] = []
    before: int | None = None
    for code, seen, *_ in guest:
        if int(code) == before:
            continue
        before = int(code)
        earlier = [moment for moment in began.get(int(code), []) if moment <= seen]
        if earlier and seen - max(earlier) < MOST_MS:
            took.append(seen - max(earlier))
    return took


def of_clip(start_wall: float, guest: Rows) -> list[float]:
    """Milliseconds from the clip's picture to the guest's, where a clip in the program is the camera.

    Args:
        start_wall: when the codes' time began, wall clock [s].
        guest: as in `glass`.
    """
    took: list[float] = []
    before: float | None = None
    for code, seen, *_ in guest:
        if code != before:
            took.append(timecode.since_ms(seen - start_wall * 1e3, int(code)))
        before = code
    return took


def arrived(start_wall: float, guest: Rows) -> list[float]:
    """As `of_clip`, until the picture's last packet was at the guest's browser.

    What it is held back there comes on top, see `held_ms`, and until the next turn of the display, which is
    left out: a display of 60 Hz goes by 16.666 ms, our pictures come every 33.333, and the two drift by a
    picture in 14 minutes.
    """
    return of_clip(start_wall, [(code, at, None, None) for code, _, _, at in guest if at is not None])


def sync(flashes: Sequence[float], beeps: Sequence[float]) -> list[float]:
    """By how many milliseconds each beep came after its flash; without those that have none within 400 ms."""
    found = []
    for beep in beeps:
        nearest = min(flashes, key=lambda flash: abs(beep - flash), default=None)
        if nearest is not None and abs(beep - nearest) < PAIR_MS:
            found.append(beep - nearest)
    return found


def shares(values: Sequence[float]) -> dict[str, float | None]:
    """The usual percentiles."""
    return {f"p{share}": round(percentile(values, share), 1) if values else None for share in (50, 95, 99)}


def longest_gap_s(rows: Rows) -> float:
    """The longest time without a new picture."""
    moments = [seen for _, seen, *_ in rows]
    return round(float(np.diff(moments).max()) / 1e3, 2) if len(moments) > 1 else float("inf")


def processor(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Shares of one core: the whole program's, and the thread's in which the generator runs."""
    wall = after["wall_s"] - before["wall_s"]
    drawn = None
    if before["generator_s"] is not None and after["generator_s"] is not None:
        drawn = round((after["generator_s"] - before["generator_s"]) / wall, 3)
    return {"program": round((after["cpu_s"] - before["cpu_s"]) / wall, 3), "generator_thread": drawn}


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, float]:
    """What a browser counted meanwhile; what is not in `before` began at zero."""
    return {
        name: round(after[name] - (before.get(name) or 0), 3) for name in after if after[name] is not None
    }


def held_ms(counted: dict[str, float]) -> float | None:
    """How long the browser held what came before it showed it, on average."""
    return round(1e3 * counted["held_s"] / counted["held"], 1) if counted["held"] else None


def left_over(looks: Sequence[dict[str, Any]]) -> list[str]:
    """What calls one after another left behind, a line each: the last third's medians above the first's.

    Args:
        looks: what the program took after each call, as `Near.look` tells it.
    """
    third = max(1, len(looks) // 3)
    allowed = {"rss_mib": MAX_MEMORY_MIB, "threads": 0.0, "files": 0.0, "calls": 0.0}
    found = []
    for name, most in allowed.items():
        early, late = (median(look[name] or 0 for look in part) for part in (looks[:third], looks[-third:]))
        if late - early > most:
            found.append(f"{name} grew from {early:g} to {late:g} in {len(looks)} calls")
    return found
