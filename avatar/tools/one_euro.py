"""The One-Euro filter: smooth while still, quick while moving."""

from __future__ import annotations

import math

import numpy as np

from avatar.records import F32


class OneEuro:
    """Low-pass filter of an array whose cutoff rises with the speed.

    Source: G. Casiez, N. Roussel, D. Vogel, "1 Euro Filter", CHI 2012.

    Args:
        min_cutoff: cutoff at rest [Hz]; lower is smoother.
        beta: how much the cutoff rises with speed [Hz per unit/s]; higher lags less.
        derivative_cutoff: cutoff of the speed's own filter [Hz].
    """

    def __init__(self, min_cutoff: float, beta: float, derivative_cutoff: float = 3.0) -> None:
        self._min_cutoff = min_cutoff
        self._beta = beta
        self._derivative_cutoff = derivative_cutoff
        self._value: F32 | None = None
        self._speed: F32 | None = None

    def __call__(self, value: F32, seconds: float) -> F32:
        """Filter `value` (any shape, the last axis is one vector), `seconds` after the one before it."""
        if self._value is None or self._speed is None or seconds <= 0 or seconds > 1:
            self._value, self._speed = value, np.zeros_like(value)
            return value
        speed = (value - self._value) / np.float32(seconds)
        share = _share(self._derivative_cutoff, seconds)
        self._speed = (self._speed + np.float32(share) * (speed - self._speed)).astype(np.float32)
        cutoff = self._min_cutoff + self._beta * np.linalg.norm(self._speed, axis=-1, keepdims=True)
        self._value = (self._value + _share(cutoff, seconds) * (value - self._value)).astype(np.float32)
        return self._value

    def retune(self, min_cutoff: float, beta: float) -> None:
        """Filter otherwise from the next value on; what was filtered so far goes on without a jump."""
        self._min_cutoff, self._beta = min_cutoff, beta

    def reset(self) -> None:
        """Forget; the next value passes unfiltered."""
        self._value = self._speed = None


def _share(cutoff: float | F32, seconds: float) -> F32:
    """How much of a new value passes at `cutoff` [Hz]."""
    rate = 2 * math.pi * np.asarray(cutoff, np.float32) * seconds
    return np.asarray(rate / (rate + 1), np.float32)
