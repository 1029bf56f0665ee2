"""mp4 files: what is written can be played, also when the writing came to a bad end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from made_clips import RED, SIZE, as_rgb, frame, number_in, numbers_of, write_clip

from avatar.errors import OutputError, VideoError
from avatar.output.video_writer import VideoWriter
from avatar.records import U8, Frame

TESTS = Path(__file__).parent


def read(path: Path) -> list[U8]:
    with av.open(str(path)) as container:
        return [as_rgb(shown) for shown in container.decode(video=0)]


def boxes(path: Path) -> list[str]:
    """The names of a file's outermost boxes."""
    data, place, names = path.read_bytes(), 0, []
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        names.append(data[place + 4 : place + 8].decode("latin1"))
        if size == 1:
            size = int.from_bytes(data[place + 8 : place + 16], "big")
        place += size or len(data)
    return names


def test_what_is_written_can_be_played(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    for number in range(45):
        writer(frame(number))
    writer.close()
    writer.close()
    assert writer.frames == 45
    assert numbers_of(tmp_path / "x.mp4") == list(range(45))
    with av.open(str(tmp_path / "x.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 30
        assert (stream.width, stream.height) == SIZE
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert stream.start_time == 0
        assert stream.frames == 45
        assert stream.duration is not None
        assert stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(1.5)


def test_colours_are_right_and_say_how_they_are_meant(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    writer(frame(0))
    writer.close()
    with av.open(str(tmp_path / "x.mp4")) as container:
        shown = next(container.decode(video=0))
        assert (shown.colorspace, shown.color_primaries, shown.color_trc, shown.color_range) == (1, 1, 1, 1)
        assert np.abs(as_rgb(shown)[12, 12].astype(int) - RED).max() < 8


def test_a_finished_file_is_an_ordinary_mp4(tmp_path: Path) -> None:
    # some messengers and players refuse fragments
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    for number in range(90):
        writer(frame(number))
    writer.close()
    names = boxes(tmp_path / "x.mp4")
    assert "moof" not in names
    assert names.count("moov") == 1
    assert names[0] == "ftyp"


@pytest.mark.parametrize("fps", [23.976, 24000 / 1001, 25.0, 29.97, 12.5, 60.0])
def test_rates(tmp_path: Path, fps: float) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", fps, SIZE)
    for number in range(10):
        writer(frame(number))
    writer.close()
    with av.open(str(tmp_path / "x.mp4")) as container:
        rate = container.streams.video[0].average_rate
        assert rate is not None
        assert float(rate) == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize("size", [(161, 120), (160, 121), (161, 121), (64, 64)])
def test_odd_sizes_are_padded(tmp_path: Path, size: tuple[int, int]) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", 30, size)
    for number in range(3):
        writer(frame(number, size))
    writer.close()
    shown = read(tmp_path / "x.mp4")
    assert shown[0].shape == (size[1] + size[1] % 2, size[0] + size[0] % 2, 3)
    assert [number_in(rgb) for rgb in shown] == [0, 1, 2]
    assert np.abs(shown[0][-1, -1].astype(int) - 128).max() < 12  # as its neighbours, not black


def test_a_frame_of_another_size_is_a_mistake(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", 30, (160, 120))
    with pytest.raises(ValueError, match="100x120 != 160x120"):
        writer(frame(0, (100, 120)))
    writer.close()


def test_slices_of_larger_pictures_are_taken(tmp_path: Path) -> None:
    wide = np.zeros((120, 320, 3), np.uint8)
    wide[:, 80:240] = frame(5).rgb
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    writer(Frame(wide[:, 80:240], 0, 0))
    writer.close()
    assert numbers_of(tmp_path / "x.mp4") == [5]


def test_stamps_place_frames_in_time(tmp_path: Path) -> None:
    times_ms = [0, 33, 200, 200, 210, 500]
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE, stamps=True)
    for number, ms in enumerate(times_ms):
        writer(frame(number, captured_ns=7_000_000_000 + ms * 1_000_000))
    writer.close()
    with av.open(str(tmp_path / "x.mp4")) as container:
        shown = [(number_in(as_rgb(one)), one.time) for one in container.decode(video=0)]
    assert [number for number, _ in shown] == [0, 1, 2, 4, 5]
    assert [time for _, time in shown] == pytest.approx([0, 0.033, 0.2, 0.21, 0.5], abs=0.001)


def test_without_frames_nothing_is_left(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "x.mp4", 30, SIZE).close()
    assert list(tmp_path.iterdir()) == []


OLD = b"an older video" * 1000


def test_without_frames_an_older_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(OLD)
    writer = VideoWriter(path, 30, SIZE)
    assert path.read_bytes() == OLD
    writer.close()
    assert path.read_bytes() == OLD


def test_a_first_frame_that_fails_costs_no_older_file(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(OLD)
    writer = VideoWriter(path, 30, (40_000, 2))  # wider than H.264 allows
    with pytest.raises((av.error.FFmpegError, OutputError)):
        writer(frame(0, (40_000, 2)))
    writer.close()
    assert path.read_bytes() == OLD


def test_an_empty_file_stays_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "there.mp4").touch()
    for name in ("there.mp4", "new.mp4"):
        VideoWriter(tmp_path / name, 30, SIZE).close()
    assert [path.name for path in tmp_path.iterdir()] == ["there.mp4"]


def test_nothing_is_made_before_the_first_frame(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    assert list(tmp_path.iterdir()) == []
    writer(frame(3))
    writer.close()
    assert numbers_of(tmp_path / "x.mp4") == [3]


@pytest.mark.skipif(sys.platform == "win32", reason="links take a right of their own there")
def test_a_link_to_a_file_that_is_not_there_yet(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").symlink_to(tmp_path / "y.mp4")
    VideoWriter(tmp_path / "x.mp4", 30, SIZE).close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.mp4"]
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    writer(frame(4))
    writer.close()
    assert numbers_of(tmp_path / "y.mp4") == [4]


def test_a_folder_that_goes_away_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "on_a_stick").mkdir()
    writer = VideoWriter(tmp_path / "on_a_stick" / "x.mp4", 30, SIZE)
    (tmp_path / "on_a_stick").rmdir()
    writer(frame(0))  # it waits in the encoder
    with pytest.raises(OutputError, match="No such file"):
        writer.close()


def test_an_older_file_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"old" * 100_000)
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    writer(frame(9))
    writer.close()
    assert numbers_of(tmp_path / "x.mp4") == [9]


def refused(path: Path, match: str) -> None:
    with pytest.raises(OutputError, match=match) as caught:
        VideoWriter(path, 30, SIZE)
    assert "\n" not in str(caught.value)


def test_places_that_take_no_file(tmp_path: Path) -> None:
    refused(tmp_path / "x.avi", "written as .mp4")
    refused(tmp_path / "x", "written as .mp4")
    refused(tmp_path / "no" / "x.mp4", "cannot be written: No such file")
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4", "is a folder")


def test_the_sound_s_own_file_is_not_overwritten(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 3)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="where the sound comes from"):
        VideoWriter(path, 30, SIZE, audio_from=path)
    assert path.read_bytes() == before
    with pytest.raises(VideoError, match="there is no such file"):
        VideoWriter(tmp_path / "y.mp4", 30, SIZE, audio_from=tmp_path / "no.mp4")
    assert not (tmp_path / "y.mp4").exists()


def test_closed_is_closed(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "x.mp4", 30, SIZE)
    writer(frame(0))
    writer.close()
    with pytest.raises(OutputError, match="is closed"):
        writer(frame(1))


# bad ends: in a process of its own each

NOISY = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
from made_clips import frame
from avatar.errors import OutputError
from avatar.output.video_writer import VideoWriter
from avatar.records import Frame

random = np.random.default_rng(0)

def noisy(number):
    rgb = frame(number % 256).rgb.copy()
    rgb[90:] = random.integers(0, 256, (30, 160, 3), np.uint8)  # or it would take long to fill a disk
    return Frame(rgb, number, 0)

writer = VideoWriter(sys.argv[1], 30, (160, 120))
"""


def start(program: str, path: Path) -> subprocess.Popen[str]:
    code = NOISY.format(tests=str(TESTS)) + program
    command = [sys.executable, "-c", code, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


FILL = """
try:
    for number in range(1500):
        writer(noisy(number))
    writer.close()
except OutputError as error:
    print(writer.frames, error)
    writer.close()
else:
    print("it did not fail")
"""
LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
"""


def check_full(printed: str, path: Path, reason: str) -> None:
    assert reason in printed
    assert "can be played" in printed
    assert printed.count("\n") == 1
    written = int(printed.split()[0])
    played = numbers_of_what_can_be_played(path)
    assert played == [number % 256 for number in range(len(played))]
    # one fragment is a second; some more frames wait inside the encoder
    assert written - 90 <= len(played) <= written
    assert len(played) >= 30


def numbers_of_what_can_be_played(path: Path) -> list[int]:
    """As `numbers_of`, up to the place where the file was cut."""
    found = []
    with av.open(str(path)) as container:
        try:
            for shown in container.decode(video=0):
                found.append(number_in(as_rgb(shown)))
        except av.error.InvalidDataError:
            pass
    return found


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    done = start(LIMITED + FILL, tmp_path / "x.mp4")
    printed, _ = done.communicate(timeout=60)
    check_full(printed, tmp_path / "x.mp4", "File too large")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files")
def test_a_file_that_takes_nothing_at_all_is_not_left_behind(tmp_path: Path) -> None:
    done = start(LIMITED.replace("400_000, 400_000", "0, 0") + FILL, tmp_path / "x.mp4")
    printed, _ = done.communicate(timeout=60)
    assert "File too large" in printed
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    done = start(FILL, small_disk / "x.mp4")
    printed, _ = done.communicate(timeout=60)
    check_full(printed, small_disk / "x.mp4", "No space left on device")


def test_a_disk_that_fills_up_at_the_very_end(small_disk: Path) -> None:
    """All frames went out, only the closing words do not fit."""
    program = """
import os
for number in range(100):
    writer(noisy(number))
free = os.statvfs(sys.argv[1]).f_bavail * os.statvfs(sys.argv[1]).f_bsize
open(sys.argv[1] + ".fill", "wb").write(bytes(free))
try:
    writer.close()
except OutputError as error:
    print(writer.frames, error)
    writer.close()
"""
    done = start(program, small_disk / "x.mp4")
    printed, _ = done.communicate(timeout=60)
    check_full(printed, small_disk / "x.mp4", "No space left on device")


def test_a_killed_writer_leaves_what_can_be_played(tmp_path: Path) -> None:
    program = """
for number in range(200):
    writer(noisy(number))
print("written", flush=True)
import time
time.sleep(60)
"""
    done = start(program, tmp_path / "x.mp4")
    assert done.stdout is not None
    assert done.stdout.readline() == "written\n"
    done.send_signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)
    done.communicate(timeout=20)
    played = numbers_of_what_can_be_played(tmp_path / "x.mp4")
    assert len(played) >= 120
    assert played == list(range(len(played)))
