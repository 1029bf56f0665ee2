"""`avatar demo`: the main job on whatever this computer has, without a camera."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import live
from avatar.cli.portrait import enroll_pixels

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

DEFAULT_OUTPUT = Path("out/demo.mp4")
CAMERA_SECONDS = 15.0
"""A webcam has no end of its own."""

EXAMPLES = """\
  avatar demo                     writes out/demo.mp4, driven by a recorded motion
  avatar demo --seconds 8
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
        "by a recorded motion, and write a video. No camera is touched unless --camera is given.",
        examples=EXAMPLES,
    )
    parser.add_argument("--camera", metavar="WHICH", help="drive it with this webcam instead, such as 0")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=DEFAULT_OUTPUT,
        metavar="FILE.mp4",
        help="where to (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=shared.seconds,
        metavar="N",
        help="stop after so long (default: the recording once, 12 s; longer plays it forward and back)",
    )
    shared.add_canvas(parser)
    shared.add_generator(parser)
    shared.add_tracker(parser)
    shared.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Enrol the demo portrait, run live, write the video."""
    output: Path = arguments.output
    if output == DEFAULT_OUTPUT:
        output.parent.mkdir(exist_ok=True)
    shared.check_output(output, [])

    from avatar.capture import open_source
    from avatar.demo import demo_portrait
    from avatar.output import open_output
    from avatar.pipeline import Renderer
    from avatar.retarget import Retargeter
    from avatar.tools.stats import StageTimes
    from avatar.weights import resolve

    print("Taking the portrait apart ...", file=sys.stderr)
    identity = enroll_pixels(demo_portrait(), name="astronaut")
    seconds: float | None = arguments.seconds
    if arguments.camera is not None:
        seconds = seconds or CAMERA_SECONDS
    stop, times = threading.Event(), StageTimes()
    retarget = Retargeter(identity, mode="relative")
    renderer = Renderer(
        identity,
        head_size=arguments.head,
        size=arguments.size,
        mode=arguments.fit,
        generator=arguments.generator,
        weights=arguments.weights,
        wanted=shared.wanted_runtime(arguments),
        times=times,
    )
    with contextlib.ExitStack() as open_things:
        source = open_source(
            arguments.camera or str(resolve("demo_motion")), loop="bounce" if seconds else False
        )
        open_things.callback(source.close)
        tracker = live.open_tracker(source, arguments.tracker, open_things)
        outputs = open_things.enter_context(contextlib.closing(live.Outputs()))
        outputs.add(open_output(str(output), fps=source.fps, size=arguments.size))
        summary = live.go(
            source,
            tracker,
            retarget,
            renderer,
            outputs,
            times=times,
            stop=stop,
            fps=source.fps,
            seconds=seconds,
        )
    live.tell(summary, as_json=arguments.json)
    print(f"The video is {output}", file=sys.stderr if arguments.json else sys.stdout)
    return shared.INTERRUPTED if stop.is_set() else 0
