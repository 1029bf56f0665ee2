"""The user's avatars: a folder of .avatar files, and the one that the command line named."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from avatar.control.settings import ID
from avatar.errors import IdentityFileError
from avatar.identity.file import NAME_MAX, load_identity, name_in, save_identity
from avatar.records import U8, Identity
from avatar.tools.tensor_file import replace_file

SUFFIX = ".avatar"
GUEST = "guest"
"""Id of the avatar that was named on the command line and is in no gallery."""
THUMBNAIL = 256
"""Side of the small pictures [px]."""
_QUALITY = 88


@dataclass(frozen=True, slots=True)
class Entry:
    """One avatar in the list."""

    id: str
    name: str
    kept: bool
    """Whether it lies in the gallery; the guest does not."""


class Gallery:
    """The avatars there are.

    Args:
        folder: where they lie; it is made when the first one is added.
        guest: one more, which is kept in memory only.
    """

    def __init__(self, folder: Path, guest: Identity | None = None) -> None:
        self._folder = folder
        self._guest = guest
        self._names: dict[Path, tuple[object, str | None]] = {}
        """The name in each file; None in those that cannot be read. Beside, by what a change is known."""

    def entries(self) -> list[Entry]:
        """All that can be read, the guest first, then by name."""
        found = []
        for path in self._folder.glob(f"*{SUFFIX}") if self._folder.is_dir() else ():
            if ID.fullmatch(path.stem) and path.stem != GUEST and (name := self._name_in(path)) is not None:
                found.append(Entry(path.stem, name, kept=True))
        guests = [Entry(GUEST, self._guest.name, kept=False)] if self._guest else []
        return [*guests, *sorted(found, key=lambda entry: (entry.name.casefold(), entry.id))]

    def find(self, name: str) -> Path:
        """The file of the only avatar of that name, capitals or not.

        Raises:
            IdentityFileError: there is none, or there are several.
        """
        found = [one for one in self.entries() if one.kept and one.name.casefold() == name.casefold()]
        if len(found) != 1:
            told = "there are several avatars" if found else "there is no avatar"
            names = ", ".join(one.name for one in self.entries()) or "nothing yet"
            raise IdentityFileError(f"{told} of the name {name}; the gallery holds: {names}")
        return self._path(found[0].id)

    def last(self, id: str) -> Path | None:
        """The file of that avatar, or of the first one if it is not there; None if the gallery is empty."""
        kept = [one.id for one in self.entries() if one.kept]
        return self._path(id if id in kept else kept[0]) if kept else None

    def load(self, id: str) -> Identity:
        """One of them.

        Raises:
            IdentityFileError: there is none of that id, or it cannot be read.
        """
        if id == GUEST and self._guest is not None:
            return self._guest
        return load_identity(self._path(id))

    def add(self, identity: Identity) -> Entry:
        """Keep an avatar.

        Raises:
            IdentityFileError: it cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IdentityFileError(f"{self._folder}: cannot be made: {error.strerror or error}") from error
        id = secrets.token_hex(6)
        save_identity(identity, self._folder / f"{id}{SUFFIX}")
        return Entry(id, identity.name, kept=True)

    def keep(self) -> Entry:
        """Take the guest into the gallery.

        Raises:
            IdentityFileError: there is no guest, or it cannot be written.
        """
        if self._guest is None:
            raise IdentityFileError("there is no avatar that would not be kept")
        entry = self.add(self._guest)
        self._guest = None
        return entry

    def rename(self, id: str, name: str) -> Entry:
        """Give one of them another name.

        Raises:
            IdentityFileError: it is not there, or cannot be written, or that is no name.
        """
        name = " ".join(name.split())
        if not name or len(name) > NAME_MAX or not name.isprintable():
            raise IdentityFileError(f"a name has 1 to {NAME_MAX} characters")
        path = self._path(id)
        save_identity(replace(load_identity(path), name=name), path)
        return Entry(id, name, kept=True)

    def delete(self, id: str) -> None:
        """Take one out for good.

        Raises:
            IdentityFileError: it is not there, or cannot be deleted.
        """
        path = self._path(id)
        try:
            path.unlink()
        except OSError as error:
            raise IdentityFileError(f"{path}: cannot be deleted: {error.strerror or error}") from error
        with contextlib.suppress(OSError):
            self._thumbnail_path(id).unlink()

    def thumbnail(self, id: str) -> bytes:
        """Its head as a small JPEG; raises as `load` does."""
        kept = self._thumbnail_path(id)
        if id != GUEST:
            self._path(id)
            with contextlib.suppress(OSError):
                return kept.read_bytes()
        made = _thumbnail(self.load(id))
        if id != GUEST:
            with contextlib.suppress(OSError):
                replace_file(kept, made)
        return made

    def _name_in(self, path: Path) -> str | None:
        """Opens a file only if it is not as it was: the page asks for the list at every change."""
        try:
            now = path.stat()
        except OSError:
            return None
        stamp = (now.st_mtime_ns, now.st_size, now.st_ino)
        known, name = self._names.get(path, (None, None))
        if known != stamp:
            name = None
            with contextlib.suppress(IdentityFileError):
                name = name_in(path)
            self._names[path] = stamp, name
        return name

    def _path(self, id: str) -> Path:
        path = self._folder / f"{id}{SUFFIX}"
        if not ID.fullmatch(id) or id == GUEST or not path.is_file():
            raise IdentityFileError("there is no such avatar in the gallery")
        return path

    def _thumbnail_path(self, id: str) -> Path:
        return self._folder / f"{id}.jpg"


def _thumbnail(identity: Identity) -> bytes:
    crop, (height, width) = identity.crop, identity.picture.shape[:2]
    side = min(crop.side, height, width)
    middle_x, middle_y = crop.left + crop.side // 2, crop.top + crop.side // 2
    left = min(max(middle_x - side // 2, 0), width - side)
    top = min(max(middle_y - side // 2, 0), height - side)
    head = cv2.resize(
        identity.picture[top : top + side, left : left + side],
        (THUMBNAIL, THUMBNAIL),
        interpolation=cv2.INTER_AREA,
    )
    return jpeg(np.asarray(head, np.uint8), _QUALITY)


def jpeg(rgb: U8, quality: int) -> bytes:
    """A picture (H, W, 3) as JPEG."""
    good, packed = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not good:
        raise ValueError(f"a picture of {rgb.shape} cannot be packed")
    return packed.tobytes()
