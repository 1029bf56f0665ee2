"""Decodes one video file from its first to its last frame, and notices when the last one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avatar.errors import VideoError
from avatar.records import U8
from avatar.tools.media import open_media, reason

if TYPE_CHECKING:
    from typing_extensions import Buffer

_DECLARING = frozenset({"mov", "mp4", "matroska", "webm", "avi", "flv"})
"""Containers whose header says how long the video is. Of the others a cut end cannot be told from an end."""
_JUMP_S = 10.0
"""A step of the time stamps beyond this is a jump of the clock (joined or wrapped streams), not a pause."""


class VideoReader:
    """One pass over a file's video stream.

    Raises:
        VideoError: no such file, unreadable, or no video stream in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = open_media(path)
        try:
            self._stream = _pick(path, self._container)
        except VideoError:
            self._container.close()
            raise
        self.fps = _rate(self._stream)
        self.has_audio = bool(self._container.streams.audio)

    @property
    def duration(self) -> float | None:
        """Length of the video as its header or its time stamps say [s]."""
        lengths = [length for length in (self._stream_length(), self._file_length()) if length]
        # an edit list makes the file shorter than the stream, longer sound makes the stream shorter
        return min(lengths) if lengths else None

    def frames(self) -> Iterator[tuple[float, VideoFrame]]:
        """Yield (seconds since the first frame, picture) in order; times always grow.

        Raises:
            VideoError: the data cannot be decoded any more, or ends before the length the header gives.
        """
        period = 1 / self.fps
        first = last = float("nan")
        shown = -period
        for frame in self._decode():
            stamp = frame.time if frame.pts is not None else None
            if shown < 0:
                first = stamp if stamp is not None else 0.0
                shown = 0.0
            elif stamp is None or not 0 < stamp - last < _JUMP_S:
                shown += period
                first = stamp - shown if stamp is not None else first
            else:
                shown = max(stamp - first, shown + period * 0.01)
            last = stamp if stamp is not None else first + shown
            yield shown, frame
        # Matroska counts its length from zero, even when the first picture comes later
        self._check_end(max(shown, last) + period if shown >= 0 else 0.0)

    def close(self) -> None:
        """Close the file. Not while `frames` is being advanced in another thread."""
        self._container.close()

    def _stream_length(self) -> float | None:
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        try:  # Matroska keeps it as a tag: 00:00:03.000000000
            hours, minutes, seconds = self._stream.metadata["DURATION"].split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        except (KeyError, ValueError):
            return None

    def _file_length(self) -> float | None:
        return self._container.duration / av.time_base if self._container.duration else None

    def _decode(self) -> Iterator[VideoFrame]:
        bad_in_a_row = 0
        tolerated = max(10, round(self.fps))
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.error.FFmpegError, OSError) as error:
                raise VideoError(f"{self.path}: the video breaks off: {reason(error)}") from error
            try:
                pictures = packet.decode()
                bad_in_a_row = 0
            except av.error.FFmpegError as error:
                # one lost packet is a flaw in the picture; a second of them is the end of what can be shown
                bad_in_a_row += 1
                if bad_in_a_row > tolerated:
                    raise VideoError(f"{self.path}: the video is damaged: {reason(error)}") from error
                continue
            for picture in pictures:
                if isinstance(picture, VideoFrame):
                    yield picture

    def _check_end(self, seconds: float) -> None:
        if seconds <= 0:
            raise VideoError(f"{self.path}: not one picture of the video can be decoded")
        declared = self.duration
        if declared is None or not _DECLARING.intersection(self._container.format.name.split(",")):
            return
        exact = self._stream_length() is not None
        missing = declared - seconds
        if missing > (max(0.5, 0.05 * declared) if exact else max(2.0, 0.25 * declared)):
            raise VideoError(f"{self.path}: is cut short, it ends after {seconds:.1f} of {declared:.1f} s")


@dataclass(frozen=True, slots=True)
class Turn:
    """What makes the frames of a file upright: phones film lying down and note the turn."""

    quarters: int
    """Quarter turns, counter-clockwise."""
    mirrored: bool
    """Exchange left and right before turning."""

    def size(self, frame: VideoFrame) -> tuple[int, int]:
        """(width, height) after the turn."""
        return (frame.height, frame.width) if self.quarters % 2 else (frame.width, frame.height)

    def rgb(self, frame: VideoFrame) -> U8:
        """(H, W, 3) RGB, upright, C-contiguous."""
        rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
        return np.ascontiguousarray(np.rot90(rgb[:, ::-1] if self.mirrored else rgb, self.quarters))


def turn_of(frame: VideoFrame) -> Turn:
    """The turn that a frame asks for.

    To be asked once per file: PyAV's side data and its frame hold each other, and the memory of a frame that
    was asked waits for the garbage collector.
    """
    try:
        side_data = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # a kind of side data that PyAV has no name for, such as the EXIF of a picture
        side_data = None
    if side_data is None:
        return Turn(0, False)
    a, b, _, c, d = np.frombuffer(bytes(cast("Buffer", side_data)), np.int32)[:5].tolist()
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    # the matrix turns clockwise in a picture whose y axis points down
    return Turn(round(float(np.degrees(np.arctan2(-b, a))) / 90) % 4, mirrored)


def fill(rgb: U8, size: tuple[int, int]) -> U8:
    """Scale to `size` (width, height), keeping the aspect; what hangs over is cut off evenly."""
    height, width = rgb.shape[:2]
    if (width, height) == size:
        return rgb
    scale = max(size[0] / width, size[1] / height)
    cut_w, cut_h = min(width, round(size[0] / scale)), min(height, round(size[1] / scale))
    left, top = (width - cut_w) // 2, (height - cut_h) // 2
    part = rgb[top : top + cut_h, left : left + cut_w]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(part, size, interpolation=how), dtype=np.uint8)


def _pick(path: Path, container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            stream.thread_type = "AUTO"
            return stream
    raise VideoError(f"{path}: there is no video in this file")


def _rate(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0.5 <= rate <= 1000:
            return float(rate)
    return 25.0
