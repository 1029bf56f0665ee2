"""What the threads before the outputs do: fetch frames, track the face, begin frames and finish them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from avatar.errors import CameraError, CameraLostError
from avatar.live.handover import Made
from avatar.live.record import SECOND_NS, Record
from avatar.live.rest import Rest
from avatar.records import Face, Frame, Motion, Observation
from avatar.tools import clock
from avatar.tools.close_ups import observed
from avatar.tools.slot import Slot, T

Source: TypeAlias = Callable[[], Frame | Observation | None]
Tracker: TypeAlias = Callable[[Frame], Face | None]
Retarget: TypeAlias = Callable[[Observation], Motion]
Renderer: TypeAlias = Callable[[Motion, int, int], Frame]
Finish: TypeAlias = Callable[[], Frame]

STARVED_S = 0.25
"""After so long without an observation the generator goes on as if no face were seen."""
REOPEN_S = (0.5, 5.0)
"""First and longest pause between two attempts to open a lost camera."""
RESTED_S = 0.5
"""How often a resting thread looks whether the run has ended."""
SMALLEST_STEP_NS = 1_000_000


def begin_of(renderer: Renderer) -> Callable[[Motion, int, int], Finish]:
    """What makes the first half of a frame: the renderer's `begin`; without, all is left to the second."""
    begin: Callable[[Motion, int, int], Finish] | None = getattr(renderer, "begin", None)
    return begin or partial(partial, renderer)


class Sender:
    """Lays items into slots: the newest wins, or, in lockstep, each waits for its turn."""

    def __init__(self, lockstep: bool) -> None:
        self.lockstep = lockstep

    def __call__(self, slot: Slot[T], item: T) -> None:
        """Lay `item` into `slot`; a closed slot takes nothing, then the run is ending."""
        if self.lockstep:
            slot.offer(item)
        else:
            slot.put(item)


class CameraWork:
    """Takes frames from the source until it ends; waits for a lost camera, and while the run rests."""

    def __init__(
        self,
        source: Source,
        frames: Slot[Frame] | None,
        observations: Slot[Observation],
        send: Sender,
        record: Record,
        ending: threading.Event,
        rest: Rest,
    ) -> None:
        self._source = source
        self._frames = frames
        self._observations = observations
        self._send = send
        self._record = record
        self._ending = ending
        self._rest = rest
        self._missed_before: int | None = None

    @property
    def missed(self) -> int:
        """Frames the source says it could not give because nobody asked in time (its attribute `dropped`)."""
        return 0 if self._missed_before is None else self._source_dropped() - self._missed_before

    def __call__(self) -> None:
        """Fetch until the source says None or the run is ending."""
        while not self._ending.is_set():
            rested, missed = self._rest.resting, self.missed
            if rested:
                self._rest.wait(RESTED_S)
                if self._rest.resting:
                    continue
            try:
                item = self._source()
            except CameraLostError as lost:
                self._wait_for_camera(lost)
                continue
            if self._missed_before is None or rested:
                # Only now: what was missed before the first question, or in a rest, is not this run's loss.
                self._missed_before = self._source_dropped() - missed
            if item is None:
                return
            if rested and not isinstance(item, Observation):
                continue  # a camera may have kept it since before the rest
            if isinstance(item, Observation):
                self._send(self._observations, item)
            elif self._frames is not None:
                self._send(self._frames, item)
            else:
                raise TypeError("the source gives camera frames, which need a tracker")

    def _source_dropped(self) -> int:
        dropped: int = getattr(self._source, "dropped", 0)
        return dropped

    def _wait_for_camera(self, lost: CameraLostError) -> None:
        """Try to open the lost camera again and again; raises `lost` if the source cannot do that."""
        reopen: Callable[[], None] | None = getattr(self._source, "reopen", None)
        if reopen is None:
            raise lost
        self._record.camera = False
        pause, longest = REOPEN_S
        while not self._ending.wait(pause):
            try:
                reopen()
            except CameraError:
                pause = min(2 * pause, longest)
            else:
                self._record.camera = True
                return


class TrackerWork:
    """Turns camera frames into observations. Here the camera's pictures end."""

    def __init__(
        self,
        tracker: Tracker,
        frames: Slot[Frame],
        observations: Slot[Observation],
        send: Sender,
        record: Record,
    ) -> None:
        self._tracker = tracker
        self._frames = frames
        self._observations = observations
        self._send = send
        self._record = record

    def __call__(self) -> None:
        """Track until the slot of frames is finished."""
        while not self._frames.finished:
            frame = self._frames.get(0.5)
            if frame is None:
                continue
            with self._record.times.measure("track"):
                observation = observed(self._tracker(frame), frame)
            self._send(self._observations, observation)


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """A frame that is begun, on its way to the thread that finishes it."""

    finish: Finish
    new: bool
    """See `Made`."""


class MotionWork:
    """Turns observations into motions, begins their frames, and goes on without a face when none come.

    The next observation is taken when the frame before is being finished: what came meanwhile is the newest,
    and nothing is begun for nobody.
    """

    def __init__(
        self,
        retarget: Retarget,
        renderer: Renderer,
        observations: Slot[Observation],
        begun: Slot[Begun],
        send: Sender,
        record: Record,
        *,
        fps: float,
        rest: Rest,
    ) -> None:
        self._retarget = retarget
        self._begin = begin_of(renderer)
        self._observations = observations
        self._begun = begun
        self._send = send
        self._record = record
        self._rest = rest
        self._period_ns = round(SECOND_NS / fps)
        self._index = 0
        self._age_ns = 0
        self._given_ns: int | None = None

    def __call__(self) -> None:
        """Begin frames until the slot of observations is finished."""
        due_ns = clock.now_ns() + round(STARVED_S * SECOND_NS)
        while not self._observations.finished:
            if not self._begun.wait_for_room(0.5):
                continue
            observation = self._observations.get(max(0.0, (due_ns - clock.now_ns()) / SECOND_NS))
            if observation is not None:
                self._index = observation.index
                self._age_ns = clock.now_ns() - observation.captured_ns
                self._make(observation, new=True)
                due_ns = clock.now_ns() + round(STARVED_S * SECOND_NS)
            elif self._rest.resting:
                self._rest.wait(RESTED_S)
                due_ns = clock.now_ns() + round(STARVED_S * SECOND_NS)
            elif clock.now_ns() >= due_ns:
                if not self._send.lockstep:
                    self._make_idle()
                due_ns = max(due_ns + self._period_ns, clock.now_ns())

    def _make_idle(self) -> None:
        # As old as observations usually are here: one that comes next must not seem to be from the past.
        captured_ns = clock.now_ns() - self._age_ns
        self._record.face = False
        self._record.idle += 1
        self._make(Observation(None, self._index, captured_ns), new=False)

    def _make(self, observation: Observation, *, new: bool) -> None:
        with self._record.times.measure("retarget"):
            motion = self._retarget(self._in_order(observation))
        if new:
            self._record.made(observation, motion)
        finish = self._begin(motion, observation.index, observation.captured_ns)
        self._send(self._begun, Begun(finish, new))

    def _in_order(self, observation: Observation) -> Observation:
        """The observation with a time stamp after that of the one before, as filters need it."""
        if self._given_ns is not None and observation.captured_ns <= self._given_ns:
            observation = replace(observation, captured_ns=self._given_ns + SMALLEST_STEP_NS)
        self._given_ns = observation.captured_ns
        return observation


class FinishWork:
    """Finishes frames and sends them to all outputs."""

    def __init__(
        self,
        begun: Slot[Begun],
        made: Sequence[Slot[Made]],
        send: Sender,
        record: Record,
        *,
        measure: bool,
    ) -> None:
        self._begun = begun
        self._made = made
        self._send = send
        self._record = record
        self._measure = measure

    def __call__(self) -> None:
        """Finish frames until the slot of those that are begun is finished."""
        while not self._begun.finished:
            begun = self._begun.get(0.5)
            if begun is None:
                continue
            with self._record.times.measure("render") if self._measure else nullcontext():
                frame = begun.finish()
            for slot in self._made:
                self._send(slot, Made(frame, begun.new))
