"""The threads of a live run, their beginning and their end.

    camera --[Slot]--> tracker --[Slot]----> motion --[Slot]--> finish --[Slot]--> one thread per output
            Frame              Observation   retarget,  Begun   generate,    Frame
                                             warp               composite

Behind the tracker there are numbers, and three small grey close-ups that an encoder makes numbers of: no
picture of the camera ever reaches the threads behind it, and no pixel of it an output. Nothing queues: a
slot holds one item and the newest wins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from avatar.errors import OutputError
from avatar.live.handover import Cadence, HandOver, Made
from avatar.live.record import SECOND_NS, Record, Status, Summary
from avatar.live.rest import Rest
from avatar.live.workers import (
    Begun,
    CameraWork,
    FinishWork,
    MotionWork,
    Renderer,
    Retarget,
    Sender,
    Source,
    Tracker,
    TrackerWork,
)
from avatar.records import Frame, Observation
from avatar.tools import clock
from avatar.tools.slot import Slot
from avatar.tools.stats import StageTimes

__all__ = ["Output", "Renderer", "Retarget", "Source", "Tracker", "run_live"]

Output: TypeAlias = Callable[[Frame], None]
Job: TypeAlias = Callable[[], None]

TICK_S = 0.1
STATUS_TICKS = 5
GRACE_S = 2.0
"""How long a thread may take to end before it is left behind: a camera's read or a virtual camera's write may
hang for good."""


def run_live(
    source: Source,
    tracker: Tracker | None,
    retarget: Retarget,
    renderer: Renderer,
    outputs: Sequence[Output],
    *,
    stop: threading.Event,
    fps: float,
    seconds: float | None = None,
    on_status: Callable[[Status], None] | None = None,
    times: StageTimes | None = None,
    lockstep: bool = False,
    left_behind: list[Output] | None = None,
) -> Summary:
    """Run until the source ends, `stop` is set, `seconds` are over, an output is closed or something fails.

    Everything given stays open: closing is the caller's. At the end all frames under way are handed over.

    Args:
        source: Gives the next camera frame, or the observation itself (the tracker is then passed by), or
            None at the end. When it raises `CameraLostError` and has `reopen()`, it is waited for; meanwhile
            the avatar goes on without a face. If it counts frames that nobody fetched in time in an attribute
            `dropped`, they are counted among the drops.
        tracker: Finds the driver's face; may be None for a source of observations.
        retarget: Called for every observation, with rising `captured_ns`.
        renderer: Makes the frame. If it has `begin`, with the same parameters, which makes the first half of
            a frame and returns a function that makes the rest, the halves of two frames are made at once.
        outputs: Each is called in a thread of its own. Optional attributes: `constant_rate` (True: it gets
            `fps` frames a second, repeats included), `main_thread` (True: it is called in the caller's
            thread, as windows need it on some systems; one output at most; if it hangs, so does the run),
            `closed` (turns True when its user closes it: the run ends), `wanted` (False: nobody takes its
            frames now; when that is so of all outputs for a while, the run rests: no camera frame is fetched,
            nothing is made, and constant-rate outputs get their last frame once a second).
        stop: Set it to end the run.
        fps: Frames a second of constant-rate outputs, and of the avatar while no camera frame comes.
        seconds: Longest duration of the run.
        on_status: Called about twice a second, always from the same thread.
        times: Where stages are counted. Give those in which the renderer counts its own parts (or let them be
            its attribute `times`); without, it is counted as one stage `render`.
        lockstep: For files: nothing is dropped, repeated or made up; each stage waits for the next one.
        left_behind: Gets the outputs whose last call did not return at the end: to close one would hang too.

    Raises:
        ValueError: without outputs, or with two for the caller's thread.
        AvatarError, or whatever was raised first in any of the threads.
        OutputError: an output was left behind, and nothing else went wrong before.
    """
    shared: StageTimes | None = times or getattr(renderer, "times", None)
    run = _Run(Record(shared or StageTimes()), outputs, fps, lockstep)
    run.add_stages(source, tracker, retarget, renderer, measure_renderer=shared is None)
    return run.go(stop, seconds, on_status, left_behind)


class _Run:
    """The threads of one run. The first error in any of them ends all and is kept for the caller."""

    _camera: CameraWork

    def __init__(self, record: Record, outputs: Sequence[Output], fps: float, lockstep: bool) -> None:
        self._record = record
        self._fps = fps
        self._send = Sender(lockstep)
        self._rest = Rest(outputs, never=lockstep)
        self._frames: Slot[Frame] = Slot()
        self._observations: Slot[Observation] = Slot()
        self._begun: Slot[Begun] = Slot()
        self._made: list[Slot[Made]] = [Slot() for _ in outputs]
        self._ending = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._hand_overs: list[HandOver] = []
        self._output_threads: dict[threading.Thread, Output] = {}
        self._outputs_left = len(outputs)
        self._main: Job | None = None
        self._add_outputs(outputs)

    def _add_outputs(self, outputs: Sequence[Output]) -> None:
        if not outputs:
            raise ValueError("a run needs at least one output")
        if sum(getattr(output, "main_thread", False) for output in outputs) > 1:
            raise ValueError("only one output can be called in the caller's thread")
        for number, (output, slot) in enumerate(zip(outputs, self._made, strict=True), 1):
            name = "output" if len(outputs) == 1 else f"output {number}"
            paced = getattr(output, "constant_rate", False) and not self._send.lockstep
            cadence = Cadence(self._fps, self._rest) if paced else None
            work = HandOver(
                output, slot, self._record, self._rest, cadence=cadence, first=number == 1, stage=name
            )
            self._hand_overs.append(work)
            job = self._job(work, slot, after=self._output_ended)
            if getattr(output, "main_thread", False):
                self._main = job
            else:
                self._output_threads[self._thread(name, job)] = output

    def add_stages(
        self,
        source: Source,
        tracker: Tracker | None,
        retarget: Retarget,
        renderer: Renderer,
        *,
        measure_renderer: bool,
    ) -> None:
        """Make the threads of the stages, last one first, so that they start with their takers ready."""
        send, record, frames, observations = self._send, self._record, self._frames, self._observations
        finishing = FinishWork(self._begun, self._made, send, record, measure=measure_renderer)
        # With this thread all comes to its end: from then on an output has only so long for its last frame.
        self._thread("finish", self._job(finishing, self._begun, *self._made, after=self._ending.set))
        moving = MotionWork(
            retarget, renderer, observations, self._begun, send, record, fps=self._fps, rest=self._rest
        )
        self._thread("motion", self._job(moving, observations, self._begun))
        if tracker is not None:
            tracking = TrackerWork(tracker, frames, observations, send, record)
            self._thread("tracker", self._job(tracking, frames, observations))
        taken = frames if tracker else None
        self._camera = CameraWork(source, taken, observations, send, record, self._ending, self._rest)
        self._thread("camera", self._job(self._camera, frames if tracker else observations))

    def go(
        self,
        stop: threading.Event,
        seconds: float | None,
        on_status: Callable[[Status], None] | None,
        left_behind: list[Output] | None,
    ) -> Summary:
        """Start all, wait for the end, raise what went wrong."""
        self._guarded(lambda: self._run(self._guarded(lambda: self._watch(stop, seconds, on_status))))()
        self._join()
        hung = {thread.name: output for thread, output in self._output_threads.items() if thread.is_alive()}
        if left_behind is not None:
            left_behind.extend(hung.values())
        if self._error is not None:
            raise self._error
        if hung:
            raise OutputError("; ".join(f"{name} does not take frames any more" for name in hung))
        return self._record.summary(self._drops(), self._rest.rested_ns)

    def _run(self, watch: Job) -> None:
        if self._main is None:
            for thread in self._threads:
                thread.start()
            watch()
            return
        watcher = self._thread("watch", watch)
        for thread in self._threads:
            thread.start()
        self._main()
        # It ends at the latest when it gives up waiting for the other outputs.
        while watcher.is_alive():
            watcher.join(TICK_S)

    def _join(self) -> None:
        """Wait for the threads, each of which may hang, `GRACE_S` for all together.

        A Ctrl-C meanwhile must not get past it: the caller would close what is still in use.
        """
        end_ns = clock.now_ns() + round(GRACE_S * SECOND_NS)
        while True:
            try:
                while clock.now_ns() < end_ns and any(thread.is_alive() for thread in self._threads):
                    for thread in self._threads:
                        if thread.is_alive():
                            thread.join(TICK_S)
                return
            except KeyboardInterrupt as error:
                self._error = self._error or error
                self._close_all()

    def _watch(
        self, stop: threading.Event, seconds: float | None, on_status: Callable[[Status], None] | None
    ) -> None:
        """Until all outputs ended, or hang: look at the time and the stop sign, tell the status."""
        end_ns = None if seconds is None else clock.now_ns() + round(seconds * SECOND_NS)
        ending_ns = None
        ticks = 0
        while not self._over.wait(TICK_S if end_ns is None else self._tick_s(end_ns)):
            now = clock.now_ns()
            if stop.is_set() or (end_ns is not None and now >= end_ns):
                self._ending.set()
            if self._ending.is_set():
                self._rest.end()
                ending_ns = ending_ns or now
                if now - ending_ns > 2 * GRACE_S * SECOND_NS:
                    return
                if now - ending_ns > GRACE_S * SECOND_NS:
                    self._close_all()
            elif all(work.begun for work in self._hand_overs):
                self._rest.look()
            ticks += 1
            if on_status is not None and ticks % STATUS_TICKS == 0:
                on_status(self._record.status(sum(self._drops().values()), resting=self._rest.resting))

    def _tick_s(self, end_ns: int) -> float:
        left_s = (end_ns - clock.now_ns()) / SECOND_NS
        return min(TICK_S, left_s) if left_s > 0 else TICK_S

    def _drops(self) -> dict[str, int]:
        ahead = sum(work.dropped for work in self._hand_overs)
        return {
            "source": self._camera.missed,
            "camera->tracker": self._frames.dropped,
            "tracker->generator": self._observations.dropped,
            "generator->output": sum(slot.dropped for slot in self._made) + ahead,
        }

    def _thread(self, name: str, job: Job) -> threading.Thread:
        # Daemons: a camera driver that hangs for good must not keep the program from ending.
        thread = threading.Thread(target=job, name=name, daemon=True)
        self._threads.append(thread)
        return thread

    def _job(self, work: Job, *slots: Slot[Any], after: Job | None = None) -> Job:
        """`work`, guarded, that closes its `slots` at its end, so that its neighbours end too."""

        def job() -> None:
            self._guarded(work)()
            for slot in slots:
                slot.close()
            if after is not None:
                after()

        return job

    def _guarded(self, work: Job) -> Job:
        """`work`, whose error is kept for the caller and ends the run."""

        def guarded() -> None:
            try:
                work()
            # Also KeyboardInterrupt, in the caller's thread: the threads must end before it goes on.
            except BaseException as error:
                with self._lock:
                    self._error = self._error or error
                self._close_all()

        return guarded

    def _output_ended(self) -> None:
        self._ending.set()
        with self._lock:
            self._outputs_left -= 1
        if not self._outputs_left:
            self._over.set()

    def _close_all(self) -> None:
        self._ending.set()
        slots: list[Slot[Any]] = [self._frames, self._observations, self._begun, *self._made]
        for slot in slots:
            slot.close()
