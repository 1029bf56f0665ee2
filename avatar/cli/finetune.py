"""`avatar train finetune`: adapts the networks to the person of an .avatar file."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli.arguments import PRESETS, check_input, check_output, new_parser, whole_number_in
from avatar.cli.portrait import AVATAR_SUFFIX
from avatar.cli.progress import ProgressLine
from avatar.errors import OutputError

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers
    from avatar.records import Identity

STEPS_MAX = 10_000

EXAMPLES = """\
  avatar train finetune me.avatar                   adapt it; the file is replaced
  avatar train finetune me.avatar -o better.avatar --steps 200
  avatar train finetune me.avatar --weights run/live.safetensors --critics run/checkpoint.safetensors
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "finetune",
        run,
        help="adapt the networks to one person",
        description="Teach the last layers of the networks on the pictures in an .avatar file, and store "
        "them there. It takes minutes and changes little: the likeness more than the mouth. Of four pictures "
        "or more each fourth is held back to tell when to stop. What is stored is for these networks: with "
        "others the avatar is as before.",
        examples=EXAMPLES,
    )
    parser.add_argument("avatar", type=Path, metavar="FILE.avatar", help="made by 'avatar enroll'")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT.avatar", help="where to (default: into the same file)"
    )
    parser.add_argument(
        "--steps", type=whole_number_in(1, STEPS_MAX), metavar="N", help="at most so many (default: 100)"
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default="live", help="which networks (default: %(default)s)"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="networks that 'avatar train' made, instead of those that come with the program",
    )
    parser.add_argument(
        "--critics",
        type=Path,
        metavar="FILE",
        help="checkpoint.safetensors of the run that made them: its discriminator takes part",
    )


def run(arguments: argparse.Namespace) -> int:
    """Fine-tune `arguments.avatar` and store it."""
    source: Path = arguments.avatar
    output: Path = arguments.output or source
    check_input(source, ".avatar file")
    if output.suffix.lower() != AVATAR_SUFFIX:
        raise OutputError(f"{output} should end in {AVATAR_SUFFIX}, or it is not known again")
    check_output(output, [])

    from avatar.identity.file import load_identity, save_identity

    identity, steps = tuned(
        load_identity(source),
        preset=arguments.preset,
        weights=arguments.weights,
        critics=arguments.critics,
        steps=arguments.steps,
    )
    save_identity(identity, output)
    print(f"{output}: {told(identity, steps)}")
    print(f"Talk as this picture: avatar run {shlex.quote(str(output))}")
    return 0


def told(identity: Identity, steps: int) -> str:
    """What became of it, for people."""
    from avatar.generate import is_tuned

    # A name comes out of a file that anybody may have made.
    name = "".join(letter if letter.isprintable() else "?" for letter in identity.name)
    if not is_tuned(identity):
        return f"{steps} steps drew {name} no better than before; the networks stay as they are"
    return f"the networks were adapted to {name} in {steps} steps"


def tuned(
    identity: Identity,
    *,
    preset: str = "live",
    weights: Path | None = None,
    critics: Path | None = None,
    steps: int | None = None,
) -> tuple[Identity, int]:
    """Adapt networks to a person while a line shows how far it is.

    Args:
        identity: who.
        preset: which networks.
        weights: a file of networks; None: those that come with the program.
        critics: checkpoint of a training run whose discriminator takes part; None: none does.
        steps: at most so many; None: as many as usual.

    Returns:
        The adapted identity, and the steps it took.

    Raises:
        AvatarError: networks, or those that judge in training, cannot be had.
    """
    from avatar.generate import open_networks
    from avatar.train.finetune import STEPS, finetune
    from avatar.train.pretrained import load_identity, load_perceptual
    from avatar.train.step import Judges

    trained = open_networks(preset, weights)
    judges = Judges(load_perceptual(), load_identity().embed_windows)
    taken = 0
    with contextlib.closing(ProgressLine()) as line:

        def progress(done: int, total: int) -> None:
            nonlocal taken
            taken = done
            line("learn", done, total)

        found = finetune(
            identity,
            trained,
            steps=steps or STEPS,
            judges=judges,
            progress=progress,
            checkpoint=critics,
        )
    return found, taken
