"""Sources that need neither a camera nor a decoder: a still picture, and a motion recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from avatar.capture.motion_file import read_motion
from avatar.capture.pictures import read_picture
from avatar.capture.timetable import Timetable
from avatar.records import Frame, Observation


class _Ticks:
    """Numbers 0, 1, 2 ... at a constant rate; `total` of them, or without end."""

    def __init__(self, fps: float, *, paced: bool, total: int | None) -> None:
        self.dropped = 0
        self.closed = False
        self._fps = fps
        self._total = total
        self._timetable = Timetable(paced=paced)
        self._next = 0

    def __call__(self) -> tuple[int, int] | None:
        """(number, time stamp in nanoseconds), when it is due; None at the end or once closed."""
        if self.closed or self._next == self._total:
            return None
        missed = int(self._timetable.begin(self._next / self._fps) * self._fps)
        if self._total is not None:
            missed = min(missed, self._total - 1 - self._next)
        self.dropped += missed
        number = self._next + missed
        self._next = number + 1
        captured_ns = self._timetable.wait(number / self._fps, lambda: self.closed)
        return None if self.closed else (number, captured_ns)


class StillImage:
    """One picture again and again, as a camera that nothing moves in front of. It never ends.

    Args:
        picture: a file, or (H, W, 3) uint8 RGB.
        fps: frames a second.
        paced: False gives frames as fast as asked for.

    Raises:
        PictureError: the file cannot be read.
        ValueError: the array is not a picture.
    """

    def __init__(self, picture: str | Path | NDArray[Any], fps: float = 30.0, *, paced: bool = True) -> None:
        rgb: NDArray[Any] = read_picture(picture) if isinstance(picture, str | Path) else picture
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
            raise ValueError(f"a picture is uint8 (H, W, 3), got {rgb.dtype} {rgb.shape}")
        self.fps = fps
        self.size = (rgb.shape[1], rgb.shape[0])
        self._rgb = np.ascontiguousarray(rgb)
        self._ticks = _Ticks(fps, paced=paced, total=None)

    def __call__(self) -> Frame | None:
        """Give the picture when the next frame is due; None once closed."""
        tick = self._ticks()
        return Frame(self._rgb, *tick) if tick else None

    @property
    def dropped(self) -> int:
        """Frames that nobody fetched in time."""
        return self._ticks.dropped

    def close(self) -> None:
        """End; a call that waits in another thread ends too."""
        self._ticks.closed = True


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
        self._ticks = _Ticks(self.fps, paced=paced, total=None if loop else self.frames)

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
