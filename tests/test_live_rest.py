"""The rest of a run whose frames nobody takes. The stages and the output are stand-ins."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
from live_fakes import FakeCamera, FakeOutput, FakeRenderer, FakeRetarget, FakeTracker

from avatar.live import Status, Summary, rest, run_live
from avatar.live.rest import Rest
from avatar.tools import clock

PATIENCE_S = 0.3


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "PATIENCE_S", PATIENCE_S)


class Device(FakeOutput):
    """A virtual camera that tells whether somebody reads it."""

    def __init__(self, *, wanted: bool) -> None:
        super().__init__(constant_rate=True)
        self.wanted = wanted


@dataclass
class Run:
    """A run in a thread of its own."""

    camera: FakeCamera
    stop: threading.Event
    statuses: list[Status]
    summary: Summary | None = None

    @property
    def resting(self) -> bool:
        return bool(self.statuses) and self.statuses[-1].resting


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    threads: list[tuple[threading.Thread, Run]] = []

    def begin(outputs: Sequence[FakeOutput], fps: float = 30) -> Run:
        run = Run(FakeCamera(itertools.repeat("frame"), fps=fps), threading.Event(), [])

        def go() -> None:
            run.summary = run_live(
                run.camera,
                FakeTracker(),
                FakeRetarget(),
                FakeRenderer(),
                outputs,
                stop=run.stop,
                fps=30,
                on_status=run.statuses.append,
            )

        thread = threading.Thread(target=go)
        threads.append((thread, run))
        thread.start()
        return run

    yield begin
    for thread, run in threads:
        run.stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(holds: Callable[[], bool], seconds: float = 10) -> float:
    """Wait for it; the seconds that it took."""
    begin = clock.now_ns()
    while not holds():
        assert clock.now_ns() - begin < seconds * 1e9, "it does not come true"
        time.sleep(0.005)
    return (clock.now_ns() - begin) / 1e9


def test_with_nobody_there_it_costs_next_to_nothing_and_repeats_once_a_second(
    start: Callable[..., Run],
) -> None:
    device = Device(wanted=False)
    run = start([device])
    until(lambda: run.resting)
    fetched, given, spent = run.camera._index, len(device.frames), time.process_time()
    time.sleep(3.2)
    share = (time.process_time() - spent) / 3.2
    assert run.camera._index <= fetched + 1
    repeats = device.frames[given:]
    assert 3 <= len(repeats) <= 4
    assert len({id(frame) for frame in repeats}) == 1
    assert share < 0.03
    print(f"{100 * share:.2f} % of a processor")


def test_it_comes_back_at_once_with_what_the_camera_sees_now(start: Callable[..., Run]) -> None:
    device = Device(wanted=False)
    run = start([device])
    until(lambda: run.resting)
    time.sleep(0.5)
    before = device.frames[-1].index
    called_ns = clock.now_ns()
    device.wanted = True
    took = until(lambda: device.frames[-1].index > before)
    assert device.frames[-1].captured_ns > called_ns
    assert took < 0.5
    print(f"back after {1000 * took:.0f} ms")
    given, begin = len(device.frames), clock.now_ns()
    time.sleep(1.5)
    rate = (len(device.frames) - given) / ((clock.now_ns() - begin) / 1e9)
    assert rate == pytest.approx(30, abs=6)
    run.stop.set()
    until(lambda: run.summary is not None)
    assert run.summary is not None
    assert run.summary.rested > 0.4
    # The rest does not lower the frame rate, and what was not fetched in it is not lost.
    assert run.summary.fps == pytest.approx(30, abs=8)
    assert run.summary.dropped_total < 15


def test_one_who_takes_frames_is_enough(start: Callable[..., Run]) -> None:
    device, recorder = Device(wanted=False), FakeOutput()
    run = start([device, recorder])
    until(lambda: len(recorder.frames) > 40)
    assert not any(status.resting for status in run.statuses)


def test_who_only_looks_in_keeps_it_awake_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = 10**9
    monkeypatch.setattr(clock, "now_ns", lambda: now_ns)
    device = Device(wanted=False)
    resting = Rest([device])

    def after(seconds: float, *, wanted: bool) -> bool:
        nonlocal now_ns
        now_ns += round(seconds * 1e9)
        device.wanted = wanted
        resting.look()
        return resting.resting

    assert not after(0, wanted=False)
    assert not after(0.9 * PATIENCE_S, wanted=False)
    assert not after(0.05, wanted=True)
    assert not after(0.1, wanted=False)
    assert not after(0.9 * PATIENCE_S, wanted=False)
    assert after(0.1 * PATIENCE_S + 0.01, wanted=False)
    assert after(5, wanted=False)
    assert resting.rested_ns(clock.now_ns()) == 5 * 10**9
    assert not after(1, wanted=True)
    assert resting.rested_ns(clock.now_ns()) == 6 * 10**9


def test_it_can_be_ended_from_the_rest(start: Callable[..., Run]) -> None:
    device = Device(wanted=False)
    run = start([device])
    until(lambda: run.resting)
    run.stop.set()
    assert until(lambda: run.summary is not None) < 2


def test_a_run_in_which_each_frame_counts_never_rests() -> None:
    device = Device(wanted=False)
    count = 60
    summary = run_live(
        FakeCamera(itertools.repeat("frame", count), fps=50),
        FakeTracker(),
        FakeRetarget(),
        FakeRenderer(),
        [device],
        stop=threading.Event(),
        fps=30,
        lockstep=True,
    )
    assert len(device.frames) == count
    assert summary.rested == 0


def test_the_rest_at_the_end_is_no_part_of_the_frame_rate(start: Callable[..., Run]) -> None:
    device = Device(wanted=True)
    run = start([device])
    until(lambda: len(device.frames) > 20)
    device.wanted = False
    until(lambda: run.resting)
    time.sleep(1.5)
    run.stop.set()
    until(lambda: run.summary is not None)
    assert run.summary is not None
    assert run.summary.fps == pytest.approx(30, rel=0.4)
