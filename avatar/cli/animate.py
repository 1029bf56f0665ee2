"""`avatar animate`: move a picture by a video file, frame for frame, not live."""

from __future__ import annotations

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import portrait
from avatar.cli.driving import track_file
from avatar.cli.progress import ProgressLine

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers
    from avatar.offline import Summary

EXAMPLES = """\
  avatar animate painting.jpg talk.mp4 -o painting-talks.mp4
  avatar animate me.avatar talk.mp4 -o out.mp4
  avatar animate first-frame.png clip.mp4 -o again.mp4 --motion absolute
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "animate",
        run,
        help="move a picture by a video file",
        description="Move a picture as the person in a video file moves, and write a video of the picture's "
        "own size, with as many frames as the clip has, and with its sound.",
        examples=EXAMPLES,
    )
    shared.add_portrait(parser)
    parser.add_argument("driving", type=Path, metavar="DRIVING", help="a video file, or a .motion file")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.mp4", help="the video to write"
    )
    shared.add_motion(parser, default="relative")
    shared.add_generator(parser)
    shared.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Track the clip, then draw it."""
    output: Path = arguments.output
    arguments.portrait = portrait.which_portrait(arguments.portrait)
    shared.check_input(arguments.driving, "driving clip")
    shared.check_output(output, [arguments.portrait, arguments.driving])
    identity = portrait.open_portrait(arguments.portrait, face=arguments.face)

    from avatar.offline import animate
    from avatar.output import VideoWriter
    from avatar.pipeline import Renderer
    from avatar.retarget import Retargeter

    with contextlib.closing(ProgressLine()) as progress:
        clip = track_file(arguments.driving, progress)
        height, width = identity.picture.shape[:2]
        # The tracker smooths what it follows; more would only come late.
        retarget = Retargeter(identity, mode=arguments.motion, smoothing=0.0)
        renderer = Renderer(
            identity,
            head_size=None,
            size=None,
            generator=arguments.generator,
            weights=arguments.weights,
            wanted=shared.wanted_runtime(arguments),
        )
        writer = VideoWriter(
            output,
            clip.fps,
            (width, height),
            audio_from=arguments.driving if clip.has_sound else None,
            stamps=not clip.is_steady,
        )
        with contextlib.closing(writer):
            summary = animate(clip.seen, clip.fps, retarget, renderer, writer, progress=progress)
    _tell(summary, output, as_json=arguments.json)
    clip.check_whole(output)
    return 0


def _tell(summary: Summary, output: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary.as_json()))
        return
    print(f"{output}: {summary.frames} frames at {summary.fps:g} fps, drawn in {summary.seconds:.1f} s")
    if summary.no_face:
        print(f"No face was seen in {summary.no_face} frames of the driving clip.")
