"""What stands behind the avatar: as the settings have it, with the user's own pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from avatar.capture import read_picture
from avatar.control.settings import Settings
from avatar.errors import OutputError, PictureError
from avatar.identity.backdrop import before_backdrop, covering, own_blurred
from avatar.records import U8, Identity
from avatar.tools.placement import Mode
from avatar.tools.tensor_file import replace_file
from avatar.track import FaceFinder, PersonSegmenter

STORED = ("picture", "room")
"""Backgrounds that are kept as files."""
PERSON_SHARE = 0.01
"""A still of the room with so much of a person in it is refused."""
_LIKELY = 0.5


class Backdrops:
    """Dresses avatars for a canvas.

    Args:
        folder: where the user's pictures are kept; it is made when it is needed.
        size: (width, height) of the canvas.
        mode: how a portrait is fitted to it, see `tools.placement.place`.
    """

    def __init__(self, folder: Path, size: tuple[int, int], mode: Mode) -> None:
        self._folder, self._size, self._mode = folder, size, mode
        self._segmenter: PersonSegmenter | None = None

    def has(self, background: str) -> bool:
        """Whether that one can be chosen."""
        return background not in STORED or self._path(background).is_file()

    def store(self, background: str, picture: U8) -> None:
        """Keep a picture (H, W, 3) as one of `STORED`, cut to the canvas.

        Raises:
            PictureError: it is of the room and shows somebody.
            OutputError: it cannot be kept.
        """
        if background == "room":
            check_empty(picture)
        packed = io.BytesIO()
        Image.fromarray(covering(picture, self._size)).save(packed, "PNG", compress_level=1)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(background), packed.getvalue())
        except OSError as error:
            raise OutputError(f"{self._folder}: cannot be written: {error.strerror or error}") from error

    def dressed(self, identity: Identity, settings: Settings) -> Identity:
        """The avatar before the background of the settings; its own if that one is not there.

        Raises:
            PictureError: the stored picture cannot be read.
        """
        if settings.background == "own" or not self.has(settings.background):
            return identity
        self._segmenter = self._segmenter or PersonSegmenter()
        if settings.background == "blurred":
            behind = own_blurred(identity, self._size, mode=self._mode, segment=self._segmenter)
        elif settings.background == "colour":
            behind = np.full((self._size[1], self._size[0], 3), settings.rgb, np.uint8)
        else:
            behind = covering(read_picture(self._path(settings.background)), self._size)
        return before_backdrop(identity, behind, mode=self._mode, segment=self._segmenter)

    def _path(self, background: str) -> Path:
        return self._folder / f"{background}.png"


def check_empty(picture: U8) -> None:
    """Make sure that a picture (H, W, 3) of the room shows nobody: others will see it.

    Raises:
        PictureError: it has a face, or a part of a person, or hardly any light.
    """
    with FaceFinder() as find, PersonSegmenter() as segment:
        if find(picture):
            raise PictureError("the picture of the room shows a face; step out of it and try again")
        share = float((segment(picture) > _LIKELY).mean())
    if share > PERSON_SHARE:
        raise PictureError("somebody seems to be in the picture of the room; step out of it and try again")
    if picture.std() < 2:
        raise PictureError("the picture of the room is empty; is the camera covered?")
