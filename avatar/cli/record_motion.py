"""`avatar record-motion`: keep the motion of a clip as numbers, without its pixels."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli.driving import Part, track_file
from avatar.cli.progress import ProgressLine
from avatar.errors import OutputError, VideoError

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

SUFFIX = ".motion"

EXAMPLES = """\
  avatar record-motion talk.mp4 -o talk.motion
  avatar record-motion talk.mp4 -o talk.motion --start 3 --seconds 12
  avatar run me.avatar --camera talk.motion --output window
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "record-motion",
        run,
        help="store the motion of a clip as numbers",
        description="Follow the face in a video file and store where its landmarks are: numbers only, no "
        "picture of the person. The recording can drive a portrait in the place of a webcam.",
        examples=EXAMPLES,
    )
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a video file that shows one face")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE.motion", help="the recording to write"
    )
    parser.add_argument(
        "--start",
        type=shared.number_in(0, 86_400),
        default=0.0,
        metavar="N",
        help="leave out the first N seconds",
    )
    parser.add_argument("--seconds", type=shared.seconds, metavar="N", help="record at most so long")


def run(arguments: argparse.Namespace) -> int:
    """Track the clip and write the part that was asked for."""
    output: Path = arguments.output
    if output.suffix.lower() != SUFFIX:
        raise OutputError(f"{output} should end in {SUFFIX}, or it is not known again")
    shared.check_input(arguments.clip, "video file")
    shared.check_output(output, [arguments.clip])
    with contextlib.closing(ProgressLine()) as progress:
        part = Part(arguments.start, arguments.seconds)
        clip = track_file(arguments.clip, progress, part)
    faces = [observation.face for observation in clip.seen[part.frames(clip.fps)]]
    if not faces:
        raise VideoError(f"{arguments.clip} ends before {arguments.start:g} s, there is nothing to record")

    from avatar.capture import write_motion

    write_motion(output, faces, clip.fps)
    unseen = sum(face is None for face in faces)
    gaps = f", {unseen} without a face" if unseen else ""
    print(f"{output}: {len(faces)} frames at {clip.fps:g} fps{gaps}, {output.stat().st_size / 1e6:.1f} MB")
    clip.check_whole(output)
    return 0
