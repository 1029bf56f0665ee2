"""`avatar compile`: build the engine that draws, ahead of the first call."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import arguments as shared
from avatar.cli import portrait
from avatar.errors import AvatarError

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar compile live                          for every avatar that was not fine-tuned
  avatar compile me.avatar                     for this one, with what fine-tuning changed
  avatar compile live --runtime openvino --precision fp32
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = shared.new_parser(
        commands,
        "compile",
        run,
        help="build the engine that draws, ahead of the first call",
        description="Build what draws the network's part of a picture for this computer, compare it with "
        "the plain network on real frames, and keep it. 'avatar run' does so at its first start, which then "
        "takes some seconds longer. One engine serves every avatar that was not fine-tuned. For the runtimes "
        "cuda and torch nothing has to be built: they are only compared.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "what",
        metavar="PRESET|FILE.avatar",
        help=f"{', '.join(shared.PRESETS)}, or an .avatar file, for its own layers if it was fine-tuned",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="networks that 'avatar train' made (.safetensors), instead of those that come with the program",
    )
    parser.add_argument("--anew", action="store_true", help="build it even if there is one")
    shared.add_runtime(parser)


def run(arguments: argparse.Namespace) -> int:
    """Build, check, and tell."""
    what: str = arguments.what
    if what not in shared.PRESETS and Path(what).suffix.lower() != portrait.AVATAR_SUFFIX:
        raise AvatarError(f"{what} is neither an .avatar file nor one of {', '.join(shared.PRESETS)}")
    identity = None if what in shared.PRESETS else portrait.open_portrait(Path(what), face=None)

    from avatar.generate import networks_of, open_networks
    from avatar.runtime import open_runtime

    stored = None if identity is None else identity.conditioning
    preset = what if identity is None else stored.preset if stored is not None else shared.PRESETS[0]
    trained = open_networks(preset, arguments.weights)
    networks = trained.networks if identity is None else networks_of(identity, trained)
    wanted = replace(shared.wanted_runtime(arguments), anew=arguments.anew)
    runtime = open_runtime(wanted, trained.preset, networks)
    print(f"{what}: ready, {runtime.told}")
    return 0
