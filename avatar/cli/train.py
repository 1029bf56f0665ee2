"""`avatar train`: teaches the networks on a folder of clips."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import finetune
from avatar.cli.arguments import PRESETS, new_parser, number_in, whole_number_in
from avatar.cli.progress import ProgressLine

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar train --data clips --out run                      begin, or go on where it was
  avatar train --data clips --out run --samples 60000 --size 128
  avatar train --data clips --out fine --from run/live.safetensors --size 256
  torchrun --nproc-per-node 2 -m avatar train --data clips --out run
  avatar run photo.jpg --weights run/live.safetensors      try what it learnt
  avatar train finetune me.avatar                          adapt the networks to one person

clips: DIR/anna-1.mp4, DIR/anna-2.mp4, DIR/ben-1.mp4 (up to the first '-' is who), or a folder
for each person, as VoxCeleb2 has them.
"""


def window_side(text: str) -> int:
    """A type for argparse: a side that the networks can halve four times."""
    side = whole_number_in(64, 512)(text)
    if side % 16:
        raise argparse.ArgumentTypeError(f"{text!r} is not a multiple of 16")
    return side


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "train",
        run,
        help="teach the networks on a folder of clips",
        description="Track the faces in a folder of clips, then teach the networks to draw them. Stop it "
        "with Ctrl-C whenever you like: the same command goes on from the last checkpoint. The folder of the "
        "run holds figures (metrics.jsonl), contact sheets of people it does not learn from, and networks.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default="live", help="which networks (default: %(default)s)"
    )
    # Not `required`: with the subcommand they are not.
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of clips")
    parser.add_argument("--out", type=Path, metavar="RUN", help="folder of the run")
    parser.set_defaults(refuse=parser.error)
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder of the prepared clips (default: RUN/cache)"
    )
    parser.add_argument(
        "--from", dest="weights", type=Path, metavar="FILE", help="networks to begin with (.safetensors)"
    )
    parser.add_argument(
        "--samples",
        type=whole_number_in(1, 10**9),
        default=200_000,
        metavar="N",
        help="stop after so many samples, the last 30 %% of them at falling rates (default: %(default)s)",
    )
    numbers = parser.add_argument_group("numbers of the run (defaults: those of the preset)")
    numbers.add_argument("--size", type=window_side, metavar="PX", help="side of the pictures, in sixteens")
    numbers.add_argument("--batch", type=whole_number_in(1, 256), metavar="N", help="samples of one step")
    numbers.add_argument("--rate", type=number_in(1e-7, 1), metavar="R", help="learning rate")
    numbers.add_argument(
        "--adversarial-from",
        type=whole_number_in(0, 10**9),
        metavar="N",
        help="samples before the discriminator has a say",
    )
    numbers.add_argument("--seed", type=whole_number_in(0, 2**31), metavar="N", help="of everything drawn")
    parser.add_argument(
        "--checkpoint-every", type=whole_number_in(1, 10**9), default=4_000, metavar="N", help="samples"
    )
    parser.add_argument(
        "--sheet-every", type=whole_number_in(1, 10**9), default=8_000, metavar="N", help="samples"
    )
    instead = parser.add_subparsers(title="instead of a folder", metavar="COMMAND", prog=parser.prog)
    finetune.add_parser(instead)
    parser.usage = (
        "%(prog)s --data DIR --out RUN [OPTION ...]\n       %(prog)s finetune FILE.avatar [OPTION ...]"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prepare the clips, train, and say where the networks are."""
    if lacking := [f"--{name}" for name in ("data", "out") if getattr(arguments, name) is None]:
        arguments.refuse(f"the following arguments are required: {', '.join(lacking)}")

    from avatar.train.loop import Rhythm
    from avatar.train.options import DEFAULTS
    from avatar.train.run import Places
    from avatar.train.run import run as train_folder

    given = {
        name: getattr(arguments, name)
        for name in ("size", "batch", "rate", "adversarial_from", "seed")
        if getattr(arguments, name) is not None
    }
    places = Places(
        arguments.data, arguments.out, arguments.cache or arguments.out / "cache", arguments.weights
    )
    with contextlib.closing(ProgressLine()) as line:

        def progress(done: int, count: int, _: str) -> None:
            line("prepare", done, count)
            if done == count:
                line.close()  # what follows is told line by line

        file = train_folder(
            places,
            dataclasses.replace(DEFAULTS[arguments.preset], **given),
            samples=arguments.samples,
            rhythm=Rhythm(checkpoint=arguments.checkpoint_every, sheet=arguments.sheet_every),
            say=lambda text: print(text, flush=True),
            progress=progress,
        )
    print(f"{file}: try it with avatar run PHOTO --weights {file}")
    return 0
