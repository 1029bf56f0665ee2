"""Motion lag: how far the avatar's mouth and head come behind the driver's, found by cross-correlation.

Both curves are taken at the time stamp of the same camera frame, so the lag shows what smoothing costs and
nothing else; the age at hand-over is a second, separate figure.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from avatar.records import F32
from avatar.tools.facemesh import MOUTH, face_height

F64 = NDArray[np.float64]

UPPER_LIP, LOWER_LIP = MOUTH.pairs[len(MOUTH.pairs) // 2]
NOSE_TIP = 1
CHEEKS = (234, 454)

STEP_S = 1 / 240
GAP_S = 0.2
"""Longer holes between samples (no face, dropped frames) are left out instead of bridged by a line."""
MAX_LAG_S = 0.4
MIN_SPAN_S = 1.0
STILL = (0.004, 0.01)
"""Standard deviations of the two signals below which they hold noise only."""


def mouth_opening(landmarks: F32) -> float:
    """Gap between the inner lips over the face's height, of landmarks (478, 3) in any unit."""
    gap = landmarks[LOWER_LIP] - landmarks[UPPER_LIP]
    return float(np.hypot(gap[0], gap[1])) / max(face_height(landmarks), 1e-9)


def head_yaw(landmarks: F32) -> float:
    """Where the nose tip stands between the cheeks, -0.5..0.5, of landmarks (478, 3) in any unit.

    It does not change when the head rolls or comes nearer.
    """
    left, right, nose = (landmarks[place, :2] for place in (*CHEEKS, NOSE_TIP))
    across = right - left
    return float((nose - (left + right) / 2) @ across / max(float(across @ across), 1e-12))


class MotionLag:
    """Records driver and avatar per frame, in fixed memory, and says how far the avatar comes behind.

    One thread records; any may ask.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._rows: F64 = np.zeros((capacity, 5))
        self._count = 0
        self._lock = threading.Lock()

    def record(self, captured_ns: int, driver: F32, avatar: F32) -> None:
        """Note one frame: landmarks (478, 3) of the driver and of the avatar made from them."""
        row = (
            captured_ns / 1e9,
            mouth_opening(driver),
            head_yaw(driver),
            mouth_opening(avatar),
            head_yaw(avatar),
        )
        with self._lock:
            self._rows[self._count % len(self._rows)] = row
            self._count += 1

    def lag_ms(self) -> float | None:
        """Lag of the avatar [ms] over the newest `capacity` frames; None when too little moved to tell."""
        with self._lock:
            kept = self._rows[: min(self._count, len(self._rows))].copy()
        kept = kept[np.argsort(kept[:, 0], kind="stable")]
        return lag_ms(kept[:, 0], kept[:, 1:3], kept[:, 3:5])


def lag_ms(times_s: F64, driver: F64, avatar: F64) -> float | None:
    """By how much `avatar` comes after `driver` [ms], to a fraction of a frame.

    Args:
        times_s: (N,), rising, uneven steps allowed.
        driver: (N, 2), mouth opening and head yaw.
        avatar: (N, 2), the same of the avatar, in any scale.

    Returns:
        The lag, negative when the avatar comes first; None when there is less than a second of movement, or
        the curves have nothing in common within 0.4 s.
    """
    if len(times_s) < 3 or times_s[-1] - times_s[0] < MIN_SPAN_S:
        return None
    moving = [i for i in range(2) if driver[:, i].std() > STILL[i] and avatar[:, i].std() > 0]
    if not moving:
        return None
    grid = np.arange(times_s[0], times_s[-1], STEP_S)
    seen = _covered(grid, times_s)
    reach = round(MAX_LAG_S / STEP_S)
    likeness = np.zeros(2 * reach + 1)
    for i in moving:
        ours, theirs = np.interp(grid, times_s, driver[:, i]), np.interp(grid, times_s, avatar[:, i])
        likeness += [_likeness(ours, theirs, seen, shift) for shift in range(-reach, reach + 1)]
    best = int(likeness.argmax())
    if best in (0, 2 * reach) or likeness[best] <= 0:
        return None
    return (best - reach + _peak(likeness[best - 1 : best + 2])) * STEP_S * 1000


def _covered(grid: F64, times_s: F64) -> NDArray[np.bool_]:
    """(G,), False where the samples around a grid place are more than GAP_S apart."""
    after = np.clip(np.searchsorted(times_s, grid, side="right"), 1, len(times_s) - 1)
    covered: NDArray[np.bool_] = times_s[after] - times_s[after - 1] <= GAP_S
    return covered


def _likeness(ours: F64, theirs: F64, seen: NDArray[np.bool_], shift: int) -> float:
    """Pearson's correlation of `ours` with `theirs` brought forward by `shift` steps, where both are seen."""
    length = len(ours) - abs(shift)
    if length < 2:
        return 0.0
    early, late = max(0, -shift), max(0, shift)
    both = seen[early : early + length] & seen[late : late + length]
    if both.sum() * STEP_S < MIN_SPAN_S / 2:
        return 0.0
    a, b = ours[early : early + length][both], theirs[late : late + length][both]
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0


def _peak(three: F64) -> float:
    """Where the parabola through three equally spaced values has its top, -0.5..0.5 of a step."""
    bend = three[0] - 2 * three[1] + three[2]
    return 0.0 if bend == 0 else float(np.clip((three[0] - three[2]) / (2 * bend), -0.5, 0.5))
