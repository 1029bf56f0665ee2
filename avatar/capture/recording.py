"""A motion recording in the place of a camera and a tracker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from avatar.capture.motion_file import read_motion
from avatar.capture.timetable import Ticks
from avatar.records import Observation


class Recording:
    """A motion recording as a source of observations: it stands for camera and tracker.

    Args:
        path: a .motion file.
        paced: True gives each observation when it is due; False as fast as asked for.
        loop: True starts again at the end, "bounce" plays forward and back, without a jump.

    Raises:
        MotionFileError: the file cannot be read, or is none.
    """

    def __init__(
        self, path: str | Path, *, paced: bool = True, loop: bool | Literal["bounce"] = True
    ) -> None:
        recording = read_motion(path)
        self.fps = recording.fps
        self.size = recording.frame_size
        self.frames = len(recording.faces)
        """Length of one pass."""
        self.duration = self.frames / self.fps
        """Length of one pass [s]."""
        back = recording.faces[-2:0:-1] if loop == "bounce" else ()
        self._faces = (*recording.faces, *back)
        self._ticks = Ticks(self.fps, paced=paced, total=None if loop else self.frames)

    def __call__(self) -> Observation | None:
        """Give the next observation when it is due; None at the end or once closed."""
        tick = self._ticks()
        return Observation(self._faces[tick[0] % len(self._faces)], *tick) if tick else None

    @property
    def dropped(self) -> int:
        """Observations that nobody fetched in time."""
        return self._ticks.dropped

    def close(self) -> None:
        """End; a call that waits in another thread ends too."""
        self._ticks.closed = True
