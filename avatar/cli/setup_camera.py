"""`avatar setup-camera`: makes the virtual camera, or says how."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from avatar.cli.arguments import new_parser
from avatar.errors import VirtualCameraError

if TYPE_CHECKING:
    from avatar.camera_setup import Plan, System
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar setup-camera          shows what is to be done
  avatar setup-camera --yes    does it; sudo asks for your password
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "setup-camera",
        run,
        help="make the virtual camera that meetings show",
        description="Look whether this computer has a virtual camera that Zoom, Chrome and the like accept, "
        "and show the steps to one: on Linux the kernel module v4l2loopback, on macOS and Windows OBS. "
        "Changes nothing without --yes.",
        examples=EXAMPLES,
    )
    parser.add_argument("--yes", action="store_true", help="run the steps, as root through sudo where needed")


def run(arguments: argparse.Namespace) -> int:
    """Print the steps, or run them."""
    from avatar.camera_setup import carry_out, plan, this_system

    system = this_system()
    left = plan(system)
    if left.impossible:
        raise VirtualCameraError(f"no virtual camera can be made here: {left.impossible}")
    if arguments.yes and not left.well:
        left = carry_out(system, lambda line: print(line, flush=True))
    _print(left, system)
    return 0


def _print(left: Plan, system: System) -> None:
    if left.ready:
        print(f"There is a virtual camera: {left.ready}. 'avatar run' feeds it; choose it in the meeting.")
    if left.steps:
        print("To be done, for it to last:" if left.ready else "To be done:")
    for number, step in enumerate(left.steps, start=1):
        print(f"{number}. {step.what}")
        if step.command:
            print(f"     {step.line(system)}")
    for hint in left.hints:
        print(f"Note: {hint}.")
    if left.steps:
        print("'avatar setup-camera --yes' does what needs no person.")
