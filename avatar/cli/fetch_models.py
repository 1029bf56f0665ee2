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
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    new_parser(
        commands,
        "fetch-models",
        run,
        help="fetch the model files ahead of time",
        description="Fetch every file that the program would fetch on first use, and check it by its hash. "
        "The other commands do this by themselves; here it can be done before a journey.",
        examples=EXAMPLES,
    )


def run(arguments: argparse.Namespace) -> int:
    """Fetch each file of the manifest and say where it lies."""
    from avatar import weights

    for name in weights.manifest():
        path = weights.resolve(name, progress=lambda line: print(line, file=sys.stderr))
        print(f"{name}: {path}")
    return 0
