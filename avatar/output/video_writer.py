"""Writes frames into an mp4 file that can be played whatever happens to the writing."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from avatar.errors import OutputError
from avatar.output.sink import Sink
from avatar.output.sound import Sound
from avatar.records import U8, Frame

_STAMPS = Fraction(1, 90_000)


class VideoWriter:
    """An mp4 file: H.264, 8 bit 4:2:0, BT.709, which all players, browsers and phones take.

    While it is written the file is fragmented: after a full disk, a crash or a kill all but the last second
    can be played. `close` turns it into an ordinary mp4, as some players and messengers want it.

    Args:
        path: ends in .mp4; what was there is overwritten, but not before the first frame.
        fps: frames a second.
        size: (width, height) of the frames. Odd sides are padded by one pixel: 4:2:0 knows even ones only.
        audio_from: a video or sound file whose first sound track is laid under the pictures.
        stamps: False counts frames, each lasts 1/fps. True places each frame at its `captured_ns` after the
            first one's, for sources of varying rate; a frame with the same time as the last one is left out.

    Raises:
        OutputError: the file cannot be made. Later, when frames are given: the disk is full or gone.
        VideoError: `audio_from` cannot be read.
    """

    constant_rate = True

    def __init__(
        self,
        path: str | Path,
        fps: float,
        size: tuple[int, int],
        *,
        audio_from: str | Path | None = None,
        stamps: bool = False,
    ) -> None:
        self.path = Path(path)
        self.fps = fps
        self.size = size
        self.frames = 0
        """Frames written so far."""
        self._rate = Fraction(fps).limit_denominator(1001)
        self._constant_rate = not stamps
        self._first_ns = 0
        self._last_pts = -1
        self._closed = False
        self._sound = Sound(Path(audio_from)) if audio_from is not None else None
        try:
            self._sink = Sink(self._checked(self.path, audio_from))
        except (OSError, OutputError) as error:
            self._close_sound()
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        self._container = av.open(
            self._sink, "w", format="mp4", options={"movflags": "hybrid_fragmented+frag_keyframe"}
        )
        self._stream = self._add_stream()
        if self._sound:
            self._sound.add_to(self._container)

    def __call__(self, frame: Frame) -> None:
        """Append one frame, (H, W, 3) uint8 RGB.

        Raises:
            ValueError: the frame has another size than the video.
            OutputError: the file takes no more; what was written stays playable.
        """
        if self._closed:
            raise OutputError(f"{self.path}: is closed")
        height, width = frame.rgb.shape[:2]
        if (width, height) != self.size:
            raise ValueError(f"{self.path}: the frame is {width}x{height} != {self.size[0]}x{self.size[1]}")
        pts = self._pts(frame)
        if pts <= self._last_pts:
            return
        self._last_pts = pts
        picture = _to_yuv(_even(frame.rgb))
        picture.pts, picture.time_base = pts, self._time_base
        picture.duration = 1
        self._mux(self._stream.encode(picture))
        self.frames += 1
        if self._sound:
            self._mux(self._sound.until(float(pts * self._time_base)))

    def close(self) -> None:
        """Finish the file. Without a single frame all is left as it was.

        Raises:
            OutputError: the end could not be written; what was before it stays playable.
        """
        if self._closed:
            return
        self._closed = True
        if self.frames == 0 or self._sink.error:
            self._drop()
            return
        self._mux(self._stream.encode(None))
        if self._sound:
            end = float(self._last_pts * self._time_base) + 1 / self.fps
            self._mux(self._sound.finish(end))
        self._container.close()
        self._sink.close()
        self._close_sound()
        self._check()

    @property
    def _time_base(self) -> Fraction:
        return 1 / self._rate if self._constant_rate else _STAMPS

    def _pts(self, frame: Frame) -> int:
        if self._constant_rate:
            return self.frames
        if self.frames == 0:
            self._first_ns = frame.captured_ns
        return round((frame.captured_ns - self._first_ns) / 1_000_000_000 / _STAMPS)

    def _checked(self, path: Path, audio_from: str | Path | None) -> Path:
        if path.suffix.lower() != ".mp4":
            raise OutputError(f"{path}: videos are written as .mp4, name it so")
        if path.is_dir():
            raise OutputError(f"{path}: is a folder, name a file in it")
        if audio_from is not None and path.exists() and path.samefile(audio_from):
            raise OutputError(f"{path}: is also where the sound comes from, choose another name")
        return path

    def _add_stream(self) -> Any:
        # without B frames time stamps begin at zero, also in a file that was never finished
        options = {"crf": "18", "preset": "veryfast", "bf": "0", "g": str(max(1, round(self.fps)))}
        stream = self._container.add_stream("libx264", rate=self._rate, options=options)
        stream.width, stream.height = (side + side % 2 for side in self.size)
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
        return stream

    def _mux(self, packets: Any) -> None:
        self._container.mux(packets)
        self._check()

    def _check(self) -> None:
        error = self._sink.error
        if error is None:
            return
        self._drop()
        self._closed = True
        seconds = int(self.frames / self.fps)  # the last part may be cut: whole seconds are whole
        kept = f"; the {seconds} s before can be played" if seconds and self.path.exists() else ""
        raise OutputError(f"{self.path}: {error.strerror or error}{kept}") from error

    def _drop(self) -> None:
        """Let go of the file without closing words."""
        self._sink.error = self._sink.error or OSError("given up")
        with contextlib.suppress(av.error.FFmpegError, OSError):
            self._container.close()
        self._sink.close()
        self._close_sound()

    def _close_sound(self) -> None:
        if self._sound:
            self._sound.close()
            self._sound = None


def _even(rgb: U8) -> U8:
    height, width = rgb.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return rgb
    return np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _to_yuv(rgb: U8) -> VideoFrame:
    picture = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    return picture.reformat(
        format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
    )
