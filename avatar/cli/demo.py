"""`avatar demo`: the main job on whatever this computer has, without a camera."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import live, paged
from avatar.cli.keys import Keys
from avatar.cli.portrait import enroll_pixels

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

DEFAULT_OUTPUT = Path("out/demo.mp4")
CAMERA_SECONDS = 15.0
"""A webcam has no end of its own."""

EXAMPLES = """\
  avatar demo                     opens a page, or writes out/demo.mp4 where nobody sees one
  avatar demo -o demo.mp4 --seconds 8
  avatar demo --camera 0          driven by your webcam
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "demo",
        run,
        help="see it work, without a camera",
        description="Let a portrait (the astronaut Eileen Collins, a NASA picture) talk, driven in real time "
        "by a recorded motion, on a page in your browser. Where there is none, or with --output, write a "
        "video. No camera is touched unless --camera is given, or chosen on the page.",
        examples=EXAMPLES,
    )
    parser.add_argument("--camera", metavar="WHICH", help="drive it with this webcam instead, such as 0")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FILE.mp4",
        help=f"write a video, too (default: {DEFAULT_OUTPUT} where no page can be seen)",
    )
    parser.add_argument(
        "--seconds",
        type=shared.seconds,
        metavar="N",
        help="stop after so long (default: with a page, when you end it; otherwise the recording once, 12 s)",
    )
    shared.add_canvas(parser)
    shared.add_generator(parser)
    shared.add_tracker(parser)
    paged.add_page(parser)
    shared.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Enrol the demo portrait, run live, show it or write the video."""
    from avatar.page import has_browser

    seen = arguments.page and has_browser()
    output: Path | None = arguments.output or (None if seen else DEFAULT_OUTPUT)
    if output == DEFAULT_OUTPUT:
        output.parent.mkdir(exist_ok=True)
    if output is not None:
        shared.check_output(output, [])

    from avatar.capture import open_source
    from avatar.demo import demo_portrait
    from avatar.output import open_output
    from avatar.tools.stats import StageTimes
    from avatar.weights import resolve

    print("Taking the portrait apart ...", file=sys.stderr)
    identity = enroll_pixels(demo_portrait(), name="astronaut")
    seconds: float | None = arguments.seconds
    if arguments.camera is not None and not seen:
        seconds = seconds or CAMERA_SECONDS
    stop, times = threading.Event(), StageTimes()
    ended = threading.Event()

    def end() -> None:
        ended.set()
        stop.set()

    play = paged.Play(arguments, identity, motion="relative", times=times, quick=seen)
    with contextlib.ExitStack() as open_things:
        source = open_source(
            arguments.camera or str(resolve("demo_motion")), loop="bounce" if seconds or seen else False
        )
        open_things.callback(source.close)
        tracker = live.open_tracker(source, arguments.tracker, open_things)
        driving, watched = play.drive(
            source,
            tracker,
            open_things,
            fps=source.fps,
            end=end,
            open_camera=lambda number: open_source(str(number)),
        )
        outputs = open_things.enter_context(contextlib.closing(live.Outputs()))
        if output is not None:
            outputs.add(open_output(str(output), fps=source.fps, size=arguments.size))
        play.show(outputs, [str(output)] if output else [], open_things)
        keys = open_things.enter_context(Keys({"n": play.stage.set_neutral, "q": end}))
        if keys.active:
            print("q + Enter: end.", file=sys.stderr)
        summary = live.go(
            driving,
            watched,
            play.stage.retarget,
            play.stage,
            outputs,
            times=times,
            stop=stop,
            fps=source.fps,
            seconds=seconds,
            noted=play.control.noted,
        )
    live.tell(summary, as_json=arguments.json)
    if output is not None:
        print(f"The video is {output}", file=sys.stderr if arguments.json else sys.stdout)
    return shared.INTERRUPTED if stop.is_set() and not ended.is_set() else 0
