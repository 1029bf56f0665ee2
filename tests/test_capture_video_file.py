"""Video files in the place of a camera: every kind is read, pacing keeps time, damage is one clear line."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from made_clips import RED, SIZE, number_in, picture, write_clip

from avatar.capture import video_file
from avatar.capture.video_file import VideoFile
from avatar.errors import VideoError
from avatar.records import U8, Frame
from avatar.tools import clock


def read_all(source: VideoFile, limit: int = 1000) -> list[Frame]:
    frames: list[Frame] = []
    while len(frames) < limit and (frame := source()) is not None:
        frames.append(frame)
    return frames


def numbers(frames: list[Frame]) -> list[int]:
    return [number_in(frame.rgb) for frame in frames]


class HandClock:
    """A clock that only moves when somebody sleeps, or by hand."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        self.ns += max(0, round(seconds * 1e9))


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    hands = HandClock()
    monkeypatch.setattr(clock, "now_ns", hands.now_ns)
    monkeypatch.setattr(clock, "sleep", hands.sleep)
    return hands


# what is in the file


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        ("mp4", "libx264"),
        ("mov", "mpeg4"),
        ("mkv", "libx264"),
        ("avi", "mpeg4"),
        ("mpg", "mpeg1video"),
        ("webm", "libvpx-vp9"),
        ("ts", "libx264"),
    ],
)
def test_usual_containers(tmp_path: Path, suffix: str, codec: str) -> None:
    source = VideoFile(write_clip(tmp_path / f"x.{suffix}", 20, codec=codec), paced=False)
    frames = read_all(source)
    source.close()
    assert numbers(frames) == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    assert source.fps == pytest.approx(30)
    assert source.size == SIZE
    assert all(frame.rgb.flags.c_contiguous and frame.rgb.dtype == np.uint8 for frame in frames)


def test_colours_are_those_of_the_picture(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 3), paced=False)
    frames = read_all(source)
    source.close()
    assert np.abs(frames[1].rgb[10, 10].astype(int) - RED).max() < 12


def test_hd_colours_are_read_by_their_own_matrix(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "4"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        stream.codec_context.colorspace = 1  # BT.709
        shown = VideoFrame.from_ndarray(np.full((120, 160, 3), (30, 200, 60), np.uint8))
        container.mux(stream.encode(shown.reformat(format="yuv420p", dst_colorspace=1, dst_color_range=1)))
        container.mux(stream.encode(None))
    source = VideoFile(path, paced=False)
    frames = read_all(source)
    source.close()
    # taken for BT.601, green would be off by some 16 steps
    assert np.abs(frames[0].rgb.mean(axis=(0, 1)) - (30, 200, 60)).max() < 4


@pytest.mark.parametrize("turned", [90, -90, 180])
def test_phone_clips_are_upright(tmp_path: Path, turned: int) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 2, turned=turned), paced=False)
    frames = read_all(source)
    source.close()
    width, height = SIZE
    upright = (width, height) if turned == 180 else (height, width)
    assert source.size == upright
    assert frames[0].rgb.shape == (upright[1], upright[0], 3)
    expected = np.rot90(picture(0), turned // 90)
    assert np.abs(frames[0].rgb.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("turned", [0, 90])
def test_mirrored_clips(tmp_path: Path, turned: int) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 2, turned=turned, mirrored=True), paced=False)
    frames = read_all(source)
    source.close()
    expected = np.rot90(picture(0), turned // 90)[:, ::-1]
    assert np.abs(frames[0].rgb.astype(int) - expected).mean() < 6


def test_odd_sizes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mkv", 3, size=(161, 119), codec="ffv1", pix_fmt="yuv420p")
    source = VideoFile(path, paced=False)
    frames = read_all(source)
    source.close()
    assert source.size == (161, 119)
    assert numbers(frames) == [0, 1, 2]


@pytest.mark.parametrize(("codec", "pix_fmt"), [("qtrle", "argb"), ("ffv1", "gray"), ("ffv1", "yuv444p10le")])
def test_alpha_grey_and_deep_colour(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    path = write_clip(tmp_path / ("x.mov" if codec == "qtrle" else "x.mkv"), 3, codec=codec, pix_fmt=pix_fmt)
    source = VideoFile(path, paced=False)
    frames = read_all(source)
    source.close()
    assert numbers(frames) == [0, 1, 2]
    assert frames[0].rgb.shape == (120, 160, 3)


def test_a_varying_rate_keeps_its_times(tmp_path: Path) -> None:
    times = [0.0, 0.033, 0.2, 0.21, 0.5, 0.9]
    source = VideoFile(write_clip(tmp_path / "x.mkv", 6, times=times), paced=False)
    frames = read_all(source)
    source.close()
    assert numbers(frames) == list(range(6))
    stamps = [(frame.captured_ns - frames[0].captured_ns) / 1e9 for frame in frames]
    assert stamps == pytest.approx(times, abs=0.002)


def test_a_file_that_does_not_begin_at_zero(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mkv", 3, times=[7.0, 7.04, 7.08]), paced=False)
    frames = read_all(source)
    source.close()
    assert [round((frame.captured_ns - frames[0].captured_ns) / 1e6) for frame in frames] == [0, 40, 80]


def test_sound_is_noticed(tmp_path: Path) -> None:
    for sound_s, expected in ((0.0, False), (0.5, True)):
        source = VideoFile(write_clip(tmp_path / f"{sound_s}.mp4", 5, sound_s=sound_s), paced=False)
        assert source.has_audio is expected
        source.close()


# conversion


def test_conversion_to_another_rate(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 25, fps=25)
    source = VideoFile(path, paced=False, fps=30)
    frames = read_all(source)
    source.close()
    assert source.fps == 30
    assert len(frames) == 30
    seen = numbers(frames)
    assert seen == sorted(seen)
    assert set(seen) == set(range(25))
    stamps = np.diff([frame.captured_ns for frame in frames])
    assert np.abs(stamps - 1e9 / 30).max() < 1000


def test_conversion_to_a_lower_rate_leaves_frames_out(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 30), paced=False, fps=10)
    frames = read_all(source)
    source.close()
    assert numbers(frames) == list(range(0, 30, 3))


@pytest.mark.parametrize("size", [(80, 60), (64, 64), (320, 100), (333, 251)])
def test_conversion_to_another_size_keeps_the_aspect(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv444p"
        container.mux(stream.encode(VideoFrame.from_ndarray(disc())))
        container.mux(stream.encode(None))
    source = VideoFile(path, paced=False, size=size)
    rgb = read_all(source)[0].rgb
    source.close()
    assert rgb.shape == (size[1], size[0], 3)
    assert rgb.flags.c_contiguous
    lit = rgb[:, :, 0] > 127
    width, height = int(lit.any(axis=0).sum()), int(lit.any(axis=1).sum())
    assert width == pytest.approx(height, abs=2)  # still round
    ys, xs = np.nonzero(lit)
    one_pixel = max(1, size[0] / SIZE[0], size[1] / SIZE[1])
    assert xs.mean() == pytest.approx((size[0] - 1) / 2, abs=one_pixel)
    assert ys.mean() == pytest.approx((size[1] - 1) / 2, abs=one_pixel)


def disc() -> U8:
    y, x = np.mgrid[:120, :160]
    lit = (x - 79.5) ** 2 + (y - 59.5) ** 2 < 20**2
    return np.repeat((lit * np.uint8(255))[:, :, None], 3, axis=2)


# loops


def test_loop_begins_again(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 4), paced=False, loop=True)
    frames = read_all(source, 10)
    source.close()
    assert numbers(frames) == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    assert [frame.index for frame in frames] == list(range(10))
    assert np.abs(np.diff([frame.captured_ns for frame in frames]) - 1e9 / 30).max() < 1e6


def test_memory_of_frames_does_not_wait_for_the_garbage_collector(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 10), paced=False, loop=True)
    read_all(source, 15)
    gc.collect()
    gc.disable()
    try:
        read_all(source, 100)
        assert gc.collect() < 30
    finally:
        gc.enable()
        source.close()


def test_bounce_goes_forward_and_back(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 4), paced=False, loop="bounce")
    frames = read_all(source, 11)
    source.close()
    assert numbers(frames) == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert np.abs(np.diff([frame.captured_ns for frame in frames]) - 1e9 / 30).max() < 1000


def test_bounce_of_one_frame(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 1), paced=False, loop="bounce")
    assert numbers(read_all(source, 3)) == [0, 0, 0]
    source.close()


def test_bounce_of_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "MAX_BOUNCE_BYTES", 160 * 120 * 3 * 9)
    with pytest.raises(VideoError, match="at 160x120 9 frames fit into memory"):
        VideoFile(write_clip(tmp_path / "x.mp4", 10), paced=False, loop="bounce")
    source = VideoFile(tmp_path / "x.mp4", paced=False, loop="bounce", fps=15)
    source.close()


# pacing


def test_paced_frames_come_when_they_are_due(tmp_path: Path, hands: HandClock) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 10, fps=25))
    frames = read_all(source)
    source.close()
    assert [frame.captured_ns for frame in frames] == [5_000_000_000 + i * 40_000_000 for i in range(10)]
    assert source.dropped == 0


def test_time_lost_by_the_reader_is_not_added_up(tmp_path: Path, hands: HandClock) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 10, fps=25))
    stamps = []
    while (frame := source()) is not None:
        stamps.append(frame.captured_ns)
        hands.ns += 15_000_000
    source.close()
    assert stamps == [5_000_000_000 + i * 40_000_000 for i in range(10)]


def test_a_slow_reader_misses_frames(tmp_path: Path, hands: HandClock) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 20, fps=25))
    seen = []
    while (frame := source()) is not None:
        seen.append((number_in(frame.rgb), frame.index))
        hands.ns += 100_000_000
    source.close()
    read = [number for number, _ in seen]
    assert all(number == index for number, index in seen)  # gaps in the index are the missed ones
    assert 7 <= len(seen) <= 11
    assert source.dropped == 20 - len(seen)
    assert all(2 <= step <= 3 for step in np.diff(read))


def test_after_a_long_pause_the_clip_goes_on_where_it_was(tmp_path: Path, hands: HandClock) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 10, fps=25))
    first = [source(), source()]
    hands.ns += 3_000_000_000
    later = read_all(source)
    source.close()
    assert all(first)
    assert numbers(later) == list(range(2, 10))
    assert source.dropped == 0
    assert np.diff([frame.captured_ns for frame in later]).tolist() == [40_000_000] * 7


def test_paced_by_the_real_clock(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 13, fps=60))
    begin = clock.now_ns()
    frames = read_all(source)
    took = (clock.now_ns() - begin) / 1e9
    source.close()
    assert len(frames) + source.dropped == 13
    assert 0.19 < took < 1.5


def test_not_paced_time_stamps_are_those_of_the_clip(tmp_path: Path, hands: HandClock) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 10, fps=25), paced=False)
    stamps = []
    while (frame := source()) is not None:
        stamps.append(frame.captured_ns)
        hands.ns += 777_000_000
    source.close()
    assert np.diff(stamps).tolist() == [40_000_000] * 9


def test_close_ends_a_call_that_waits(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mkv", 2, times=[0.0, 9.0]))
    assert source() is not None
    got: list[Frame | None] = []
    reader = threading.Thread(target=lambda: got.append(source()))
    reader.start()
    clock.sleep(0.05)
    source.close()
    reader.join(2)
    assert not reader.is_alive()
    assert got == [None]
    assert source() is None


# bad weather


def refused(open_it: Callable[[], object], match: str) -> None:
    with pytest.raises(VideoError, match=match) as caught:
        open_it()
    assert "\n" not in str(caught.value)


def test_what_is_no_video(tmp_path: Path) -> None:
    text = tmp_path / "x.mp4"
    text.write_text("no video\n" * 100)
    refused(lambda: VideoFile(text), "not a video that can be read")
    refused(lambda: VideoFile(tmp_path / "y.mp4"), "there is no such file")
    refused(lambda: VideoFile(tmp_path), "is a folder")
    (tmp_path / "empty.mp4").write_bytes(b"")
    refused(lambda: VideoFile(tmp_path / "empty.mp4"), "not a video that can be read")


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        sound.sample_rate, sound.time_base, sound.pts = 16000, Fraction(1, 16000), 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    refused(lambda: VideoFile(path), "there is no video in this file")


def test_a_play_list_leads_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "x.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n")
    refused(lambda: VideoFile(path), "x.m3u8")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_that_is_cut_short_ends_with_an_error(tmp_path: Path, suffix: str) -> None:
    options = {"movflags": "faststart"} if suffix == "mp4" else None
    path = write_clip(tmp_path / f"x.{suffix}", 90, options=options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    source = VideoFile(path, paced=False)
    frames: list[Frame] = []

    def read() -> None:
        while (frame := source()) is not None:
            frames.append(frame)

    refused(read, "is cut short, it ends after")
    source.close()
    assert 20 < len(frames) < 80
    assert numbers(frames) == list(range(len(frames)))

    lenient = VideoFile(path, paced=False, strict=False)
    assert len(read_all(lenient)) == len(frames)
    assert lenient.flaw is not None
    assert "is cut short" in lenient.flaw
    lenient.close()


def test_a_file_without_its_index_is_refused_at_opening(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused(lambda: VideoFile(path), "is cut short or not a video")
    refused(lambda: VideoFile(path, strict=False), "is cut short or not a video")


def test_a_whole_file_has_no_flaw(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 30), paced=False, strict=False)
    assert len(read_all(source)) == 30
    assert source.flaw is None
    source.close()


def test_longer_sound_does_not_make_it_cut_short(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "x.mp4", 10, sound_s=5.0), paced=False)
    assert len(read_all(source)) == 10
    source.close()


def test_a_lost_packet_is_passed_over_and_a_lost_second_is_not(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 90, codec="mpeg4")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for lost, tolerated in ((range(40, 42), True), (range(40, 85), False)):
        data = bytearray(path.read_bytes())
        for number in lost:
            begin, size = packets[number]
            assert begin is not None
            data[begin : begin + size] = bytes(size)
        (tmp_path / "bad.mp4").write_bytes(data)
        source = VideoFile(tmp_path / "bad.mp4", paced=False)
        if tolerated:
            assert len(read_all(source)) >= 88
        else:
            refused(lambda source=source: read_all(source), "damaged")  # type: ignore[misc]
        source.close()
