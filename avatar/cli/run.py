"""`avatar run`: talk as the portrait, live."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import audible, live, paged, portrait
from avatar.cli.keys import Keys
from avatar.errors import OutputError

if TYPE_CHECKING:
    from avatar.capture import Source
    from avatar.cli.arguments import Subparsers

DEFAULT_FPS = 30.0

EXAMPLES = """\
  avatar run me.avatar                         webcam 0 in, virtual camera out: choose it in Zoom
  avatar run Anna                              an avatar that was made on the control page
  avatar run                                   the one that was used there last
  avatar run me.avatar --output window         try it in a window first
  avatar run photo.jpg --output window         without enrolling: a picture does as well
  avatar run me.avatar --camera talk.mp4 --output out.mp4 --seconds 10
  avatar run me.avatar --output virtualcam --output window
  avatar run me.avatar --audio                 Linux: choose "Livehead Microphone" in Zoom as well

in the window: n sets your present face as the calm one, q ends. In the terminal: the same with
Enter, and Ctrl-C ends too.
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "run",
        run,
        help="talk as a portrait, live",
        description="Follow your face with the webcam and move the portrait as you move. The result goes to "
        "a virtual camera, which video-call programs list among the cameras, to a window, or to a file.",
        examples=EXAMPLES,
    )
    shared.add_portrait(parser, optional=True)
    parser.add_argument(
        "--camera",
        default="0",
        metavar="WHICH",
        help="number or name of a webcam ('avatar cameras' lists them), or a video or .motion file "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--output",
        action="append",
        metavar="WHERE",
        help="virtualcam (or virtualcam:DEVICE), pipewire, window, FILE.mp4 or null; may be given several "
        "times (default: virtualcam)",
    )
    shared.add_motion(parser, default="relative")
    shared.add_canvas(parser)
    shared.add_generator(parser)
    shared.add_tracker(parser)
    shared.add_camera_settings(parser)
    parser.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="show the window like a mirror; what others see is never mirrored (default: yes, unless the "
        "control page said no)",
    )
    audible.add_audio(parser)
    paged.add_page(parser)
    parser.add_argument("--seconds", type=shared.seconds, metavar="N", help="stop after so long")
    shared.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run live until the source ends, q, Ctrl-C, or --seconds."""
    places: list[str] = arguments.output or ["virtualcam"]
    arguments.portrait = portrait.which_portrait(arguments.portrait)
    _check_places(places, arguments)
    shared.check_camera(arguments.camera)
    audible.check_audio(arguments)
    identity = portrait.open_portrait(arguments.portrait, face=arguments.face)

    from avatar.capture import open_source
    from avatar.output import Window, open_output
    from avatar.tools.stats import StageTimes

    stop, times = threading.Event(), StageTimes()
    ended = threading.Event()

    def end() -> None:
        ended.set()
        stop.set()

    play = paged.Play(arguments, identity, motion=arguments.motion, times=times, portrait=arguments.portrait)
    stage = play.stage

    def opened(which: str) -> Source:
        return open_source(which, backend=arguments.backend, size=arguments.camera_size, fps=arguments.fps)

    with contextlib.ExitStack() as open_things:
        source = opened(arguments.camera)
        open_things.callback(source.close)
        tracker = live.open_tracker(source, arguments.tracker, open_things)
        fps = arguments.fps or source.fps or DEFAULT_FPS
        driving, watched = play.drive(
            source,
            tracker,
            open_things,
            fps=fps,
            end=end,
            open_camera=lambda number: opened(str(number)),
        )
        aged = audible.open_audio(arguments, open_things, play.control.sound_failed)
        outputs = open_things.enter_context(contextlib.closing(live.Outputs()))
        for place in places:
            output = open_output(place, fps=fps, size=arguments.size)
            if isinstance(output, Window):
                output.on_key = lambda key: stage.set_neutral() if key == "n" else None
            outputs.add(output)
        play.show(outputs, places, open_things)
        keys = open_things.enter_context(Keys({"n": stage.set_neutral, "q": end}))
        if keys.active:
            print("n + Enter: take your present face as the calm one. q + Enter: end.", file=sys.stderr)
        summary = live.go(
            driving,
            watched,
            stage.retarget,
            stage,
            outputs,
            times=times,
            stop=stop,
            fps=fps,
            seconds=arguments.seconds,
            noted=audible.both(play.control.noted, aged),
        )
    live.tell(summary, as_json=arguments.json)
    return shared.INTERRUPTED if stop.is_set() and not ended.is_set() else 0


def _check_places(places: list[str], arguments: argparse.Namespace) -> None:
    files = [str(Path(place).resolve()) for place in places]
    if len(set(files)) < len(files):
        raise OutputError("the same --output is given twice")
    for place in places:
        if place not in ("virtualcam", "pipewire", "window", "null") and not place.startswith("virtualcam:"):
            shared.check_output(Path(place), [arguments.portrait, Path(arguments.camera)])
