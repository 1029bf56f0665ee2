"""What `run` and `demo` share: put the stages together, run them live, tell how it went."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import FrameType

    from avatar.capture import Source as CaptureSource
    from avatar.live import Status, Summary
    from avatar.live.loop import Output as LiveOutput
    from avatar.live.loop import Renderer, Retarget, Source, Tracker
    from avatar.records import Frame
    from avatar.tools.stats import StageTimes
    from avatar.track import FaceTracker
    from avatar.track.landmarker import Kind

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""The last ones come when the terminal is closed: on Linux and macOS, and on Windows."""


def open_tracker(source: CaptureSource, kind: Kind, open_things: contextlib.ExitStack) -> FaceTracker | None:
    """The face tracker, to be closed by `open_things`; None for a source of recorded motion.

    `kind` says whose loop runs its models.

    Call it before an output is opened: it may fail, and then no file must have been overwritten.
    """
    from avatar.capture import Recording
    from avatar.track import FaceTracker

    return None if isinstance(source, Recording) else open_things.enter_context(FaceTracker(kind))


class CliOutput(Protocol):
    """An output that is closed at the end, as those of `avatar.output`."""

    def __call__(self, frame: Frame) -> None: ...
    def close(self) -> None: ...


class Outputs:
    """The outputs of a run. Closes them at its end, but for those that hang: so would their closing.

    Attributes:
        all: those added.
        left_behind: those whose last call did not return.
    """

    def __init__(self) -> None:
        self.all: list[CliOutput] = []
        self.left_behind: list[LiveOutput] = []

    def add(self, output: CliOutput) -> None:
        """Take `output` in, to be closed by `close`."""
        self.all.append(output)

    def close(self) -> None:
        """Close all that still answer, once; raises the first error after that."""
        with contextlib.ExitStack() as open_things:
            while self.all:
                output = self.all.pop(0)
                if not any(output is hung for hung in self.left_behind):
                    open_things.callback(output.close)


def go(
    source: Source,
    tracker: Tracker | None,
    retarget: Retarget,
    renderer: Renderer,
    outputs: Outputs,
    *,
    times: StageTimes,
    stop: threading.Event,
    fps: float,
    seconds: float | None,
    noted: Callable[[Status], None] = lambda status: None,
) -> Summary:
    """Run until the source ends, `seconds` are over, or Ctrl-C is pressed; then `stop` is set.

    The outputs are closed before all else that is open: no face may stay in them, whatever happens next.

    Args:
        source: a camera or what stands for it.
        tracker: finds the driver's face in its frames.
        retarget: turns the driver's face into the portrait's motion.
        renderer: draws the frame.
        outputs: where the frames go.
        times: where the stages are counted; the renderer has the same.
        stop: ends the run when somebody sets it.
        fps: rate of the outputs.
        seconds: longest duration, or None.
        noted: told about twice a second how it goes.
    """
    from avatar.live import StatusLine, run_live

    def tell_status(now: Status) -> None:
        status(now)
        noted(now)

    with contextlib.closing(StatusLine()) as status, _signals_set(stop) as closing:
        try:
            return run_live(
                source,
                tracker,
                retarget,
                renderer,
                list(outputs.all),
                stop=stop,
                fps=fps,
                seconds=seconds,
                on_status=tell_status,
                times=times,
                left_behind=outputs.left_behind,
            )
        finally:
            closing.set()
            outputs.close()


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[threading.Event]:
    """Inside, the first Ctrl-C only sets `stop`, so that the run ends in order; the second one interrupts.

    The closing of the terminal and a polite kill set it, too, and often come together: they never interrupt.
    Once the event that this gives is set, outputs are being closed, and one Ctrl-C more is borne with: a
    virtual camera must not keep a face.
    """
    closing, spared = threading.Event(), threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            if not closing.is_set() or spared.is_set():
                raise KeyboardInterrupt
            spared.set()
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield closing
        return
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    # A closed terminal that is ignored stays so: nohup wants that. Shells ignore Ctrl-C for what they put
    # into the background, but whoever sends one to this very program means it.
    always = (signal.SIGINT, signal.SIGTERM)
    heard = [one for one in numbers if one in always or signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield closing
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tell(summary: Summary, *, as_json: bool) -> None:
    """Print how a run went, for people or as one line of JSON."""
    if as_json:
        print(json.dumps(summary.as_json()))
        return
    print(
        f"{summary.frames} frames in {summary.seconds:.1f} s: {summary.fps:.1f} fps, "
        f"{summary.dropped_total} dropped, {summary.repeated} repeated"
    )
    middle, most = summary.age_ms["p50"], summary.age_ms["p95"]
    if middle is not None and most is not None:
        # A motion recording stands for the camera and the tracker; a browser's camera may not have come.
        tracked = "track" in summary.stages_ms or summary.no_face == summary.frames
        begin = "the camera" if tracked else "the recorded motion (no camera, no tracking)"
        print(f"latency from {begin} to the output: {middle:.0f} ms, 95 % under {most:.0f} ms")
    if summary.frames and summary.no_face:
        print(f"no face was seen in {summary.no_face} frames", file=sys.stderr)
