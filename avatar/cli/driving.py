"""The driving clip of `animate` and `record-motion`: tracked as a whole, as numbers."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from avatar.errors import VideoError

if TYPE_CHECKING:
    from avatar.offline import Progress
    from avatar.records import Observation


SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DrivingClip:
    """What is known of a clip after it was tracked."""

    seen: list[Observation]
    """One per frame."""
    fps: float
    """Frames a second, on average if they vary."""
    has_sound: bool
    flaw: str | None = None
    """Why the clip ended before its time, if it did; `seen` is what came before."""

    def check_whole(self, output: Path) -> None:
        """Call when the part that could be read has been dealt with and lies in `output`.

        Raises:
            VideoError: the clip ended before its time.
        """
        if self.flaw is not None:
            raise VideoError(f"{self.flaw}; {output} holds the {len(self.seen)} frames that could be read")

    @property
    def is_steady(self) -> bool:
        """Whether every frame comes when it should at `fps`, give or take half a frame. Phones vary."""
        first_ns = self.seen[0].captured_ns
        return all(
            abs((observation.captured_ns - first_ns) * self.fps / SECOND_NS - number) < 0.5
            for number, observation in enumerate(self.seen)
        )


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a clip, in seconds."""

    start: float = 0.0
    seconds: float | None = None
    """None: to the end."""

    def frames(self, fps: float) -> slice:
        """The same in frames."""
        begin = round(self.start * fps)
        return slice(begin, None if self.seconds is None else begin + round(self.seconds * fps))


WHOLE = Part()


def track_file(path: Path, progress: Progress, part: Part = WHOLE) -> DrivingClip:
    """Read the clip or motion recording at `path`, as fast as it goes, up to the end of `part`.

    Raises:
        AvatarError: it cannot be read, or shows no face.
    """
    from avatar.capture import Recording, VideoFile
    from avatar.offline import track_clip
    from avatar.track import FaceTracker

    if path.suffix.lower() == ".motion":
        with contextlib.closing(Recording(path, paced=False, loop=False)) as recording:
            limit = part.frames(recording.fps).stop
            seen = track_clip(recording, None, progress=progress, limit=limit)
            return DrivingClip(seen, recording.fps, False)
    with contextlib.closing(VideoFile(path, paced=False, strict=False)) as clip, FaceTracker() as tracker:
        total = round(clip.duration * clip.fps) if clip.duration else None
        limit = part.frames(clip.fps).stop
        seen = track_clip(clip, tracker, progress=progress, total=total, limit=limit)
        return DrivingClip(seen, clip.fps, clip.has_audio, clip.flaw)
