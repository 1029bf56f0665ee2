"""What `call` and `publish` share: options, the stages before the call, and where the sound comes from."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from avatar.cli import arguments as shared
from avatar.cli import live
from avatar.cli.keys import Keys
from avatar.errors import AvatarError, CallError

if TYPE_CHECKING:
    from avatar.call import BrowserCamera, Ice
    from avatar.call.sound import SoundFeed
    from avatar.capture import Source as CaptureSource
    from avatar.control import Cast, Stage
    from avatar.live import Status, Summary
    from avatar.records import Frame, Identity
    from avatar.tools.stats import StageTimes
    from avatar.track import FaceTracker

SIZE = (512, 512)
"""Smaller than that of a virtual camera: it has to be encoded here, beside everything else."""
FPS = 30.0
BROWSER = "browser"
CODECS = ("vp8", "h264")
QUALITIES = ("usual", "high")

_log = logging.getLogger(__name__)


class Calling(Protocol):
    """A call that is going on."""

    sound: SoundFeed

    def __call__(self, frame: Frame) -> None: ...


def add_options(parser: argparse.ArgumentParser) -> None:
    """--ice, --relay-only, --codec, --microphone, --sound and --mute."""
    group = parser.add_argument_group("the connection")
    group.add_argument(
        "--ice",
        default="",
        metavar="SERVERS",
        help="stun:HOST and turn:USER:PASSWORD@HOST[:PORT][?transport=tcp] (turns: for TLS), with a comma "
        "between; nothing else is ever asked",
    )
    group.add_argument(
        "--relay-only", action="store_true", help="only through the TURN server, which hides addresses"
    )
    group.add_argument(
        "--codec",
        choices=CODECS,
        default=CODECS[0],
        help="of the picture; vp8 stands bad networks much better (default: %(default)s)",
    )
    group.add_argument(
        "--quality",
        choices=QUALITIES,
        default=QUALITIES[0],
        help="high: up to 6 Mbit/s in place of 1.5, for good networks; takes more of the processor, and "
        "answers bad networks more slowly (default: %(default)s)",
    )
    group = parser.add_argument_group("sound")
    group.add_argument(
        "--microphone",
        metavar="WHICH",
        help="number or name of a microphone, or 'none' (default: the usual one)",
    )
    group.add_argument(
        "--sound", type=Path, metavar="FILE", help="the sound of a file instead, again and again"
    )
    group.add_argument("--mute", action="store_true", help="begin muted")


def add_stages(parser: argparse.ArgumentParser) -> None:
    """The options of the stages before the call, as `avatar run` has them."""
    shared.add_motion(parser, default="relative")
    shared.add_canvas(parser)
    parser.set_defaults(size=SIZE)
    shared.add_badge(parser, default="yes")
    shared.add_generator(parser)
    shared.add_tracker(parser)
    shared.add_camera_settings(parser)
    parser.add_argument("--seconds", type=shared.seconds, metavar="N", help="stop after so long")
    shared.add_json(parser)


def check(arguments: argparse.Namespace) -> None:
    """Refuse what makes no sense before anything is loaded; raises AvatarError."""
    ice(arguments)
    if arguments.camera != BROWSER:
        shared.check_camera(arguments.camera)
    if arguments.sound is not None:
        if arguments.microphone not in (None, "none"):
            raise CallError("take --sound or --microphone, not both")
        shared.check_input(arguments.sound, "sound file")


def ice(arguments: argparse.Namespace) -> Ice:
    """What --ice and --relay-only say."""
    from avatar.call import parse_ice

    return parse_ice(arguments.ice, relay_only=arguments.relay_only)


@dataclass(frozen=True, slots=True)
class Stages:
    """Everything before the outputs."""

    source: CaptureSource | BrowserCamera
    tracker: FaceTracker | None
    stage: Stage
    """Retargets and renders, and lays the badge over it."""
    times: StageTimes
    fps: float
    make: Callable[[float], Cast]
    """Makes who plays anew, with the head at a part of its size."""

    def go(self, outputs: live.Outputs, *, stop: threading.Event, seconds: float | None) -> Summary:
        """Run live, as `live.go`; the head is drawn smaller where the computer does not keep up."""
        from avatar.control import Aside, Pace

        pace = Pace(self.fps)
        with contextlib.closing(Aside(lambda: None)) as aside:

            def noted(status: Status) -> None:
                if pace.noted(status, busy=aside.busy is not None):
                    aside.do("renew", lambda: self._put_on(pace.share)).add_done_callback(_log_failure)

            return live.go(
                self.source,
                self.tracker,
                self.stage.retarget,
                self.stage,
                outputs,
                times=self.times,
                stop=stop,
                fps=self.fps,
                seconds=seconds,
                noted=noted,
            )

    def _put_on(self, share: float) -> None:
        cast = self.make(share)
        cast.rehearse()
        self.stage.exchange(cast)


def _log_failure(future: Future[None]) -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        known = isinstance(error, AvatarError)
        _log.warning("the head stays as big as it is: %s", error, exc_info=None if known else error)


def open_stages(
    arguments: argparse.Namespace, identity: Identity, open_things: contextlib.ExitStack
) -> Stages:
    """Load what the options ask for; what has to be closed is closed by `open_things`."""
    from avatar.call import BrowserCamera
    from avatar.capture import open_source
    from avatar.control import Cast, Stage
    from avatar.pipeline import Renderer
    from avatar.retarget import Retargeter
    from avatar.tools.stats import StageTimes
    from avatar.track import FaceTracker

    times = StageTimes()

    def make(share: float) -> Cast:
        renderer = Renderer(
            identity,
            head_size=arguments.head,
            size=arguments.size,
            mode=arguments.fit,
            generator=arguments.generator,
            weights=arguments.weights,
            wanted=shared.wanted_runtime(arguments),
            times=times,
            share=share,
        )
        return Cast(Retargeter(identity, mode=arguments.motion), renderer)

    stage = Stage(make(1.0))
    stage.badge = arguments.badge is not False
    source: CaptureSource | BrowserCamera
    tracker: FaceTracker | None
    if arguments.camera == BROWSER:
        source = BrowserCamera()
        tracker = open_things.enter_context(FaceTracker(arguments.tracker))
    else:
        source = open_source(
            arguments.camera,
            backend=arguments.backend,
            size=arguments.camera_size,
            fps=arguments.fps,
            loop=True,
        )
        tracker = live.open_tracker(source, arguments.tracker, open_things)
    open_things.callback(source.close)
    return Stages(source, tracker, stage, times, arguments.fps or source.fps or FPS, make)


def talk(
    arguments: argparse.Namespace, stages: Stages, call: Calling, outputs: live.Outputs
) -> tuple[Summary, int]:
    """Run until q, Ctrl-C, --seconds or the end of a camera file; gives the summary and the exit status."""
    stop, ended = threading.Event(), threading.Event()

    def end() -> None:
        ended.set()
        stop.set()

    def mute() -> None:
        call.sound.muted = not call.sound.muted
        print("avatar: muted" if call.sound.muted else "avatar: not muted", file=sys.stderr)

    with Keys({"m": mute, "n": stages.stage.set_neutral, "q": end}):
        summary = stages.go(outputs, stop=stop, seconds=arguments.seconds)
    return summary, shared.INTERRUPTED if stop.is_set() and not ended.is_set() else 0


def open_sound(
    arguments: argparse.Namespace, feed: SoundFeed, open_things: contextlib.ExitStack, *, quiet: bool = False
) -> None:
    """Begin to fill `feed` with what the options ask for; `quiet`: nothing unless it is named."""
    from avatar.call.devices import Microphone, SoundFile

    feed.muted = arguments.mute
    if arguments.sound is not None:
        open_things.callback(SoundFile(feed, arguments.sound).close)
        return
    if arguments.microphone == "none" or (quiet and arguments.microphone is None):
        return
    try:
        open_things.callback(Microphone(feed, arguments.microphone).close)
    except CallError as error:
        if arguments.microphone is not None:
            raise
        print(f"avatar: you will not be heard: {error}", file=sys.stderr)
