"""`avatar enroll`: a picture becomes an .avatar file."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import portrait
from avatar.cli.arguments import add_face, check_output, new_parser
from avatar.errors import OutputError

if TYPE_CHECKING:
    from avatar.cli.arguments import Subparsers

EXAMPLES = """\
  avatar enroll photo.jpg                      writes photo.avatar
  avatar enroll photo.jpg -o me.avatar
  avatar enroll family.jpg --face 2 -o mum.avatar
"""


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "enroll",
        run,
        help="make an avatar of a picture",
        description="Find the face in a picture, take the picture apart (head, background) and store the "
        "result, so that 'avatar run' starts at once. A sharp, evenly lit photo from the front works best.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "picture", type=Path, metavar="PICTURE", help="a photo or a painting (JPEG, PNG, ...)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.avatar", help="where to (default: beside the picture)"
    )
    add_face(parser)


def run(arguments: argparse.Namespace) -> int:
    """Enrol `arguments.picture` and store it."""
    picture: Path = arguments.picture
    output: Path = arguments.output or picture.with_suffix(portrait.AVATAR_SUFFIX)
    if output.suffix.lower() != portrait.AVATAR_SUFFIX:
        raise OutputError(f"{output} should end in {portrait.AVATAR_SUFFIX}, or it is not known again")
    check_output(output, [picture])
    identity = portrait.enroll_picture(picture, face=arguments.face)

    from avatar.identity.file import save_identity
    from avatar.tools.facemesh import face_height

    replaced = output.exists()
    save_identity(identity, output)
    height, width = identity.picture.shape[:2]
    face = round(face_height(identity.front.landmarks) * identity.crop.side)
    print(
        f"{output}{' (replaced)' if replaced else ''}: {identity.name}, picture {width}x{height}, "
        f"face {face} pixels high"
    )
    print(f"Talk as this picture: avatar run {shlex.quote(str(output))}")
    return 0
