"""The sound of the driving clip, carried over into the avatar's video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from avatar.records import F32
from avatar.tools.media import open_media

_RATES = (48000, 44100, 32000, 24000, 22050, 16000)
"""Sampling rates that AAC players agree on [Hz]; others become the first one."""
_SLACK_S = 0.02
"""Time stamps may be off by so much without a correction, which would be heard."""
_DELAY = 1024
"""Samples that an AAC encoder puts before the sound. We begin so much later instead, then nothing in the file
has to be told about it: fragments cannot, and the pictures would be shifted."""
_STEP_S = 0.5
"""Longest piece of silence made at once."""


class Sound:
    """The first sound track of a file, encoded anew as AAC, piece by piece alongside the pictures.

    Time zero is the first picture of that file: sound before it is cut off, gaps and a missing end become
    silence. Sound that cannot be decoded to its end turns silent there; the pictures matter more.

    Attributes:
        present: whether there is any sound.

    Raises:
        VideoError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._input = open_media(path)
        streams = self._input.streams.audio
        self.present = bool(streams) and streams[0].codec_context is not None
        self._written = _DELAY
        if self.present:
            source = streams[0]
            self._rate = source.rate if source.rate in _RATES else _RATES[0]
            self._layout = "mono" if source.channels == 1 else "stereo"
            self._pieces = self._read(source, _first_picture(self._input))
            self._next: tuple[float, F32] | None = None

    def add_to(self, container: OutputContainer) -> None:
        """Add the track to `container`, before the first packet is written there."""
        if not self.present:
            return
        # by its name alone the stub does not tell that this is sound
        stream = container.add_stream("aac", rate=self._rate, layout=self._layout, bit_rate=128_000)
        assert isinstance(stream, AudioStream)
        self._output = stream

    def until(self, seconds: float) -> list[Packet[AudioStream]]:
        """The packets up to `seconds` after the first picture, beginning where the last call ended."""
        if not self.present:
            return []
        packets: list[Packet[AudioStream]] = []
        end = round(seconds * self._rate)
        while self._written < end:
            packets += self._encode(self._take(end))
        return packets

    def finish(self, seconds: float) -> list[Packet[AudioStream]]:
        """Everything up to `seconds` that is not written yet, and the end of the track."""
        return [*self.until(seconds), *self._output.encode(None)] if self.present else []

    def close(self) -> None:
        """Close the file."""
        self._input.close()

    def _take(self, end: int) -> F32:
        """(channels, n) samples that come next: not beyond `end`, not more than one piece."""
        room = end - self._written
        if self._next is None:
            self._next = next(self._pieces, None)
        if self._next is None:
            return self._silence(room)
        seconds, samples = self._next
        gap = round(seconds * self._rate) - self._written
        slack = _SLACK_S * self._rate
        if gap > slack:
            return self._silence(min(gap, room))
        if gap < -slack:
            samples = samples[:, -gap:]
        taken, rest = samples[:, :room], samples[:, room:]
        begin = (self._written + taken.shape[1]) / self._rate
        self._next = (begin, rest) if rest.size else None
        return taken

    def _silence(self, samples: int) -> F32:
        channels = 1 if self._layout == "mono" else 2
        return np.zeros((channels, min(samples, round(_STEP_S * self._rate))), np.float32)

    def _encode(self, samples: F32) -> list[Packet[AudioStream]]:
        if not samples.size:
            return []
        frame = AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts, frame.time_base = self._written, Fraction(1, self._rate)
        self._written += samples.shape[1]
        return self._output.encode(frame)

    def _read(self, stream: AudioStream, origin: float) -> Iterator[tuple[float, F32]]:
        """(seconds after `origin`, (channels, n) samples) in the track's rate and layout."""
        resampler = AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        expected = 0.0
        try:
            for frame in self._input.decode(stream):
                seconds = expected if frame.time is None else frame.time - origin
                expected = seconds + frame.samples / frame.sample_rate
                for part in resampler.resample(frame):
                    yield seconds, np.asarray(part.to_ndarray(), np.float32)
                    seconds += part.samples / self._rate
        except (av.error.FFmpegError, OSError):
            return


def _first_picture(container: InputContainer) -> float:
    """When the first picture is shown [s], on the clock of the file."""
    for stream in container.streams.video:
        if stream.start_time is not None and stream.time_base is not None:
            return float(stream.start_time * stream.time_base)
    return 0.0
