"""A video file in the place of a camera."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Literal

from av.video.frame import VideoFrame

from avatar.capture.timetable import Timetable
from avatar.capture.video_reader import Turn, VideoReader, fill, turn_of
from avatar.errors import VideoError
from avatar.records import U8, Frame

Loop = bool | Literal["bounce"]

MAX_BOUNCE_BYTES = 2**30
"""Going back needs all frames in memory: 19 s of 1280x720 at 20 fps, 38 s of 640x480 at 30 fps."""

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".flv", ".3gp"}
)


class VideoFile:
    """A video file as a source of frames.

    Args:
        path: any file that FFmpeg reads. Rotation notes are honoured, so that phone clips are upright.
        paced: True gives each frame when it is due by its own time stamp, as a camera would; a reader that
            was away meanwhile misses frames (`dropped`). False gives all frames, as fast as asked for.
        loop: True starts again at the end, "bounce" plays forward and back, without a jump.
        size: (width, height) to scale to, filled, with the overhang cut off; None keeps the file's.
        fps: frame rate to convert to by repeating or leaving out frames; None keeps the file's own times.
        strict: False takes what can be read of a file that is cut short or breaks off, and keeps the reason
            in `flaw`; there must be one frame at least.

    Time stamps: paced, when the frame was due and handed over. Not paced, start + the frame's own time in the
    clip, so that what is computed from them does not depend on the speed of the machine.

    Raises:
        VideoError: missing, unreadable, without video; with "bounce" also when it is too long for that.
            Later, when frames are asked for, and `strict`: the file breaks off or ends before its time.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        paced: bool = True,
        loop: Loop = False,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        strict: bool = True,
    ) -> None:
        self.path = Path(path)
        self.dropped = 0
        """Frames that nobody fetched in time."""
        self.flaw: str | None = None
        """Why the video ended before its time, if it did and `strict` is False."""
        self._strict = strict
        self._loop = loop
        self._convert_fps = fps
        self._timetable = Timetable(paced=paced)
        self._lock = threading.Lock()
        self._closed = False
        self._reader = VideoReader(self.path)
        self.fps = fps or self._reader.fps
        self.duration = self._reader.duration
        """Seconds, as the file says; None if it does not."""
        self.has_audio = self._reader.has_audio
        try:
            self._turn, own_size = self._look()
            self.size = size or own_size
            self._frames = self._bouncing() if loop == "bounce" else self._streaming()
        except VideoError:
            self._reader.close()
            raise
        self._index = -1

    def __call__(self) -> Frame | None:
        """Give the next frame when it is due; None when the file has ended or was closed.

        Raises:
            VideoError: the file is damaged or cut short here.
        """
        with self._lock:
            found = self._next()
            if found is None:
                return None
            seconds, picture = found
            rgb = picture if not isinstance(picture, VideoFrame) else self._convert(picture)
        captured_ns = self._timetable.wait(seconds, lambda: self._closed)
        return None if self._closed else Frame(rgb, self._index, captured_ns)

    def close(self) -> None:
        """Release the file. May be called from another thread; a call that waits for its time then ends."""
        self._closed = True
        with self._lock:
            self._frames.close()
            self._reader.close()

    def _next(self) -> tuple[float, VideoFrame | U8] | None:
        """Give the next frame that is not late.

        How late the reader is counts when it asks: a slow decoder alone never makes it skip ever more.
        """
        period = 1 / self.fps
        late: float | None = None
        for seconds, picture in self._frames:
            self._index += 1
            if late is None:
                late = self._timetable.begin(seconds)
                oldest = seconds + late - period
            if seconds >= oldest or late == 0.0:
                return seconds, picture
            self.dropped += 1
        return None

    def _convert(self, picture: VideoFrame) -> U8:
        return fill(self._turn.rgb(picture), self.size)

    def _look(self) -> tuple[Turn, tuple[int, int]]:
        """How the pictures lie, and their upright (width, height); from a first one, so there is one."""
        reader = VideoReader(self.path)
        try:
            for _, picture in reader.frames():
                turn = turn_of(picture)
                return turn, turn.size(picture)
        finally:
            reader.close()
        raise VideoError(f"{self.path}: not one picture of the video can be decoded")

    def _pass(self) -> Iterator[tuple[float, VideoFrame]]:
        frames = self._readable()
        if self._convert_fps is None:
            return frames
        return _at_rate(frames, self._convert_fps, 1 / self._reader.fps)

    def _readable(self) -> Iterator[tuple[float, VideoFrame]]:
        given = False
        try:
            for found in self._reader.frames():
                yield found
                given = True
        except VideoError as error:
            if self._strict or not given:
                raise
            self.flaw = str(error)

    def _streaming(self) -> Generator[tuple[float, VideoFrame | U8]]:
        begin = 0.0
        while True:
            seconds = 0.0
            for seconds, picture in self._pass():
                yield begin + seconds, picture
            if not self._loop:
                return
            begin += seconds + 1 / self.fps
            self._reader.close()
            self._reader = VideoReader(self.path)

    def _bouncing(self) -> Generator[tuple[float, VideoFrame | U8]]:
        kept: list[U8] = []
        budget = MAX_BOUNCE_BYTES // (self.size[0] * self.size[1] * 3)
        for _, picture in self._pass():
            if len(kept) >= budget:
                raise VideoError(
                    f"{self.path}: too long to be played forward and back: at {self.size[0]}x{self.size[1]} "
                    f"{budget} frames fit into memory, take a shorter clip or a smaller size"
                )
            kept.append(self._convert(picture))
        return self._swing(kept)

    def _swing(self, kept: list[U8]) -> Generator[tuple[float, VideoFrame | U8]]:
        order = [*range(len(kept)), *range(len(kept) - 2, 0, -1)]
        count = 0
        while True:
            for i in order:
                yield count / self.fps, kept[i]
                count += 1


def _at_rate(
    frames: Iterator[tuple[float, VideoFrame]], fps: float, period: float
) -> Iterator[tuple[float, VideoFrame]]:
    """Sample and hold: at each tick of `fps` the newest frame. The last one lasts `period` seconds."""
    tolerance = 1e-3  # time stamps of many files are whole milliseconds
    ticks = 0
    held: VideoFrame | None = None
    end = 0.0
    for seconds, picture in frames:
        while held is not None and ticks / fps < seconds - tolerance:
            yield ticks / fps, held
            ticks += 1
        held, end = picture, seconds + period
    while held is not None and ticks / fps < end - tolerance:
        yield ticks / fps, held
        ticks += 1
