"""`avatar cameras`: which webcams there are, and what to write after --camera."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING

from avatar.cli.arguments import new_parser

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar cameras
  avatar run me.avatar --camera 1
  avatar run me.avatar --camera "HD Webcam"
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "cameras",
        run,
        help="list the webcams",
        description="List the webcams of this computer. Number or name go after --camera.",
        examples=EXAMPLES,
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per camera."""
    from avatar.capture import list_cameras

    cameras = list_cameras()
    if arguments.json:
        print(json.dumps([dataclasses.asdict(camera) for camera in cameras]))
        return 0
    for camera in cameras:
        note = "  (a virtual camera)" if camera.virtual else ""
        print(f"{camera.index}  {camera.name}{note}")
    if not cameras:
        print("No camera was found. 'avatar demo' works without one.", file=sys.stderr)
    return 0
