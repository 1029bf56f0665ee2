"""The faces of a folder of clips as numbers, person by person, kept between runs."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avatar.capture import VideoFile
from avatar.errors import VideoError
from avatar.records import BLENDSHAPES, F32, LANDMARKS, U8, Face

Find = Callable[[U8], list[Face]]
"""The faces of one picture (H, W, 3)."""

Say = Callable[[str], None]
"""Takes one line about what was done."""

MIN_FRAMES = 5
"""A person seen in fewer frames says too little about how a face moves."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person's face in N pictures, in any order and of any size."""

    landmarks: F32
    """(N, 478, 3), pixels of the picture each was found in."""
    blendshapes: F32
    """(N, 52), 0..1."""
    poses: F32
    """(N, 4, 4), as in `records.Face`."""
    clips: int = 1
    """How many clips they come from."""

    def __len__(self) -> int:
        return len(self.landmarks)

    @staticmethod
    def of(faces: Iterable[Face]) -> Track:
        """The same faces, stacked."""
        found = list(faces)
        return Track(
            np.array([face.landmarks for face in found], np.float32).reshape(-1, LANDMARKS, 3),
            np.array([face.blendshapes for face in found], np.float32).reshape(-1, BLENDSHAPES),
            np.array([face.pose for face in found], np.float32).reshape(-1, 4, 4),
        )

    @staticmethod
    def joined(tracks: Iterable[Track]) -> Track:
        """One after the other."""
        rows = list(tracks)
        return Track(
            np.concatenate([track.landmarks for track in rows]),
            np.concatenate([track.blendshapes for track in rows]),
            np.concatenate([track.poses for track in rows]),
            sum(track.clips for track in rows if len(track)),
        )


def clips_in(folder: Path) -> list[Path]:
    """The files of a folder, hidden ones left out, by name.

    Raises:
        VideoError: there is no such folder, or nothing in it.
    """
    if not folder.is_dir():
        raise VideoError(f"{folder}: there is no such folder")
    clips = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not clips:
        raise VideoError(f"{folder}: there are no clips in this folder")
    return clips


def person_of(clip: Path) -> str:
    """Who is seen: the file's name up to the first "-", so that `anna-1.mp4` and `anna-2.mov` are one."""
    return clip.stem.partition("-")[0]


def read_people(clips: Iterable[Path], find: Find, every: int, cache: Path, say: Say) -> dict[str, Track]:
    """The faces of all clips by person, by name; people with fewer than `MIN_FRAMES` of them left out.

    Args:
        clips: video files; one that cannot be read is skipped with a line.
        find: gives the faces of a picture.
        every: look at each n-th frame of a clip.
        cache: folder to keep each clip's track in; one that lies there already is taken.
        say: told about every clip and everybody left out.
    """
    cache.mkdir(parents=True, exist_ok=True)
    seen: dict[str, list[Track]] = {}
    for clip in clips:
        try:
            track = cached_track(clip, find, every, cache, say)
        except VideoError as error:
            say(f"skipped: {error}")
            continue
        seen.setdefault(person_of(clip), []).append(track)
    people = {name: Track.joined(tracks) for name, tracks in sorted(seen.items())}
    for name, track in people.items():
        if len(track) < MIN_FRAMES:
            say(f"left out: {name} is seen in {len(track)} frames, {MIN_FRAMES} are needed")
    return {name: track for name, track in people.items() if len(track) >= MIN_FRAMES}


def cached_track(clip: Path, find: Find, every: int, cache: Path, say: Say) -> Track:
    """The track of a clip out of the cache, or made and put there; arguments as in `read_people`."""
    kept = cache / f"{clip.name}.npz"
    made_of = [every, clip.stat().st_size]
    track = _load(kept, made_of)
    if track is None:
        track = track_clip(clip, find, every, say)
        unfinished = kept.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez(
                file,
                landmarks=track.landmarks,
                blendshapes=track.blendshapes,
                poses=track.poses,
                made_of=np.array(made_of),
            )
        unfinished.replace(kept)
    say(f"{clip.name}: {len(track)} faces")
    return track


def track_clip(clip: Path, find: Find, every: int, say: Say) -> Track:
    """The faces of each n-th frame that shows exactly one: of several nobody says whose they are.

    Raises:
        VideoError: the clip cannot be read at all; one that breaks off is used up to there.
    """
    faces = []
    with closing(VideoFile(clip, paced=False, strict=False)) as source:
        while (frame := source()) is not None:
            if frame.index % every == 0 and len(found := find(frame.rgb)) == 1:
                faces += found
    if source.flaw:
        say(f"used in part: {source.flaw}")
    return Track.of(faces)


def _load(path: Path, made_of: list[int]) -> Track | None:
    """A kept track; None where there is none, or one of another clip, another step or a damaged file."""
    try:
        # Opened here: numpy leaves a file it cannot read open.
        with path.open("rb") as file, np.load(file) as kept:
            if kept["made_of"].tolist() != made_of:
                return None
            return Track(kept["landmarks"], kept["blendshapes"], kept["poses"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
