"""Records the avatar into a video when asked to: an output that does nothing until then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from avatar.errors import OutputError
from avatar.output import VideoWriter
from avatar.records import Frame


class Recorder:
    """An output of a run that may be started and stopped from any thread.

    Args:
        folder: where the videos go; it is made when it is needed.
        fps: frames a second, about: each lasts until the next one came.
        size: (width, height) of the frames.
        on_failure: called with the reason when a video cannot be written on.

    Attributes:
        path: of the video that is being written; None otherwise.
    """

    constant_rate = False

    def __init__(
        self,
        folder: Path,
        fps: float,
        size: tuple[int, int],
        *,
        on_failure: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.path: Path | None = None
        self._folder, self._fps, self._size = folder, fps, size
        self._on_failure = on_failure
        self._writer: VideoWriter | None = None
        self._closed = False
        self._lock = threading.Lock()

    def start(self) -> Path:
        """Begin a video, or go on with the one that is being written.

        Raises:
            OutputError: it cannot be written, or the run has ended.
        """
        with self._lock:
            if self._closed:
                raise OutputError("nothing is recorded: the run has ended")
            if self._writer is None:
                try:
                    self._folder.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise OutputError(f"{self._folder}: cannot be made: {error.strerror or error}") from error
                path = _unused(self._folder / time.strftime("avatar-%Y%m%d-%H%M%S.mp4"))
                self._writer, self.path = VideoWriter(path, self._fps, self._size, stamps=True), path
            assert self.path is not None
            return self.path

    def stop(self) -> Path | None:
        """End the video; its place, or None if none was being written or not a frame came.

        Raises:
            OutputError: its end cannot be written.
        """
        with self._lock:
            path, writer = self.path, self._writer
            self._writer = self.path = None
            if writer is None:
                return None
            writer.close()
            return path if writer.frames else None

    @property
    def wanted(self) -> bool:
        """Whether a video is being written."""
        return self._writer is not None

    def __call__(self, frame: Frame) -> None:
        """Write one frame, if a video is wanted. A full disk ends the video and not the run."""
        if self._writer is None:
            return
        try:
            with self._lock:
                if self._writer is not None:
                    self._writer(frame)
        except OutputError as error:
            with self._lock:
                self._writer = self.path = None
            self._on_failure(str(error))

    def close(self) -> None:
        """End the video that is being written; no other one begins."""
        self._closed = True
        self.stop()


def _unused(path: Path) -> Path:
    """`path`, or with a number after its name the first that is not there yet."""
    tried, number = path, 1
    while tried.exists():
        number += 1
        tried = path.with_stem(f"{path.stem}-{number}")
    return tried
