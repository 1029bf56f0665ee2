"""From the path on the command line to an identity: a stored avatar, or a picture enrolled on the fly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avatar.cli.arguments import check_input
from avatar.errors import AvatarError, PictureError, SeveralFacesError

if TYPE_CHECKING:
    from avatar.records import U8, Identity

AVATAR_SUFFIX = ".avatar"


def open_portrait(path: Path, *, face: int | None) -> Identity:
    """Load an .avatar file, or enrol a picture.

    Args:
        path: the file.
        face: which face of a picture, counted from 1 on the left; None if there is only one.

    Raises:
        AvatarError: no such file, no face, several faces, or an unreadable file; the message says which.
    """
    check_input(path, "picture or .avatar file")
    if path.suffix.lower() != AVATAR_SUFFIX:
        return enroll_picture(path, face=face)
    if face is not None:
        raise AvatarError(f"{path} holds one face already; --face is for pictures")

    from avatar.identity.file import load_identity

    return load_identity(path)


def enroll_picture(path: Path, *, face: int | None) -> Identity:
    """Take the picture at `path` apart; raises as `open_portrait` does."""
    check_input(path, "picture")

    from avatar.capture import read_picture

    try:
        return enroll_pixels(read_picture(path), name=path.stem, face=face)
    except SeveralFacesError as error:
        raise SeveralFacesError(f"{path}: {which_face(error.boxes)}", error.boxes) from None
    except PictureError as error:
        # The reader of pictures names the file, the enrolment does not know it.
        text = str(error)
        raise type(error)(text if text.startswith(str(path)) else f"{path}: {text}") from error


def enroll_pixels(rgb: U8, *, name: str, face: int | None = None) -> Identity:
    """Take (H, W, 3) uint8 RGB apart; raises as `identity.enroll.enroll`."""
    from avatar.pipeline import enroll_picture as from_pixels

    return from_pixels(rgb, name=name, face=face)


def which_face(boxes: list[tuple[int, int, int, int]]) -> str:
    """The question for --face, in one line: each face by its number from the left, with its place."""
    places = ", ".join(
        f"{number} at x {left} y {top} ({width}x{height})"
        for number, (left, top, width, height) in enumerate(sorted(boxes), start=1)
    )
    return f"the picture shows {len(boxes)} faces; choose one with --face N, counted from the left: {places}"
