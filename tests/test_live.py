"""The live loop in fair weather, and how it ends."""

from __future__ import annotations

import itertools
import json
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from live_fakes import FakeCamera, FakeOutput, FakeRenderer, FakeRetarget, FakeTracker, Weather, face

from avatar.live import Status, Summary, run_live
from avatar.live.record import Record
from avatar.records import Frame, Motion, Observation
from avatar.tools import clock
from avatar.tools.stats import StageTimes


def frames(count: int) -> list[Weather]:
    return ["frame"] * count


def endless() -> Iterator[Weather]:
    return itertools.repeat("frame")


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = {thread for thread in threading.enumerate() if thread not in before and thread.is_alive()}
    assert not left


def live(
    camera: FakeCamera, *outputs: FakeOutput, tracker: FakeTracker | None = None, **more: float | bool
) -> Summary:
    """A run with plain fakes for what is not given."""
    return run_live(
        camera,
        tracker or FakeTracker(),
        FakeRetarget(),
        FakeRenderer(takes_s=float(more.pop("render_s", 0.0))),
        outputs or (FakeOutput(),),
        stop=threading.Event(),
        fps=camera.fps,
        seconds=more.get("seconds"),
        lockstep=bool(more.get("lockstep", False)),
    )


def test_every_frame_arrives_when_all_are_quick() -> None:
    output = FakeOutput()
    summary = live(FakeCamera(frames(60), fps=50), output)
    assert summary.frames == len(output.frames) > 40
    assert output.indices[-1] == 59
    assert summary.dropped_total == 60 - summary.frames
    seconds = (output.moments_ns[-1] - output.moments_ns[0]) / 1e9
    assert summary.fps == pytest.approx((len(output.frames) - 1) / seconds, rel=0.2)
    assert summary.repeated == 0
    age = summary.age_ms["p50"]
    assert age is not None and 0 < age < 100
    assert set(summary.stages_ms) == {"track", "retarget", "render", "output"}
    assert summary.no_face == 0


def test_a_slow_stage_drops_old_frames_and_the_age_stays_small() -> None:
    output = FakeOutput()
    summary = live(FakeCamera(frames(100), fps=100), output, render_s=0.04)
    assert summary.dropped["tracker->generator"] > 20
    assert output.indices == sorted(set(output.indices))
    assert output.indices[-1] == 99
    age = summary.age_ms["p99"]
    # 1 s of frames come 4 times faster than they are made: in a queue the last would be 3 s old.
    assert age is not None and age < 1000
    middle = summary.stages_ms["render"]["p50"]
    assert middle is not None and 39 < middle < 100


class HalvedRenderer(FakeRenderer):
    """Takes a while for each half of a frame, and notes in which thread that was."""

    def __init__(self, first_s: float, second_s: float) -> None:
        super().__init__(takes_s=second_s)
        self.first_s = first_s
        self.begun: list[int] = []
        self.threads: dict[str, set[threading.Thread]] = {"begin": set(), "finish": set()}

    def begin(self, motion: Motion, index: int, captured_ns: int) -> Callable[[], Frame]:
        self.begun.append(index)
        self.threads["begin"].add(threading.current_thread())
        clock.sleep(self.first_s)

        def finish() -> Frame:
            self.threads["finish"].add(threading.current_thread())
            return self(motion, index, captured_ns)

        return finish


def halved(renderer: HalvedRenderer, count: int, fps: float, *, lockstep: bool) -> FakeOutput:
    output = FakeOutput()
    run_live(
        FakeCamera(frames(count), fps=fps),
        FakeTracker(),
        FakeRetarget(),
        renderer,
        [output],
        stop=threading.Event(),
        fps=30,
        lockstep=lockstep,
    )
    return output


def test_the_halves_of_two_frames_are_made_at_once() -> None:
    renderer = HalvedRenderer(0.03, 0.03)
    output = halved(renderer, 40, 100_000, lockstep=True)
    assert output.indices == list(range(40))
    assert all(len(threads) == 1 for threads in renderer.threads.values())
    assert renderer.threads["begin"] != renderer.threads["finish"]
    seconds = (output.moments_ns[-1] - output.moments_ns[0]) / 1e9
    # One after the other they would take 39 * 60 ms.
    assert seconds < 39 * 0.05


def test_nothing_is_begun_that_will_not_be_finished() -> None:
    renderer = HalvedRenderer(0.002, 0.04)
    output = halved(renderer, 100, 100, lockstep=False)
    assert renderer.begun == output.indices
    assert len(output.frames) < 60


def test_a_slow_output_holds_up_nobody_else() -> None:
    slow, quick = FakeOutput(takes_s=0.1), FakeOutput()
    summary = live(FakeCamera(frames(50), fps=100), quick, slow)
    assert len(quick.frames) > 2 * len(slow.frames) > 4
    assert slow.indices[-1] == 49
    assert summary.dropped["generator->output"] >= len(quick.frames) - len(slow.frames)
    assert summary.frames == len(quick.frames)
    assert set(summary.stages_ms) >= {"output 1", "output 2"}


def test_lockstep_loses_and_adds_nothing() -> None:
    first, second = FakeOutput(constant_rate=True, takes_s=0.004), FakeOutput()
    camera = FakeCamera(frames(80), fps=100_000)
    summary = live(camera, first, second, tracker=FakeTracker(takes_s=0.002), lockstep=True)
    assert first.indices == second.indices == list(range(80))
    assert (summary.dropped_total, summary.repeated, summary.idle) == (0, 0, 0)


def test_a_recording_of_observations_needs_no_tracker() -> None:
    numbers = iter(range(20))

    def recording() -> Observation | None:
        clock.sleep(0.01)
        number = next(numbers, None)
        return None if number is None else Observation(face(number / 30), number, clock.now_ns())

    output = FakeOutput()
    summary = run_live(
        recording, None, FakeRetarget(), FakeRenderer(), [output], stop=threading.Event(), fps=30
    )
    assert output.indices[-1] == 19
    assert summary.frames == len(output.frames) > 15
    assert "track" not in summary.stages_ms


def test_frames_without_a_tracker_are_an_error() -> None:
    with pytest.raises(TypeError, match="need a tracker"):
        run_live(
            FakeCamera(frames(3)),
            None,
            FakeRetarget(),
            FakeRenderer(),
            [FakeOutput()],
            stop=threading.Event(),
            fps=30,
        )


def test_it_ends_after_the_given_seconds() -> None:
    start = time.monotonic()
    summary = live(FakeCamera(endless(), fps=60), seconds=0.5)
    # More would mean that it ended by a grace time.
    assert 0.45 < time.monotonic() - start < 2.0
    assert summary.frames > 5


def test_it_ends_when_told_to_and_hands_over_what_is_under_way() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    output = FakeOutput()
    retarget = FakeRetarget()
    run_live(
        FakeCamera(endless(), fps=60), FakeTracker(), retarget, FakeRenderer(), [output], stop=stop, fps=60
    )
    assert len(output.frames) > 3
    assert output.indices[-1] == retarget.seen[-1].index


@pytest.mark.parametrize("broken", ["tracker", "retarget", "renderer", "output"])
def test_an_error_in_any_thread_ends_the_run_and_reaches_the_caller(broken: str) -> None:
    def at(name: str) -> int | None:
        return 5 if name == broken else None

    other = FakeOutput()
    with pytest.raises(RuntimeError, match=f"{broken} broke"):
        run_live(
            FakeCamera(endless(), fps=30),
            FakeTracker(fails_at=at("tracker")),
            FakeRetarget(fails_at=at("retarget")),
            FakeRenderer(fails_at=at("renderer")),
            [FakeOutput(fails_at=at("output")), other],
            stop=threading.Event(),
            fps=30,
        )
    assert other.indices == sorted(set(other.indices)) and other.indices


def test_an_error_of_the_source_reaches_the_caller() -> None:
    def source() -> None:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        run_live(
            source,
            FakeTracker(),
            FakeRetarget(),
            FakeRenderer(),
            [FakeOutput()],
            stop=threading.Event(),
            fps=30,
        )


@pytest.mark.parametrize("error", [BrokenPipeError, KeyboardInterrupt])
def test_an_error_while_watching_ends_the_threads_too(error: type[BaseException]) -> None:
    def on_status(status: Status) -> None:
        raise error

    with pytest.raises(error):
        run_live(
            FakeCamera(endless()),
            FakeTracker(),
            FakeRetarget(),
            FakeRenderer(),
            [FakeOutput()],
            stop=threading.Event(),
            fps=30,
            on_status=on_status,
        )


def test_an_output_closed_by_its_user_ends_the_run() -> None:
    window, other = FakeOutput(closes_at=10, main_thread=True), FakeOutput()
    summary = live(FakeCamera(endless(), fps=60), window, other)
    assert window.indices[-1] >= 10 > window.indices[-2]
    assert window.threads == {threading.current_thread()}
    assert threading.current_thread() not in other.threads
    assert summary.frames == len(window.frames)


def test_two_outputs_cannot_share_the_callers_thread() -> None:
    with pytest.raises(ValueError, match="only one output"):
        live(FakeCamera([]), FakeOutput(main_thread=True), FakeOutput(main_thread=True))
    with pytest.raises(ValueError, match="at least one"):
        run_live(FakeCamera([]), None, FakeRetarget(), FakeRenderer(), [], stop=threading.Event(), fps=30)


class Measured:
    """A renderer that counts its parts itself."""

    def __init__(self, times: StageTimes) -> None:
        self._times = times
        self._render = FakeRenderer()

    def __call__(self, motion: Motion, index: int, captured_ns: int) -> Frame:
        with self._times.measure("warp"):
            return self._render(motion, index, captured_ns)


class PubliclyMeasured(Measured):
    @property
    def times(self) -> StageTimes:
        return self._times


@pytest.mark.parametrize("public", [False, True])
def test_a_renderer_that_measures_itself_is_not_measured_twice(public: bool) -> None:
    times = StageTimes()
    summary = run_live(
        FakeCamera(frames(5)),
        FakeTracker(),
        FakeRetarget(),
        PubliclyMeasured(times) if public else Measured(times),
        [FakeOutput()],
        stop=threading.Event(),
        fps=30,
        times=None if public else times,
    )
    assert set(summary.stages_ms) == {"track", "retarget", "warp", "output"}


def test_motion_lag_is_that_of_the_motion_not_of_the_way() -> None:
    summary = run_live(
        FakeCamera(frames(60), fps=25),
        FakeTracker(),
        FakeRetarget(lag_s=0.05),
        FakeRenderer(takes_s=0.03),
        [FakeOutput(takes_s=0.03)],
        stop=threading.Event(),
        fps=25,
    )
    # The way adds 60 ms.
    assert summary.motion_lag_ms == pytest.approx(50, abs=20)


def test_the_summary_is_plain_json_and_the_status_tells_the_truth() -> None:
    seen: list[Status] = []
    summary = run_live(
        FakeCamera(frames(80), fps=50),
        FakeTracker(),
        FakeRetarget(),
        FakeRenderer(takes_s=0.005),
        [FakeOutput()],
        stop=threading.Event(),
        fps=50,
        on_status=seen.append,
    )
    told = json.loads(json.dumps(summary.as_json()))
    assert told["frames"] == summary.frames
    assert told["dropped"] == sum(told["dropped_by_slot"].values())
    assert len(seen) >= 2
    assert 25 < seen[-1].fps < 75
    assert seen[-1].face and seen[-1].camera
    assert seen[-1].slowest is not None and seen[-1].slowest[0] == "render"


def test_the_record_of_a_long_run_does_not_grow() -> None:
    record = Record(StageTimes())
    observation, motion = Observation(face(), 0, 0), FakeRetarget()(Observation(face(), 0, 0))
    frame = FakeRenderer()(motion, 0, 0)

    def run(count: int) -> None:
        for _ in range(count):
            record.made(observation, motion)
            record.handed_over(frame)
            record.times.add("render", 1.0)

    run(11_000)
    tracemalloc.start()
    run(4000)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The ring of the newest values holds other numbers now, not more of them.
    assert grown < 40_000
    assert record.frames == 15_000


@pytest.mark.parametrize("rate", [25, 150, 1000])
def test_the_status_tells_any_rate(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1
    monkeypatch.setattr(clock, "now_ns", lambda: now)
    record = Record(StageTimes())
    for index in range(10 * rate):
        now = 1 + round(index / rate * 1e9)
        record.handed_over(Frame(np.zeros((2, 2, 3), np.uint8), index, now))
    assert record.status(0).fps == pytest.approx(rate, rel=0.03)
    now += 2_000_000_000
    assert record.status(0).fps < 0.5 * rate
