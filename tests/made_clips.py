"""Small video files made on the spot. Each frame carries its number as a row of black and white cells."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avatar.records import U8, Frame

BITS = 8
SIZE = (160, 120)
RED = (220, 30, 30)


def picture(number: int, size: tuple[int, int] = SIZE) -> U8:
    """(H, W, 3) grey, with `number` in cells across its middle and red in the top left corner."""
    width, height = size
    rgb = np.full((height, width, 3), 128, np.uint8)
    rgb[: height // 4, : width // 4] = RED
    cell = width // BITS
    for bit in range(BITS):
        rgb[height * 3 // 8 : height * 5 // 8, bit * cell : (bit + 1) * cell] = 255 * (number >> bit & 1)
    return rgb


def number_in(rgb: U8) -> int:
    """The number that `picture` wrote."""
    height, width = rgb.shape[:2]
    row = rgb[height // 2].mean(axis=1)
    cell = width / BITS
    return sum(1 << bit for bit in range(BITS) if row[int((bit + 0.5) * cell)] > 127)


def frame(number: int, size: tuple[int, int] = SIZE, captured_ns: int | None = None) -> Frame:
    """`picture` as a record; 30 of them are a second."""
    return Frame(picture(number, size), number, number * 33_333_333 if captured_ns is None else captured_ns)


def write_clip(
    path: Path,
    frames: int = 30,
    *,
    fps: int = 30,
    size: tuple[int, int] = SIZE,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    turned: int | None = None,
    mirrored: bool = False,
    times: Sequence[float] | None = None,
    sound_s: float = 0.0,
    sound_from_s: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a clip of `frames` numbered pictures.

    Args:
        path: its suffix picks the container.
        frames: how many.
        fps: at which rate, unless `times`.
        size: (width, height).
        codec: of the pictures.
        pix_fmt: of the pictures.
        turned: degrees that a player has to turn the picture by, counter-clockwise, to show it upright.
        mirrored: a player has to exchange left and right as well, after turning.
        times: when each frame is shown [s], for a varying rate.
        sound_s: length of a 440 Hz tone.
        sound_from_s: when it begins.
        options: for the container.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if turned is not None:
            stream.set_display_rotation(turned, hflip=mirrored)
        tone = container.add_stream("aac", rate=16000, layout="mono") if sound_s else None
        for number in range(frames):
            shown = VideoFrame.from_ndarray(picture(number, size))
            if times is not None:
                shown.pts, shown.time_base = round(times[number] * 1000), Fraction(1, 1000)
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
        if isinstance(tone, AudioStream):
            samples = np.arange(round(sound_s * 16000))
            wave = (0.3 * np.sin(samples * (2 * np.pi * 440 / 16000))).astype(np.float32)
            sound = AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            sound.sample_rate, sound.time_base = 16000, Fraction(1, 16000)
            sound.pts = round(sound_from_s * 16000)
            container.mux(tone.encode(sound))
            container.mux(tone.encode(None))
    return path


def numbers_of(path: Path) -> list[int]:
    """What number each frame of a file carries, as any other player would see them."""
    with av.open(str(path)) as container:
        return [number_in(as_rgb(shown)) for shown in container.decode(video=0)]


def as_rgb(shown: VideoFrame) -> U8:
    """(H, W, 3)."""
    return np.asarray(shown.to_ndarray(format="rgb24"), np.uint8)
