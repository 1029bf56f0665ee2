"""`avatar fetch-models`: everything that is fetched on first use, fetched now."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from avatar.cli.arguments import new_parser

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar fetch-models                          once with a network; afterwards none is needed
  AVATAR_CACHE=/media/usb avatar fetch-models  keep the files elsewhere
  avatar fetch-models --training               those that training needs too; takes npm (of Node.js)
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "fetch-models",
        run,
        help="fetch the model files ahead of time",
        description="Fetch every file that the program would fetch on first use, and check it by its hash. "
        "The other commands do this by themselves; here it can be done before a journey.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--training",
        action="store_true",
        help="fetch the networks too that only training and measuring need; they come with npm (of Node.js)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fetch each file of the manifest that is asked for and say where it lies."""
    from avatar import weights

    for name, entry in weights.manifest().items():
        if entry.needed_for == "train" and not arguments.training:
            continue
        path = weights.resolve(name, progress=lambda line: print(line, file=sys.stderr))
        print(f"{name}: {path}")
    return 0
