"""Handing finished frames to an output: at once, and again when a constant-rate output would go without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from avatar.live.record import SECOND_NS, Record
from avatar.live.rest import Rest
from avatar.records import Frame
from avatar.tools import clock
from avatar.tools.pacer import Pacer
from avatar.tools.slot import Slot

TOLERANCE = 0.5
"""How late a frame may be, in frame periods, before the last one is repeated in its place."""
LEAD = 2.0
"""How far ahead of the clock a constant-rate output may run, in frame periods. It is wider than one repeat
plus the jitter on both sides of it: a late frame is never first replaced by a repeat and then dropped. Only
a source that is truly faster than the output comes so far."""
REST_FPS = 1.0
"""Repeats a second while the run rests: who comes then need not wait long for a first picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """A finished frame on its way to an output."""

    frame: Frame
    new: bool
    """Whether a camera frame stands behind it; False for what was made while none came."""


class Cadence:
    """When a constant-rate output must be given a repeat, and when it has no place for a frame."""

    def __init__(self, fps: float, rest: Rest) -> None:
        self._pacer = Pacer(fps)
        self._rest = rest
        self._given_ns: int | None = None

    def patience_s(self) -> float | None:
        """Seconds until a repeat is due; None before the first frame: there is nothing to repeat."""
        if self._given_ns is None:
            return None
        if self._rest.resting:
            due = self._given_ns + round(SECOND_NS / REST_FPS)
        else:
            due = self._pacer.deadline() + round(TOLERANCE * self._pacer.period_ns)
        return max(0.0, (due - clock.now_ns()) / SECOND_NS)

    def has_place(self) -> bool:
        """Whether a frame that is ready now may go out; it is then counted as given."""
        ahead_ns = self._pacer.deadline() - clock.now_ns()
        if ahead_ns > LEAD * self._pacer.period_ns:
            return False
        self.given()
        return True

    def given(self) -> None:
        """The output got the frame, or repeat, that was due next."""
        self._given_ns = clock.now_ns()
        self._pacer.step()


class HandOver:
    """The work of one output's thread.

    Attributes:
        begun: whether the output was given a frame.
        dropped: frames left out because a constant-rate output was ahead of the clock.
    """

    def __init__(
        self,
        output: Callable[[Frame], None],
        slot: Slot[Made],
        record: Record,
        rest: Rest,
        *,
        cadence: Cadence | None,
        first: bool,
        stage: str,
    ) -> None:
        self.begun = False
        self.dropped = 0
        self._output = output
        self._slot = slot
        self._record = record
        self._rest = rest
        self._cadence = cadence
        self._first = first
        self._stage = stage

    def __call__(self) -> None:
        """Hand over until the slot is finished or the output was closed by its user."""
        last: Frame | None = None
        while not getattr(self._output, "closed", False):
            made = self._slot.get(self._patience_s())
            if made is not None:
                if self._give(made):
                    last = made.frame
            elif self._slot.finished:
                return
            elif last is not None and self._repeat_is_due():
                self._repeat(last)

    def _patience_s(self) -> float:
        # Never for ever: a wait without an end cannot be interrupted by Ctrl-C on every system.
        wait = self._cadence.patience_s() if self._cadence else None
        return 0.5 if wait is None else wait

    def _give(self, made: Made) -> bool:
        if self._cadence and not self._cadence.has_place():
            self.dropped += 1
            return False
        if self._first and made.new:
            self._record.handed_over(made.frame)
        with self._record.times.measure(self._stage):
            self._output(made.frame)
        self.begun = True
        return True

    def _repeat_is_due(self) -> bool:
        return self._cadence is not None and self._cadence.patience_s() == 0

    def _repeat(self, frame: Frame) -> None:
        if self._cadence:
            self._cadence.given()
        if not self._rest.resting:
            self._record.repeat()
        self._output(frame)
