"""A whole clip at once, without a clock: first it is tracked, then the portrait is drawn frame by frame.

Between the two passes no frame is kept, only numbers and small close-ups: about 11 kB for each frame.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from avatar.errors import NoFaceError, VideoError
from avatar.records import Face, Frame, Motion, Observation
from avatar.tools import clock
from avatar.tools.close_ups import observed

SECOND_NS = 1_000_000_000

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many frames of it are done, and of how many (None: not known)."""


class Source(Protocol):
    """A clip or a motion recording, unpaced."""

    def __call__(self) -> Frame | Observation | None:
        """The next one; None at the end."""
        ...


class Retarget(Protocol):
    """The retargeting stage, which may look at the whole clip before the first frame."""

    def prepare(self, faces: Sequence[Face | None]) -> None:
        """Find the driver's neutral face in all of `faces`."""
        ...

    def __call__(self, observation: Observation) -> Motion:
        """The motion of the portrait for one observation."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished clip was like."""

    frames: int
    """Frames written, as many as the driving clip has."""
    no_face: int
    """Those of them in which no driving face was seen."""
    fps: float
    """Frames a second of the result: the clip's."""
    seconds: float
    """How long the drawing took."""

    def as_json(self) -> dict[str, Any]:
        """The same as plain values for `json.dumps`."""
        return {**asdict(self), "fps": round(self.fps, 3), "seconds": round(self.seconds, 2)}


def track_clip(
    source: Source,
    tracker: Callable[[Frame], Face | None] | None,
    *,
    progress: Progress | None = None,
    total: int | None = None,
    limit: int | None = None,
) -> list[Observation]:
    """What is seen in every frame of `source`, in order, with the source's own time stamps.

    Args:
        source: frames, or observations (then `tracker` is not asked).
        tracker: finds the face.
        progress: told "track" and the number of frames so far.
        total: number of frames, if known.
        limit: no more frames than so many are looked at.

    Raises:
        VideoError: there is no frame at all.
        NoFaceError: there is no face in any frame.
    """
    seen: list[Observation] = []
    while (limit is None or len(seen) < limit) and (item := source()) is not None:
        if isinstance(item, Observation):
            seen.append(item)
        elif tracker is None:
            raise TypeError("the source gives frames, which need a tracker")
        else:
            seen.append(observed(tracker(item), item))
        if progress:
            progress("track", len(seen), total if total is None or limit is None else min(total, limit))
    if not seen:
        raise VideoError("the driving clip has no frames")
    if all(observation.face is None for observation in seen):
        raise NoFaceError(f"no face was found in any of the {len(seen)} frames of the driving clip")
    return seen


def animate(
    seen: Sequence[Observation],
    fps: float,
    retarget: Retarget,
    renderer: Callable[[Motion, int, int], Frame],
    writer: Callable[[Frame], None],
    *,
    progress: Progress | None = None,
) -> Summary:
    """Draw the portrait once for every one of `seen` and hand it to `writer`.

    Args:
        seen: what `track_clip` gave.
        fps: the clip's rate.
        retarget: turns observations into the portrait's motion; prepared here with all faces of the clip.
        renderer: turns (motion, index, time stamp) into a frame.
        writer: takes every frame, in order.
        progress: told "draw" and the number of frames so far.
    """
    start_ns = clock.now_ns()
    retarget.prepare([observation.face for observation in seen])
    for done, observation in enumerate(seen, start=1):
        writer(renderer(retarget(observation), observation.index, observation.captured_ns))
        if progress:
            progress("draw", done, len(seen))
    return Summary(
        frames=len(seen),
        no_face=sum(observation.face is None for observation in seen),
        fps=fps,
        seconds=(clock.now_ns() - start_ns) / SECOND_NS,
    )
