"""`avatar enroll`: pictures or a clip become an .avatar file."""

from __future__ import annotations

import argparse
import contextlib
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli import portrait
from avatar.cli.arguments import add_face, check_output, new_parser, whole_number_in
from avatar.cli.finetune import told, tuned
from avatar.cli.progress import ProgressLine
from avatar.errors import AvatarError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from avatar.cli.arguments import Subparsers
    from avatar.records import Identity

EXAMPLES = """\
  avatar enroll photo.jpg                      writes photo.avatar
  avatar enroll photo.jpg -o me.avatar
  avatar enroll calm.jpg laughing.jpg left.jpg right.jpg -o me.avatar
  avatar enroll talk.mp4 -o me.avatar          10 to 30 seconds: talk, look about, laugh, blink
  avatar enroll talk.mp4 --shots 16 -o me.avatar
  avatar enroll talk.mp4 --finetune -o me.avatar
  avatar enroll family.jpg --face 2 -o mum.avatar
"""
DEFAULT_SHOTS, MOST_VIEWS = 8, 32


def add_parser(commands: Subparsers) -> None:
    """Describe the command to argparse."""
    parser = new_parser(
        commands,
        "enroll",
        run,
        help="make an avatar of pictures or a clip",
        description="Find the face in a picture, take the picture apart (head, background) and store the "
        "result, so that 'avatar run' starts at once. A sharp, evenly lit photo from the front works best. "
        "Several pictures of a person, or a clip, do better than one: each moment is made of the picture "
        "that is most like it. The first picture is the one that moves; the others show the same person with "
        "other faces and from other sides, in the same light if possible. That it is the same person is not "
        "checked.",
        examples=EXAMPLES,
    )
    parser.add_argument(
        "pictures",
        type=Path,
        nargs="+",
        metavar="PICTURE",
        help="a photo or a painting (JPEG, PNG, ...), several of one person, or one video file",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.avatar", help="where to (default: beside the picture)"
    )
    parser.add_argument(
        "--shots",
        type=whole_number_in(1, MOST_VIEWS),
        metavar="K",
        help=f"how many frames of a clip to keep, up to {MOST_VIEWS}: more look better and take longer to "
        f"make (default: {DEFAULT_SHOTS})",
    )
    parser.add_argument(
        "--finetune",
        action="store_true",
        help="adapt the networks to this person as well, which takes minutes; 'avatar train finetune' does "
        "it later and has more options",
    )
    add_face(parser)


def run(arguments: argparse.Namespace) -> int:
    """Enrol `arguments.pictures` and store the result."""
    sources: list[Path] = arguments.pictures
    for source in sources:
        if source.suffix.lower() == portrait.AVATAR_SUFFIX:
            raise AvatarError(f"{source} is an avatar already: avatar run {source}")
    output: Path = arguments.output or sources[0].with_suffix(portrait.AVATAR_SUFFIX)
    if output.suffix.lower() != portrait.AVATAR_SUFFIX:
        raise OutputError(f"{output} should end in {portrait.AVATAR_SUFFIX}, or it is not known again")
    check_output(output, sources)
    clip = _clip_among(sources, arguments)
    notes: list[str] = []
    if clip is None:
        identity = portrait.enroll_pictures(sources, face=arguments.face)
    else:
        identity, notes = _of_clip(clip, arguments.shots or DEFAULT_SHOTS)
    from avatar.identity.file import save_identity
    from avatar.pipeline import with_conditioning
    from avatar.tools.facemesh import face_height

    identity = with_conditioning(identity)
    replaced = output.exists()
    save_identity(identity, output)
    if arguments.finetune:  # after it is safe: this takes minutes and may be stopped
        identity, steps = tuned(identity)
        save_identity(identity, output)
        notes.append(f"In fine-tuning, {told(identity, steps)}.")
    height, width = identity.picture.shape[:2]
    face = round(face_height(identity.front.landmarks) * identity.crop.side)
    views = f"{len(identity.views)} views, " if len(identity.views) > 1 else ""
    print(
        f"{output}{' (replaced)' if replaced else ''}: {identity.name}, {views}picture {width}x{height}, "
        f"face {face} pixels high"
    )
    for note in notes:
        print(note)
    print(f"Talk as this picture: avatar run {shlex.quote(str(output))}")
    return 0


def _clip_among(sources: Sequence[Path], arguments: argparse.Namespace) -> Path | None:
    """The clip, if `sources` are one.

    Raises:
        AvatarError: a clip among pictures, more pictures than views, or options that do not go together.
    """
    clip = next(filter(portrait.is_clip, sources), None)
    if clip is None:
        if arguments.shots is not None:
            raise AvatarError("--shots is for a clip; of pictures all are kept")
        if len(sources) > MOST_VIEWS:
            raise AvatarError(f"{len(sources)} pictures are too many, an avatar has at most {MOST_VIEWS}")
        return None
    if len(sources) > 1:
        raise AvatarError(f"{clip} is a clip; give one clip alone, or pictures only")
    if arguments.face is not None:
        raise AvatarError("--face is for pictures; of a clip the biggest face is taken")
    return clip


def _of_clip(clip: Path, shots: int) -> tuple[Identity, list[str]]:
    """The identity, and what to tell about it."""
    with contextlib.closing(ProgressLine()) as progress:
        made = portrait.enroll_clip(clip, shots=shots, progress=progress)
    notes = [f"The picture is the clip's frame {made.front}, at {made.front_seconds:.1f} s."]
    if (count := len(made.identity.views)) < shots:
        notes.append(f"The clip shows no more than {count} that differ enough; {shots} were wanted.")
    if made.flaw is not None:
        notes.append(f"What could be read was used: {made.flaw}.")
    return made.identity, notes
