"""What `run` and `demo` share to be changed while they go: the control, and its page."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import audible
from avatar.errors import PictureError

if TYPE_CHECKING:
    from avatar.capture import Source
    from avatar.cli.live import Outputs
    from avatar.control import Cast, Control, Stage
    from avatar.live.loop import Source as LiveSource
    from avatar.live.loop import Tracker
    from avatar.output import Window
    from avatar.page import Page
    from avatar.records import Face, Frame, Identity
    from avatar.retarget.retarget import MotionMode
    from avatar.tools.stats import StageTimes
    from avatar.track import FaceTracker
    from avatar.track.landmarker import Kind

PORTS = (0, 65_535)


def add_page(parser: argparse.ArgumentParser) -> None:
    """--page, --page-port and --badge."""
    parser.add_argument(
        "--page",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="serve the control page to this computer, and open it in the browser (default: yes)",
    )
    parser.add_argument(
        "--page-port",
        type=shared.whole_number_in(*PORTS),
        default=0,
        metavar="N",
        help="port of the control page (default: any that is free)",
    )
    shared.add_badge(parser, default="yes, unless the control page said no")


class LateTracker:
    """A face tracker that is opened for the first picture: recorded motion needs none, a camera may come."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._tracker: FaceTracker | None = None

    def __call__(self, frame: Frame) -> Face | None:
        """Find the face."""
        if self._tracker is None:
            from avatar.track import FaceTracker

            self._tracker = FaceTracker(self._kind)
        return self._tracker(frame)

    def close(self) -> None:
        """Free the models, if they were loaded."""
        if self._tracker is not None:
            self._tracker.close()


class Play:
    """A run that may be changed while it goes, and how it is changed.

    Args:
        arguments: of `add_canvas`, `add_generator`, `add_tracker` and `add_page`.
        identity: who plays at first.
        motion: how the driver's motion is taken.
        times: collects the time of each stage.
        portrait: where that one came from; None: from nowhere.
        quick: begin with the bare warp, which is ready at once; the network follows when it is.

    Attributes:
        stage: stands for the retarget stage and the renderer.
        control: changes the run; there once `drive` was called.
    """

    stage: Stage
    control: Control

    def __init__(
        self,
        arguments: argparse.Namespace,
        identity: Identity,
        *,
        motion: MotionMode,
        times: StageTimes,
        portrait: Path | None = None,
        quick: bool = False,
    ) -> None:
        from avatar.control import GUEST, Backdrops, Gallery, SettingsFile, Stage, folders

        self._arguments, self._identity = arguments, identity
        self._motion: MotionMode = motion
        self._times = times
        self._made: set[str] = set()
        data = folders.data_dir()
        self._saved = SettingsFile(data / "settings.json")
        self._settings = self._saved.load()
        for name in ("badge", "mirror"):
            if (asked := getattr(arguments, name, None)) is not None:
                self._settings = self._settings.changed({name: asked})
        kept = portrait is not None and portrait.resolve().parent == (data / "avatars").resolve()
        self._avatar = portrait.stem if kept and portrait is not None else GUEST
        self._gallery = Gallery(data / "avatars", None if kept else identity)
        self._backdrops = Backdrops(data, arguments.size, arguments.fit)
        self._follows = quick and arguments.generator != "warp"
        self._told: str | None = None
        dressed = self._dressed(identity)
        self.stage = Stage(self._make(dressed, generator="warp" if self._follows else None))

    def drive(
        self,
        source: Source,
        tracker: FaceTracker | None,
        open_things: contextlib.ExitStack,
        *,
        fps: float,
        end: Callable[[], None],
        open_camera: Callable[[int], Source],
    ) -> tuple[LiveSource, Tracker | None]:
        """Take what drives; gives what stands for it in the run.

        Args:
            source: the camera, or what stands for it. It is closed by `open_things`.
            tracker: of `live.open_tracker`.
            open_things: closes all that is opened here.
            fps: rate of the outputs.
            end: ends the run.
            open_camera: opens another one by its number.
        """
        from avatar.control import Control, DriverView, Outlet, Pace, Parts, Preview, Recorder, SwitchedSource
        from avatar.control.folders import recordings_dir
        from avatar.output import VirtualCamera

        view = DriverView()
        switched = SwitchedSource(source, on_recorded=view.recorded)
        open_things.callback(switched.close)
        self._preview = Preview(self.stage, view.feed)
        self._recorder = Recorder(
            recordings_dir(),
            fps,
            self.stage.size,
            on_failure=lambda reason: self.control.output_failed(reason),
        )
        self._outlet = Outlet(
            lambda device: VirtualCamera(fps, self.stage.size, device),
            on_failure=lambda reason: self.control.output_failed(reason),
        )
        self._outputs: list[str] = []
        self._windows: list[Window] = []
        parts = Parts(
            stage=self.stage,
            source=switched,
            view=view,
            preview=self._preview,
            recorder=self._recorder,
            outlet=self._outlet,
            gallery=self._gallery,
            backdrops=self._backdrops,
            saved=self._saved,
            make=self._make,
            open_camera=open_camera,
            pace=Pace(fps),
            end=end,
            driving=getattr(source, "name", "") or Path(self._arguments.camera or "the recorded motion").name,
            outputs=self._outputs,
            microphone=audible.microphone(self._arguments),
            windows=self._windows,
        )
        self.control = Control(parts, self._identity, self._avatar, self._settings, self._told)
        open_things.callback(self.control.close)
        if self._follows:
            self.control.renew()
        if not self._arguments.page:
            return switched, tracker
        if tracker is None:
            late = LateTracker(self._arguments.tracker)
            open_things.callback(late.close)
            return switched, view.watched(late)
        return switched, view.watched(tracker)

    def show(self, outputs: Outputs, places: Sequence[str], open_things: contextlib.ExitStack) -> Page | None:
        """Let the control know the outputs, add its own, and open the page, if one is wanted."""
        from avatar.output import Window

        for place, output in zip(places, outputs.all, strict=True):
            self._outputs.append(str(getattr(output, "device", place)))
            if isinstance(output, Window):
                output.as_in_mirror = self.stage.as_in_mirror
                output.mirror = self.control.settings.mirror
                self._windows.append(output)
        if not self._arguments.page:
            return None

        from avatar.page import Page

        outputs.add(self._preview)
        outputs.add(self._recorder)
        outputs.add(self._outlet)
        page = open_things.enter_context(Page(self.control, self._arguments.page_port))
        print(f"Control page: {page.address}", file=sys.stderr)
        page.open()
        return page

    def _dressed(self, identity: Identity) -> Identity:
        """Before the background of the settings; before its own if that one is damaged, which is said."""
        try:
            return self._backdrops.dressed(identity, self._settings)
        except PictureError as error:
            self._told = f"{error}; the portrait keeps its own background"
            print(f"avatar: {self._told}", file=sys.stderr)
            self._settings = self._settings.changed({"background": "own"})
            return identity

    def _make(self, identity: Identity, share: float = 1.0, *, generator: str | None = None) -> Cast:
        from avatar.control import Cast
        from avatar.pipeline import Renderer
        from avatar.retarget import Retargeter

        arguments = self._arguments
        generator = generator or arguments.generator
        with _quiet() if generator in self._made else contextlib.nullcontext():
            renderer = Renderer(
                identity,
                head_size=arguments.head,
                size=arguments.size,
                mode=arguments.fit,
                generator=generator,
                weights=arguments.weights,
                wanted=shared.wanted_runtime(arguments),
                times=self._times,
                share=share,
            )
        self._made.add(generator)
        return Cast(Retargeter(identity, mode=self._motion), renderer)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the line that says which runtime was chosen: it has been said."""
    log = logging.getLogger("avatar.runtime")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)
