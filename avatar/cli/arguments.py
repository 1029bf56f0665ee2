"""Options and argument types that several commands share. Standard library only."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from avatar.errors import AvatarError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avatar.runtime import Wanted

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

WIDTH = 100
"""Columns of the help texts."""

DEFAULT_SIZE = (1280, 720)
DEFAULT_HEAD = 512
FITS = ("extend", "fit", "fill")
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it: 128 + SIGINT."""
PRESETS = ("live", "paper", "paper-small")
"""The networks that can be trained."""
GENERATORS = ("live", "warp", *PRESETS[1:])
RUNTIMES = ("auto", "tensorrt", "rtx", "cuda", "openvino", "torch")
PRECISIONS = ("fp32", "bf16", "fp16")
TRACKERS = ("litert", "mediapipe")
BACKENDS = ("any", "v4l2", "dshow", "msmf", "avfoundation")
SMALLEST_SIDE, LARGEST_SIDE = 64, 4096


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the line breaks of the examples and leaves room for long options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30, width=WIDTH)

    def add_argument(self, action: argparse.Action) -> None:
        """As argparse does it, but with room for the indent of the listed commands, which it forgets."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            longest = max(len(name) for name in action.choices)
            self._action_max_length = max(self._action_max_length, longest + 2 * self._indent_increment)


class Command(Protocol):
    """What a command is: takes the read command line, gives the exit status."""

    def __call__(self, arguments: argparse.Namespace) -> int: ...


def new_parser(
    commands: Subparsers, name: str, run: Command, *, help: str, description: str, examples: str
) -> argparse.ArgumentParser:
    """A subcommand's parser with what all have in common: layout, examples, --verbose."""
    parser = commands.add_parser(
        name,
        help=help,
        description=textwrap.fill(description, WIDTH),
        epilog="examples:\n" + examples,
        formatter_class=HelpFormatter,
    )
    parser.add_argument("--verbose", action="store_true", help="tell more, and show where an error came from")
    parser.set_defaults(run=run)
    return parser


def size(text: str) -> tuple[int, int]:
    """`1280x720` -> (1280, 720). Even numbers only, as video files and virtual cameras want them."""
    try:
        width, height = (int(part) for part in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write it as 1280x720") from None
    for side in (width, height):
        if not SMALLEST_SIDE <= side <= LARGEST_SIDE or side % 2:
            raise argparse.ArgumentTypeError(
                f"{text!r}: both sides must be even numbers from {SMALLEST_SIDE} to {LARGEST_SIDE}"
            )
    return width, height


def number_in(low: float, high: float) -> Callable[[str], float]:
    """A type for argparse: a number from `low` to `high`."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not between {low:g} and {high:g}")
        return value

    return number


def whole_number_in(low: int, high: int) -> Callable[[str], int]:
    """A type for argparse: a whole number from `low` to `high`."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not between {low} and {high}")
        return value

    return whole_number


seconds = number_in(0.1, 86_400)
fps = number_in(1, 240)


def add_portrait(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The portrait, for `portrait.which_portrait`, and which face of it; if `optional` it may be left out."""
    parser.add_argument(
        "portrait",
        type=Path,
        nargs="?" if optional else None,
        metavar="PORTRAIT",
        help="a picture, an .avatar file made by 'avatar enroll', or the name of an avatar of the control "
        "page" + (" (default: the last one there)" if optional else ""),
    )
    add_face(parser)


def add_face(parser: argparse.ArgumentParser) -> None:
    """--face, for pictures of several people."""
    parser.add_argument(
        "--face",
        type=whole_number_in(1, 99),
        metavar="N",
        help="which face, when the picture shows several: 1 is the leftmost",
    )


def add_motion(parser: argparse.ArgumentParser, *, default: str) -> None:
    """--motion relative|absolute."""
    parser.add_argument(
        "--motion",
        choices=("relative", "absolute"),
        default=default,
        help="relative: the portrait moves as far from its own calm face as you do from yours; "
        "absolute: it takes your pose and expression as they are (default: %(default)s)",
    )


def add_canvas(parser: argparse.ArgumentParser) -> None:
    """--size, --fit and --head: the picture that comes out."""
    width, height = DEFAULT_SIZE
    parser.add_argument(
        "--size",
        type=size,
        default=DEFAULT_SIZE,
        metavar="WxH",
        help=f"size of the picture that comes out (default: {width}x{height})",
    )
    parser.add_argument(
        "--fit",
        choices=FITS,
        default=FITS[0],
        help="how the portrait is laid into that size: fit = whole, with bars; fill = cut to fill it; "
        "extend = brought near the head, with blurred surroundings (default: %(default)s)",
    )
    parser.add_argument(
        "--head",
        type=whole_number_in(128, 1024),
        default=DEFAULT_HEAD,
        metavar="PIXELS",
        help="longest side at which the moving head is drawn, never bigger than it is shown: smaller is "
        "faster (default: %(default)s)",
    )


def add_badge(parser: argparse.ArgumentParser, *, default: str) -> None:
    """--badge and --no-badge; None where neither is given, of which `default` says what it means."""
    parser.add_argument(
        "--badge",
        action=argparse.BooleanOptionalAction,
        help=f"write on the picture that it is made (default: {default})",
    )


def add_generator(parser: argparse.ArgumentParser) -> None:
    """--generator, --weights, --runtime and --precision: what draws the picture."""
    parser.add_argument(
        "--generator",
        choices=GENERATORS,
        default=GENERATORS[0],
        help="what draws: live = the picture's own pixels, moved and mended by a network; warp = only moved; "
        "paper = a network that paints all of it, which no weights come with (default: %(default)s)",
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="networks that 'avatar train' made (.safetensors), instead of those that come with the program",
    )
    add_runtime(parser)


def add_runtime(parser: argparse.ArgumentParser) -> None:
    """--runtime and --precision: what runs the network; `wanted_runtime` reads them."""
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default=RUNTIMES[0],
        help="what runs the network: auto = the fastest there is, told in a line; tensorrt, rtx = compiled "
        "for an NVIDIA card; cuda = plain PyTorch on one; openvino = compiled for this processor; torch = "
        "plain PyTorch on it (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="in which numbers (default: the fastest of which the picture does not suffer)",
    )


def wanted_runtime(arguments: argparse.Namespace) -> Wanted:
    """What `add_runtime` read."""
    from avatar.runtime import Wanted

    return Wanted(arguments.runtime, arguments.precision)


def add_tracker(parser: argparse.ArgumentParser) -> None:
    """--tracker: what finds the driver's face."""
    parser.add_argument(
        "--tracker",
        choices=TRACKERS,
        default=TRACKERS[0],
        help="what finds your face: litert = MediaPipe's models, run here, which connects to nothing; "
        "mediapipe = MediaPipe itself, twice as slow, which sends figures about its use to Google (default: "
        "%(default)s)",
    )


def add_camera_settings(parser: argparse.ArgumentParser) -> None:
    """--camera-size, --fps, --backend: how a webcam is opened."""
    parser.add_argument(
        "--camera-size", type=size, metavar="WxH", help="ask the webcam for this size (default: its own)"
    )
    parser.add_argument(
        "--fps",
        type=fps,
        metavar="N",
        help="frames per second to ask for (default: as the camera or file has it)",
    )
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        help="the system's camera interface to use, if the usual one gives no picture",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """--json: the summary for programs."""
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one line of JSON on standard output"
    )


def check_output(path: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output path that would overwrite an input, or whose folder is not there.

    Raises:
        OutputError: with what to do instead.
    """
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise OutputError(f"the folder {path.parent} does not exist; make it first")
    for taken in inputs:
        if path.exists() and taken.exists() and path.samefile(taken):
            raise OutputError(f"{path} is also an input and would be overwritten; choose another name")


def check_input(path: Path, what: str) -> None:
    """Raise AvatarError if there is no file at `path`; `what` names it ("picture")."""
    if path.is_dir():
        raise AvatarError(f"{path} is a folder, not a {what}")
    if not path.exists():
        raise AvatarError(f"there is no {what} at {path}")


def check_camera(spec: str) -> None:
    """Raise AvatarError if that is an address, or the name of a file, and there is none; more shows later."""
    from avatar.capture import check_no_address, names_file

    check_no_address(spec)
    if names_file(spec):
        check_input(Path(spec), "camera file")
