"""Whether a run rests, because nobody takes what it makes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from avatar.records import Frame
from avatar.tools import clock

SECOND_NS = 1_000_000_000
PATIENCE_S = 3.0
"""Nobody takes frames for so long: then the run rests. Programs that look for cameras come and go."""


class Rest:
    """Says to all threads of a run whether it rests; one of them looks, several times a second.

    Args:
        outputs: those with an attribute `wanted` say by it whether anybody takes their frames; for the others
            somebody always does.
        never: so that no run rests in which each frame counts.
    """

    def __init__(self, outputs: Sequence[Callable[[Frame], None]], *, never: bool = False) -> None:
        self._outputs = outputs
        self._never = never
        self._awake = threading.Event()
        self._awake.set()
        self._since_ns: int | None = None
        self._rests: list[tuple[int, int]] = []
        self._began_ns = 0

    @property
    def resting(self) -> bool:
        """Whether the run rests now."""
        return not self._awake.is_set()

    def rested_ns(self, until_ns: int) -> int:
        """How long it has rested up to a moment of `clock`, all times together."""
        now = [(self._began_ns, clock.now_ns())] if self.resting else []
        return sum(max(0, min(end, until_ns) - begin) for begin, end in [*self._rests, *now])

    def wait(self, seconds: float) -> None:
        """Return when the run does not rest, at the latest after `seconds`."""
        self._awake.wait(seconds)

    def look(self) -> None:
        """Ask the outputs: begin to rest, or end it."""
        now = clock.now_ns()
        if self._never or any(getattr(output, "wanted", True) for output in self._outputs):
            self._since_ns = None
            self.end()
            return
        self._since_ns = self._since_ns or now
        if not self.resting and now - self._since_ns >= PATIENCE_S * SECOND_NS:
            self._began_ns = now
            self._awake.clear()

    def end(self) -> None:
        """Rest no more, until nobody took a frame for a while again."""
        if self.resting:
            self._rests.append((self._began_ns, clock.now_ns()))
            self._awake.set()
