"""The live loop in bad weather: late, faceless, unplugged, hanging; and what never gets out."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Iterable

import numpy as np
import pytest
from live_fakes import (
    LATE_S,
    FakeCamera,
    FakeOutput,
    FakeRenderer,
    FakeRetarget,
    FakeTracker,
    FixedCamera,
    Weather,
)

from avatar.errors import CameraLostError, OutputError
from avatar.live import Status, loop, run_live, workers
from avatar.live.record import Record
from avatar.live.rest import Rest
from avatar.live.workers import MotionWork, Sender
from avatar.records import U8, Frame, Observation
from avatar.tools.slot import Slot
from avatar.tools.stats import StageTimes


def script(*parts: tuple[Weather, int]) -> list[Weather]:
    return [weather for weather, count in parts for _ in range(count)]


@pytest.fixture
def quick_reopen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "REOPEN_S", (0.2, 0.4))


def rising(values: Iterable[int]) -> bool:
    return all(before < after for before, after in itertools.pairwise(values))


def test_frames_without_a_face_go_on_as_numbers_without_a_face() -> None:
    retarget, output = FakeRetarget(), FakeOutput()
    summary = run_live(
        FakeCamera(script(("frame", 20), ("faceless", 15), ("frame", 10)), fps=60),
        FakeTracker(),
        retarget,
        FakeRenderer(),
        [output],
        stop=threading.Event(),
        fps=60,
        lockstep=True,
    )
    faceless = {seen.index for seen in retarget.seen if seen.face is None}
    assert faceless == set(range(20, 35))
    assert summary.no_face == len(faceless)
    assert output.indices == list(range(45))


def test_a_late_camera_is_bridged_without_a_face() -> None:
    retarget, output = FakeRetarget(), FakeOutput()
    summary = run_live(
        FakeCamera(script(("frame", 10), ("late", 1), ("frame", 10)), fps=60),
        FakeTracker(),
        retarget,
        FakeRenderer(),
        [output],
        stop=threading.Event(),
        fps=60,
    )
    bridged = [seen for seen in retarget.seen if seen.face is None]
    assert summary.idle == len(bridged) > 10
    assert {seen.index for seen in bridged} == {9}
    assert rising(seen.captured_ns for seen in retarget.seen)
    assert len(retarget.seen) == len(output.frames) + summary.dropped["generator->output"]
    assert len(output.frames) - summary.idle <= summary.frames <= len(retarget.seen) - summary.idle
    assert summary.no_face == 0
    first = retarget.seen.index(bridged[0])
    assert retarget.moments_ns[first] - retarget.moments_ns[first - 1] >= workers.STARVED_S * 1e9
    assert np.diff(output.moments_ns).max() < 0.7 * LATE_S * 1e9


@pytest.mark.usefixtures("quick_reopen")
def test_an_unplugged_camera_is_waited_for_and_taken_up_again() -> None:
    camera = FakeCamera(script(("frame", 30), ("lost", 1), ("frame", 30)), fps=60, refusals=3)
    retarget, output, seen = FakeRetarget(), FakeOutput(), list[Status]()
    summary = run_live(
        camera,
        FakeTracker(),
        retarget,
        FakeRenderer(),
        [output],
        stop=threading.Event(),
        fps=60,
        on_status=seen.append,
    )
    assert (camera.reopened, camera.refused) == (1, 3)
    assert output.indices[-1] == 59
    assert summary.idle > 20
    assert [status.camera for status in seen].count(False) >= 1
    assert seen[-1].camera
    assert any(not status.camera and not status.face for status in seen)


@pytest.mark.usefixtures("quick_reopen")
def test_waiting_for_a_camera_ends_when_told_to() -> None:
    camera = FakeCamera(script(("frame", 5), ("lost", 1)), refusals=10_000)
    start = time.monotonic()
    summary = run_live(
        camera,
        FakeTracker(),
        FakeRetarget(),
        FakeRenderer(),
        [FakeOutput()],
        stop=threading.Event(),
        fps=30,
        seconds=1.0,
    )
    assert time.monotonic() - start < 5
    assert not any(thread.name == "camera" for thread in threading.enumerate())
    assert camera.reopened == 0 and camera.refused >= 1
    assert summary.frames >= 4


def test_a_lost_source_that_cannot_be_reopened_ends_the_run() -> None:
    output = FakeOutput()
    with pytest.raises(CameraLostError, match="unplugged"):
        run_live(
            FixedCamera(script(("frame", 5), ("lost", 1), ("frame", 5))),
            FakeTracker(),
            FakeRetarget(),
            FakeRenderer(),
            [output],
            stop=threading.Event(),
            fps=30,
        )
    assert output.frames and output.indices[-1] <= 4


def test_a_camera_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "GRACE_S", 0.3)
    camera = FakeCamera(script(("frame", 5), ("hangs", 1)))
    start = time.monotonic()
    try:
        summary = run_live(
            camera,
            FakeTracker(),
            FakeRetarget(),
            FakeRenderer(),
            [FakeOutput()],
            stop=threading.Event(),
            fps=30,
            seconds=0.5,
        )
    finally:
        camera.unhang.set()
    assert time.monotonic() - start < 10
    assert summary.frames >= 4


@pytest.mark.parametrize(
    ("why", "lockstep"),
    [
        ("seconds", False),
        ("seconds", True),
        ("the source ends", False),
        ("another output is closed", False),
        ("another output is closed", True),
    ],
)
def test_an_output_that_hangs_is_left_behind_with_an_error(
    why: str, lockstep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "GRACE_S", 0.3)
    hung, left = FakeOutput(hangs_at=3), list[loop.Output]()
    other = FakeOutput(main_thread=True, closes_at=3 if why == "another output is closed" else None)
    start = time.monotonic()
    try:
        with pytest.raises(OutputError, match=r"^output 2 does not take frames any more$"):
            run_live(
                FakeCamera(["frame"] * 20 if why == "the source ends" else itertools.repeat("frame")),
                FakeTracker(),
                FakeRetarget(),
                FakeRenderer(),
                [other, hung],
                stop=threading.Event(),
                fps=30,
                seconds=0.5 if why == "seconds" else None,
                lockstep=lockstep,
                left_behind=left,
            )
        assert left == [hung]
        assert [thread.name for thread in threading.enumerate()].count("output 2") == 1
    finally:
        hung.unhang.set()
    assert time.monotonic() - start < 10


def test_an_error_comes_before_that_of_an_output_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "GRACE_S", 0.3)
    hung, left = FakeOutput(hangs_at=1), list[loop.Output]()
    start = time.monotonic()
    try:
        with pytest.raises(RuntimeError, match="tracker broke"):
            run_live(
                FakeCamera(itertools.repeat("frame")),
                FakeTracker(fails_at=20),
                FakeRetarget(),
                FakeRenderer(),
                [hung],
                stop=threading.Event(),
                fps=30,
                left_behind=left,
            )
    finally:
        hung.unhang.set()
    assert left == [hung]
    assert time.monotonic() - start < 10


def test_ctrl_c_while_the_threads_are_joined_does_not_get_past_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "GRACE_S", 3.0)
    slow = FakeOutput(takes_s=0.5)
    joined: list[str] = []

    class Interrupted(threading.Thread):
        """Joins are interrupted, as by a second and a third Ctrl-C."""

        def join(self, timeout: float | None = None) -> None:
            joined.append(self.name)
            if len(joined) in (1, 3):
                raise KeyboardInterrupt
            super().join(timeout)

    monkeypatch.setattr(threading, "Thread", Interrupted)
    # The window is closed at once, so the other output is still at its frame when the threads are joined.
    with pytest.raises(KeyboardInterrupt):
        run_live(
            FakeCamera(itertools.repeat("frame")),
            FakeTracker(),
            FakeRetarget(),
            FakeRenderer(),
            [slow, FakeOutput(main_thread=True, closes_at=0)],
            stop=threading.Event(),
            fps=30,
        )
    assert len(joined) > 3
    assert not [thread.name for thread in threading.enumerate() if isinstance(thread, Interrupted)]


def test_a_constant_rate_output_gets_repeats_and_keeps_its_rate() -> None:
    even, plain = FakeOutput(constant_rate=True), FakeOutput()
    summary = run_live(
        FakeCamera(script(("frame", 15)), fps=10),
        FakeTracker(),
        FakeRetarget(),
        FakeRenderer(),
        [even, plain],
        stop=threading.Event(),
        fps=30,
    )
    seconds = (even.moments_ns[-1] - even.moments_ns[0]) / 1e9
    assert (len(even.frames) - 1) / seconds == pytest.approx(30, abs=6)
    # A repeat is the very same frame once more.
    assert summary.repeated == len(even.frames) - len({id(frame) for frame in even.frames}) > 10
    assert summary.frames <= len({id(frame) for frame in even.frames})


def test_time_stamps_stay_in_order_when_an_observation_comes_late() -> None:
    retarget = FakeRetarget()
    record = Record(StageTimes())
    work = MotionWork(retarget, FakeRenderer(), Slot(), Slot(), Sender(False), record, fps=30, rest=Rest([]))
    camera = FakeCamera(["frame"] * 3)
    first, second = camera(), camera()
    assert first is not None and second is not None
    for frame in (first, Frame(second.rgb, 1, first.captured_ns - 5), second):
        work._make(Observation(None, frame.index, frame.captured_ns), new=True)
    assert rising(seen.captured_ns for seen in retarget.seen)


SENTINEL = (255, 0, 199)


class LoudCamera(FakeCamera):
    """Pictures full of a colour that no avatar has, with noise of its own by `seed`."""

    def __init__(self, seed: int, count: int) -> None:
        super().__init__(script(("frame", count // 2), ("faceless", 5), ("frame", count // 2)), fps=100_000)
        self._own = np.random.default_rng(seed)
        self.given: list[U8] = []

    def picture(self) -> U8:
        rgb = self._own.integers(0, 255, (12, 16, 3), dtype=np.uint8)
        rgb[::2] = SENTINEL
        self.given.append(rgb)
        return rgb


def run_loud(seed: int) -> tuple[LoudCamera, FakeRetarget, FakeOutput]:
    ticks = itertools.count(0, 1_000_000)
    camera, retarget, output = LoudCamera(seed, 40), FakeRetarget(), FakeOutput()

    class Stamped:
        """The same time stamps in each run, so that runs can be compared."""

        def __call__(self) -> Frame | None:
            frame = camera()
            return frame and Frame(frame.rgb, frame.index, next(ticks))

    run_live(
        Stamped(),
        FakeTracker(),
        retarget,
        FakeRenderer(),
        [output],
        stop=threading.Event(),
        fps=30,
        lockstep=True,
    )
    return camera, retarget, output


def test_no_camera_pixel_reaches_an_output() -> None:
    camera, retarget, output = run_loud(1)
    other_camera, _, other_output = run_loud(2)
    assert len(output.frames) == len(other_output.frames) == 45
    # Other pixels, same face: the same avatar, bit for bit. So nothing of the pixels is in it.
    for ours, theirs in zip(output.frames, other_output.frames, strict=True):
        assert np.array_equal(ours.rgb, theirs.rgb)
    assert not np.array_equal(camera.given[0], other_camera.given[0])
    for frame in output.frames:
        assert not (frame.rgb == SENTINEL).all(axis=-1).any()
        assert not any(np.shares_memory(frame.rgb, picture) for picture in camera.given)
    # And nothing the generator's side was given leads back to a camera picture.
    reachable = _reachable(retarget.seen)
    assert not any(id(picture) in reachable for picture in camera.given)


def _reachable(roots: object) -> set[int]:
    """Identities of all objects that can be reached from `roots` through records, lists and arrays."""
    found: set[int] = set()
    todo = [roots]
    while todo:
        thing = todo.pop()
        if id(thing) in found or isinstance(thing, type):
            continue
        found.add(id(thing))
        if isinstance(thing, np.ndarray):
            todo.append(thing.base)
        else:
            todo.extend(gc.get_referents(thing))
    return found
