"""A real run with its page, and a real browser that looks at it."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from how_slow import how_slow

from avatar.cli import live, paged
from avatar.cli.main import build_parser
from avatar.live import run_live
from avatar.records import U8, Frame, Identity
from avatar.tools import clock
from avatar.tools.pacer import Pacer
from avatar.tools.stats import StageTimes
from avatar.track import FaceTracker

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from avatar.capture import Source

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SIZE = (640, 360)


class LoopedClip:
    """A camera that sees the same clip forward and back, or, for as long as `room` is set, an empty room."""

    name = "the test's camera"
    fps = 30.0

    def __init__(self, pictures: list[U8], index: int = 0) -> None:
        self.index = index
        self.room: U8 | None = None
        self._pictures = [*pictures, *pictures[-2:0:-1]]
        self._pacer = Pacer(30.0)
        self._index = -1
        self._closed = False

    def __call__(self) -> Frame | None:
        if self._closed:
            return None
        clock.sleep(max(0.0, (self._pacer.deadline() - clock.now_ns()) / 1e9))
        self._pacer.step()
        self._index += 1
        seen = self._pictures[self._index % len(self._pictures)] if self.room is None else self.room
        return Frame(seen, self._index, clock.now_ns())

    def close(self) -> None:
        self._closed = True


@dataclass
class Watcher:
    """An output that looks at every frame."""

    constant_rate = False
    indices: list[int] = field(default_factory=list)
    moments_ns: list[int] = field(default_factory=list)
    darkest: list[float] = field(default_factory=list)
    last: U8 | None = None

    def __call__(self, frame: Frame) -> None:
        self.indices.append(frame.index)
        self.moments_ns.append(clock.now_ns())
        self.darkest.append(float(frame.rgb[::4, ::4].max()))
        self.last = frame.rgb

    def close(self) -> None:
        pass

    def forget(self) -> None:
        """Begin anew."""
        for kept in (self.indices, self.moments_ns, self.darkest):
            kept.clear()

    def longest_gap_ms(self) -> float:
        return float(np.diff(np.array(self.moments_ns)).max()) / 1e6


@dataclass
class Run:
    """A run in threads of this process."""

    address: str
    play: paged.Play
    camera: LoopedClip
    output: Watcher
    stop: threading.Event
    slowness: float

    def until(self, true: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until something is true."""
        end_ns = clock.now_ns() + round(seconds * 1e9)
        while not true():
            assert clock.now_ns() < end_ns, "it did not come true"
            clock.sleep(0.02)

    def corner(self) -> list[int]:
        """The colour of the lower left corner of what others see."""
        assert self.output.last is not None
        return [int(value) for value in self.output.last[-3, 2]]


@pytest.fixture
def slowness() -> float:
    """How slow the computer is before the test, see `how_slow`: limits grow with it."""
    return how_slow()


@pytest.fixture
def run(
    slowness: float,
    astronaut_identity: Identity,
    carphone_frames: list[U8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Run]:
    monkeypatch.setenv("AVATAR_DATA", str(tmp_path / "data"))
    options = ["--size", f"{SIZE[0]}x{SIZE[1]}", "--generator", "warp", "--head", "256", "--no-mirror"]
    arguments = build_parser().parse_args(["run", "astronaut.avatar", *options])
    stop, times = threading.Event(), StageTimes()
    camera, output = LoopedClip(carphone_frames), Watcher()
    identity = replace(astronaut_identity, name="Eileen")
    errors: list[BaseException] = []
    with contextlib.ExitStack() as open_things:
        play = paged.Play(arguments, identity, motion="relative", times=times)
        tracker = open_things.enter_context(FaceTracker())
        driving, watched = play.drive(
            cast("Source", camera),
            tracker,
            open_things,
            fps=30.0,
            end=stop.set,
            open_camera=lambda number: cast("Source", LoopedClip(carphone_frames[::-1], number)),
        )
        outputs = live.Outputs()
        outputs.add(output)
        page = play.show(outputs, ["null"], open_things)
        assert page is not None

        def go() -> None:
            try:
                run_live(
                    driving,
                    watched,
                    play.stage.retarget,
                    play.stage,
                    outputs.all,
                    stop=stop,
                    fps=30.0,
                    times=times,
                    on_status=play.control.noted,
                )
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=go, name="run")
        thread.start()
        made = Run(page.address, play, camera, output, stop, slowness)
        made.until(lambda: output.last is not None or bool(errors))
        yield made
        stop.set()
        thread.join(20)
        outputs.close()
    assert not errors, errors
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, headless; a skip with the reason where there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: make test-page"
    )
    with playwright.sync_playwright() as tools:
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        try:
            opened = tools.chromium.launch(executable_path=path, args=QUIET)
        except playwright.Error as error:
            pytest.skip(f"no Chromium can be started: {str(error).splitlines()[0]}")
        yield opened
        opened.close()


def until(page: Page, true: str, seconds: float = 30.0) -> None:
    """Wait until a piece of JavaScript is true; Playwright's own way to do so is forbidden by the page."""
    end_ns = clock.now_ns() + round(seconds * 1e9)
    while not page.evaluate(true):
        assert clock.now_ns() < end_ns, f"it did not come true: {true[:200]}"
        page.wait_for_timeout(100)


@dataclass
class Opened:
    """A browser window, and what went wrong in its pages."""

    context: BrowserContext
    faults: list[str] = field(default_factory=list)

    def visit(self, address: str) -> Page:
        """Open a page in a new tab, and note all that its console says and all that it asks for elsewhere."""
        page = self.context.new_page()
        page.on("console", lambda said: self.faults.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        origin = address.partition("/?")[0]
        page.on("request", lambda asked: self._look(asked.url, origin))
        page.goto(address)
        until(page, "document.getElementById('waiting').hidden")
        return page

    def _look(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "blob:", "data:")):
            self.faults.append(f"it asked for {url}")


@pytest.fixture
def window(browser: Browser) -> Iterator[Opened]:
    """A fresh browser window; that nothing went wrong in it is looked at in the end."""
    context = browser.new_context(viewport={"width": 1360, "height": 900}, reduced_motion="reduce")
    opened = Opened(context)
    yield opened
    context.close()
    assert opened.faults == []
