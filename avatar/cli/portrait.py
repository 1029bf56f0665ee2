"""From the path on the command line to an identity: a stored avatar, or a picture enrolled on the fly."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from avatar.cli.arguments import check_input
from avatar.errors import AvatarError, PictureError, SeveralFacesError

if TYPE_CHECKING:
    from avatar.pipeline import OfClip
    from avatar.records import U8, Identity

Box: TypeAlias = tuple[int, int, int, int]

AVATAR_SUFFIX = ".avatar"


def which_portrait(given: Path | None) -> Path:
    """The file that is meant: that one, or the avatar of that name in the gallery, or the last one there.

    A name may have dots and slashes: where there is no such file, the gallery is asked first.

    Raises:
        AvatarError: there is no such avatar in the gallery.
    """
    if given is not None and given.is_file():
        return given

    from avatar.control import Gallery, SettingsFile
    from avatar.control.folders import data_dir

    gallery = Gallery(data_dir() / "avatars")
    if given is not None:
        known = any(one.name.casefold() == str(given).casefold() for one in gallery.entries())
        if not known and (given.is_dir() or _looks_like_file(given)):
            return given  # what is wrong with it is told when it is opened
        return gallery.find(str(given))
    last = gallery.last(SettingsFile(data_dir() / "settings.json").load().avatar)
    if last is None:
        raise AvatarError("which portrait? name a picture or an .avatar file; the gallery has none yet")
    name = next(one.name for one in gallery.entries() if one.id == last.stem)
    print(f"avatar: you are {name}, the avatar used last", file=sys.stderr)
    return last


def _looks_like_file(given: Path) -> bool:
    from avatar.capture.pictures import PICTURE_SUFFIXES

    return len(given.parts) > 1 or given.suffix.lower() in (".avatar", ".heic", ".heif", *PICTURE_SUFFIXES)


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
    from avatar.identity.enroll import PICTURE_MAX

    try:
        rgb = read_picture(path)
        # A big picture is scaled down before the faces are looked for; people look them up in the picture.
        scale = max(1.0, max(rgb.shape[:2]) / PICTURE_MAX)
        return enroll_pixels(rgb, name=path.stem, face=face)
    except SeveralFacesError as error:
        boxes = [_scaled(box, scale) for box in error.boxes]
        raise SeveralFacesError(f"{path}: {which_face(boxes)}", boxes) from None
    except PictureError as error:
        # The reader of pictures names the file, the enrolment does not know it.
        text = str(error)
        raise type(error)(text if text.startswith(str(path)) else f"{path}: {text}") from error


def enroll_pictures(paths: Sequence[Path], *, face: int | None) -> Identity:
    """Take several pictures of one person apart, the front first; raises as `open_portrait` does.

    Args:
        paths: one at least; whether all show the same person is not looked at.
        face: which face of the first; the others have to show the person alone.
    """
    for path in paths:
        check_input(path, "picture")
    identity = enroll_picture(paths[0], face=face)
    if len(paths) == 1:
        return identity

    from avatar.capture import read_picture
    from avatar.pipeline import add_pictures

    def further() -> Iterator[tuple[str, U8]]:
        for path in paths[1:]:
            yield str(path), read_picture(path)

    return add_pictures(identity, further())


def enroll_clip(path: Path, *, shots: int, progress: Callable[[str, int, int | None], None]) -> OfClip:
    """Take a clip of one person apart.

    Args:
        path: a video file.
        shots: how many views to make.
        progress: told what is being done, how many frames of it are done, and of how many.

    Raises:
        AvatarError: no such file, no video, or no face that would do; the message says which.
    """
    check_input(path, "clip")

    from avatar.pipeline import enroll_clip as from_file

    return from_file(path, name=path.stem, shots=shots, progress=progress)


def is_clip(path: Path) -> bool:
    """Whether that is the name of a video file."""
    from avatar.capture import VIDEO_SUFFIXES

    return path.suffix.lower() in VIDEO_SUFFIXES


def enroll_pixels(rgb: U8, *, name: str, face: int | None = None) -> Identity:
    """Take (H, W, 3) uint8 RGB apart; raises as `identity.enroll.enroll`."""
    from avatar.pipeline import enroll_picture as from_pixels

    return from_pixels(rgb, name=name, face=face)


def _scaled(box: Box, scale: float) -> Box:
    left, top, width, height = (round(side * scale) for side in box)
    return left, top, width, height


def which_face(boxes: list[Box]) -> str:
    """The question for --face, in one line: each face by its number and place.

    Args:
        boxes: (left, top, width, height) of each face, in the order in which they are numbered.
    """
    places = ", ".join(
        f"{number} at x {left} y {top} ({width}x{height})"
        for number, (left, top, width, height) in enumerate(boxes, start=1)
    )
    return f"the picture shows {len(boxes)} faces; choose one with --face N, counted from the left: {places}"
