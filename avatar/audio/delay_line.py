"""Holds sound back by a time that may change, without a click."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

I16: TypeAlias = NDArray[np.int16]


class DelayLine:
    """Gives, for each piece of sound that goes in, a piece from some time before.

    When that time changes, one piece fades from the old place over to the new one: nothing jumps. What is
    kept is `most` and a piece, whatever comes.

    Args:
        piece: samples in a piece.
        most: longest delay [samples].

    Attributes:
        delay: the present one [samples].
    """

    def __init__(self, piece: int, most: int) -> None:
        self.delay = 0
        self._piece, self._most = piece, most
        self._kept: I16 = np.zeros(most + piece, np.int16)
        self._rising = (0.5 - 0.5 * np.cos(np.pi * (np.arange(piece) + 0.5) / piece)).astype(np.float32)

    def __call__(self, samples: I16, delay: int) -> I16:
        """Take in the newest (piece,) samples; give (piece,) that are `delay` samples older.

        Args:
            samples: what was said last.
            delay: the wanted one, held to 0..most.

        Raises:
            ValueError: it is no piece.
        """
        self._take(samples)
        before, self.delay = self.delay, min(max(delay, 0), self._most)
        given = self._from(self.delay)
        if before == self.delay:
            return given
        old = self._from(before)
        return np.asarray(np.rint(old + (given.astype(np.float32) - old) * self._rising), np.int16)

    def skip(self, samples: I16) -> None:
        """Take in (piece,) samples and give nothing: the next piece fades over what is left out."""
        self._take(samples)
        self.delay = min(self.delay + self._piece, self._most)

    def _take(self, samples: I16) -> None:
        if samples.shape != (self._piece,):
            raise ValueError(f"a piece is ({self._piece},) samples, got {samples.shape}")
        self._kept = np.concatenate([self._kept[self._piece :], samples])

    def _from(self, delay: int) -> I16:
        end = len(self._kept) - delay
        return self._kept[end - self._piece : end].copy()
