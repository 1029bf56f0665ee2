"""Where the clips of a folder lie and who is seen in them.

flat        DIR/anna-1.mp4, DIR/anna-2.mov, DIR/ben-1.mp4: up to the first "-" is who
VoxCeleb2   DIR/id00012/21Uxsk56VDQ/00001.mp4: the topmost folder is who
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avatar.capture import VIDEO_SUFFIXES
from avatar.errors import VideoError


@dataclass(frozen=True, slots=True)
class Clip:
    """One video file of a data folder."""

    path: Path
    name: str
    """Its path below the folder, with "/"."""
    person: str


def clips_of(folder: Path) -> list[Clip]:
    """Every video below `folder`, by name.

    Raises:
        VideoError: there is no such folder, or no video in it.
    """
    if not folder.is_dir():
        raise VideoError(f"{folder}: there is no such folder")
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() and not path.name.startswith(".")
    )
    if not found:
        raise VideoError(f"{folder}: there are no videos in this folder")
    return [_clip(path, folder) for path in found]


def _clip(path: Path, folder: Path) -> Clip:
    below = path.relative_to(folder)
    person = below.parts[0] if len(below.parts) > 1 else path.stem.partition("-")[0]
    return Clip(path, below.as_posix(), person)
