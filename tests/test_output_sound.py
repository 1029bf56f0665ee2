"""The clip's sound goes along: at the same place, as long as the pictures."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler
from made_clips import SIZE, frame, numbers_of, write_clip

from avatar.output.video_writer import VideoWriter
from avatar.records import F32


def sound_of(path: Path) -> F32:
    """One channel at 16 kHz, from the first picture on."""
    resampler = AudioResampler(format="flt", layout="mono", rate=16000)
    parts: list[F32] = []
    with av.open(str(path)) as container:
        for decoded in container.decode(audio=0):
            for part in resampler.resample(decoded):
                if not parts:
                    assert decoded.time is not None
                    parts.append(np.zeros(max(0, round(decoded.time * 16000)), np.float32))
                parts.append(np.asarray(part.to_ndarray(), np.float32)[0])
    return np.concatenate(parts)


def loud_part(sound: F32) -> tuple[float, float]:
    """When the tone begins and ends [s]."""
    size = 160
    loud = np.abs(sound[: len(sound) // size * size]).reshape(-1, size).max(axis=1) > 0.1
    where = np.nonzero(loud)[0]
    return float(where[0] * size / 16000), float((where[-1] + 1) * size / 16000)


def with_sound_of(clip: Path, path: Path, frames: int, fps: float = 30) -> Path:
    writer = VideoWriter(path, fps, SIZE, audio_from=clip)
    for number in range(frames):
        writer(frame(number))
    writer.close()
    return path


def test_sound_comes_along_in_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", 60, sound_s=0.5, sound_from_s=1.0)
    out = with_sound_of(clip, tmp_path / "out.mp4", 60)
    assert numbers_of(out) == list(range(60))
    sound = sound_of(out)
    assert len(sound) / 16000 == pytest.approx(2.0, abs=0.1)
    begin, end = loud_part(sound)
    assert begin == pytest.approx(1.0, abs=0.03)
    assert end == pytest.approx(1.5, abs=0.05)
    tone = sound[round(1.1 * 16000) : round(1.4 * 16000)]
    assert np.abs(np.fft.rfft(tone)).argmax() * 16000 / len(tone) == pytest.approx(440, abs=5)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
        assert container.streams.video[0].average_rate == 30
        assert container.streams.video[0].start_time == 0


def test_sound_is_as_long_as_the_pictures(tmp_path: Path) -> None:
    for name, sound_s in (("long", 4.0), ("short", 0.3)):
        clip = write_clip(tmp_path / f"{name}.mp4", 30, sound_s=sound_s)
        out = with_sound_of(clip, tmp_path / f"{name}_out.mp4", 30)
        assert len(sound_of(out)) / 16000 == pytest.approx(1.0, abs=0.1)


def test_pictures_that_begin_later_than_the_sound(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "in.mkv", 30, times=[0.8 + i / 30 for i in range(30)], sound_s=0.5, sound_from_s=1.0
    )
    begin, _ = loud_part(sound_of(with_sound_of(clip, tmp_path / "out.mp4", 30)))
    assert begin == pytest.approx(0.2, abs=0.05)


def test_sound_before_the_first_picture_is_cut_off(tmp_path: Path) -> None:
    times = [0.8 + i / 30 for i in range(30)]
    clip = write_clip(tmp_path / "in.mkv", 30, times=times, sound_s=1.1)
    begin, end = loud_part(sound_of(with_sound_of(clip, tmp_path / "out.mp4", 30)))
    assert begin == pytest.approx(0.0, abs=0.1)
    assert end == pytest.approx(0.3, abs=0.05)


def test_a_clip_without_sound_gives_none(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", 5)
    with av.open(str(with_sound_of(clip, tmp_path / "out.mp4", 5))) as container:
        assert not container.streams.audio


def test_damaged_sound_does_not_cost_the_pictures(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "in.mp4", 60, sound_s=2.0)
    with av.open(str(clip)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    data = bytearray(clip.read_bytes())
    for begin, size in packets[8:]:
        assert begin is not None
        data[begin : begin + size] = b"\xff" * size
    clip.write_bytes(data)
    out = with_sound_of(clip, tmp_path / "out.mp4", 60)
    assert numbers_of(out) == list(range(60))
    assert len(sound_of(out)) / 16000 == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize(("rate", "layout", "expected"), [(8000, "mono", 48000), (44100, "5.1", 44100)])
def test_other_rates_and_layouts(tmp_path: Path, rate: int, layout: str, expected: int) -> None:
    path = tmp_path / "in.wav"
    channels = 6 if layout == "5.1" else 1
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate, layout=layout)
        samples = np.full((1, rate * channels), 3000, np.int16)
        sound = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        sound.sample_rate = rate
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    out = with_sound_of(path, tmp_path / "out.mp4", 30)
    with av.open(str(out)) as container:
        found = container.streams.audio[0]
        assert found.rate == expected
        assert found.channels == min(2, channels)
        assert found.duration is not None
        assert found.time_base is not None
        assert float(found.duration * found.time_base) == pytest.approx(1.0, abs=0.05)
