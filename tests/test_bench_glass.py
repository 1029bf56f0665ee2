"""Time codes, the process at the far end, the mouth that snaps open, and a short run of all of it."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from live_fakes import FakeCamera, FakeOutput, FakeRenderer, FakeRetarget, FakeTracker
from PIL import Image

from avatar.errors import AvatarError
from avatar.live import run_live
from avatar.output import VideoWriter
from avatar.records import U8, Frame, Identity
from avatar.tools import clock
from bench import glass, mouth_snap, timecode
from bench.coded import Codes
from bench.far_end import GRID, FarEnd, Sight, Watch, filmed

CODES = [0, 1, 0x555555, 0xAAAAAA, 2**24 - 1, 123_456]


def noise(seed: int = 3, size: tuple[int, int] = (320, 180)) -> U8:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def coded(code: int, seed: int = 3) -> U8:
    picture = noise(seed)
    timecode.stamp(picture, code)
    return picture


@pytest.mark.parametrize("code", CODES)
def test_a_code_survives_what_video_does_to_it(code: int) -> None:
    picture = coded(code)
    assert timecode.read(picture) == code
    assert timecode.read(cv2.GaussianBlur(picture, (0, 0), 2.0).astype(np.uint8)) == code
    assert timecode.read((picture * 0.6 + 60).astype(np.uint8)) == code
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420)
    assert timecode.read(np.asarray(cv2.cvtColor(grey, cv2.COLOR_YUV2RGB_I420), np.uint8)) == code


def test_what_is_no_code_is_not_read() -> None:
    assert all(timecode.read(noise(seed)) is None for seed in range(50))
    assert timecode.read(np.zeros((180, 320, 3), np.uint8)) is None
    assert timecode.read(np.zeros((20, 20, 3), np.uint8)) is None


@pytest.mark.parametrize("block", range(2, 32))
def test_a_block_that_is_misread_is_noticed(block: int) -> None:
    picture = coded(0x5A5A5A)
    row, column = divmod(block, timecode.COLUMNS)
    part = np.s_[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16]
    picture[part] = 255 - picture[part]
    assert timecode.read(picture) is None


def test_a_code_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="100x20"):
        timecode.stamp(np.zeros((20, 100, 3), np.uint8), 1)
    with pytest.raises(ValueError, match="24 bits"):
        timecode.stamp(noise(), 2**24)


def test_time_is_told_in_tenths_of_milliseconds() -> None:
    assert timecode.to_code(1_234_567_890) == 12345
    codes = Codes(start_ns=1000)
    assert codes.ms(Sight(12345, 1000 + 1_264_500_000, ())) == pytest.approx(30.0)


def test_a_code_is_seen_once_and_the_box_with_it() -> None:
    watch = Watch((200, 100, 240, 140))
    picture = coded(7)
    picture[100:140, 200:240] = np.repeat(np.arange(GRID, dtype=np.uint8) * 30, 5)[None, :, None]
    for seen_ns in (11, 22):
        watch(picture, seen_ns)
    watch(noise(), 33)
    ((code, seen_ns, levels),) = watch.rows
    assert (code, seen_ns, watch.frames, watch.unread) == (7, 11, 3, 1)
    assert levels == [30.0 * column for column in range(GRID)] * GRID


def test_another_process_sees_what_it_is_given() -> None:
    with closing(FarEnd((320, 180), box=(200, 100, 240, 140))) as far:
        given = []
        for index, code in enumerate([*CODES, CODES[-1]]):
            given.append(clock.now_ns())
            far(Frame(coded(code, index), index, 0))
        with pytest.raises(ValueError, match="320x100 != 320x180"):
            far(Frame(noise(size=(320, 100)), 9, 0))
        seen = far.seen()
        end = clock.now_ns()
    assert [sight.code for sight in seen.sights] == CODES
    assert (seen.frames, seen.unread) == (7, 0)
    moments = [sight.seen_ns for sight in seen.sights]
    assert all(before < moment < end for before, moment in zip(given, moments, strict=False))
    assert moments == sorted(moments) and len(seen.sights[0].levels) == GRID**2


@pytest.fixture
def film(tmp_path: Path) -> str:
    with closing(VideoWriter(tmp_path / "film.mp4", 30, (320, 180))) as write:
        for index, code in enumerate(CODES):
            write(Frame(coded(code), index, 0))
    return str(tmp_path / "film.mp4")


def test_a_film_is_read_as_a_camera_is(film: str) -> None:
    assert [timecode.read(picture) for picture, _ in filmed(film)] == CODES


def test_a_virtual_camera_is_fed_at_one_end_and_read_at_the_other(
    film: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed: list[Frame] = []

    class Camera:
        def __init__(self, fps: float, size: tuple[int, int], device: str) -> None:
            # What others see of it is a film.
            assert (fps, size, device) == (25.0, (320, 180), "/dev/video10")
            self.device = film

        def __call__(self, frame: Frame) -> None:
            fed.append(frame)

        def close(self) -> None:
            fed.clear()

    monkeypatch.setattr("avatar.output.VirtualCamera", Camera)
    # The reader says nothing before its end: on a busy machine it gets more time.
    for patience_s in (1.0, 8.0):
        with closing(FarEnd((320, 180), "/dev/video10", fps=25.0)) as far:
            far(Frame(noise(), 0, 0))
            assert len(fed) == 1 and far.told == "the virtual camera /dev/video10"
            time.sleep(patience_s)
            seen = far.seen()
        if len(seen.sights) == len(CODES):
            break
    assert [sight.code for sight in seen.sights] == CODES and not fed


class BigCamera(FakeCamera):
    def picture(self) -> U8:
        return np.zeros((120, 160, 3), np.uint8)


class BigRenderer(FakeRenderer):
    def __call__(self, *given: object) -> Frame:
        small = super().__call__(*given)  # type: ignore[arg-type]
        return Frame(np.zeros((90, 160, 3), np.uint8), small.index, small.captured_ns)


def test_a_frame_carries_the_code_of_its_camera_picture() -> None:
    codes = Codes(clock.now_ns())
    output = FakeOutput()
    run_live(
        codes.camera(BigCamera(["frame"] * 12)),
        codes.tracker(FakeTracker()),
        FakeRetarget(),
        codes.renderer(BigRenderer()),
        [output],
        stop=threading.Event(),
        fps=100,
        lockstep=True,
    )
    assert output.indices == list(range(12)) and codes.unread == 0
    for frame in output.frames:
        assert timecode.read(frame.rgb) == timecode.to_code(frame.captured_ns - codes.start_ns)


def sights(lag_ms: float, height: float) -> list[Sight]:
    """A mouth that goes half way, `lag_ms` after 1000 ms, and then the whole way, at 25 fps."""
    found = []
    for number in range(60):
        ms = number * 40.0
        share = 0.0 if ms < 1000 + lag_ms else 0.6 if ms < 1040 + lag_ms else 1.0
        found.append(Sight(number, round(ms * 1e6), tuple(50 + height * share for _ in range(GRID**2))))
    return found


def test_a_snap_is_found_when_it_is_seen() -> None:
    (snap,) = mouth_snap.find_snaps(sights(80, 40), [1_000_000_000])
    assert snap.reached_ms == pytest.approx((80, 80, 120))
    assert dict(snap.curve)[80.0] == pytest.approx(0.6)


def test_what_does_not_move_or_is_not_seen_is_no_snap() -> None:
    assert mouth_snap.find_snaps(sights(80, 1.0), [1_000_000_000]) == []
    assert mouth_snap.find_snaps(sights(80, 40), [9_000_000_000]) == []
    assert mouth_snap.find_snaps([], [1_000_000_000]) == []


def test_the_made_mouth_opens_where_the_box_is(astronaut_identity: Identity) -> None:
    shut, wide = mouth_snap.pictures(astronaut_identity, (640, 480))
    change = np.abs(shut.astype(int) - wide).mean(axis=2)
    left, top, right, bottom = mouth_snap.mouth_box(astronaut_identity, (640, 480), "fill")
    assert change[top:bottom, left:right].mean() > 5
    assert change[top:bottom, left:right].mean() > 5 * change.mean()


def test_recorded_motion_carries_no_code(capsys: pytest.CaptureFixture[str], demo_motion: Path) -> None:
    assert glass.main(["--source", str(demo_motion), "--generator", "warp", "--far-end", "pipe"]) == 1
    assert "no picture that could carry a time code" in capsys.readouterr().err


@pytest.fixture
def demo_motion(face_landmarker_path: Path, selfie_segmenter_path: Path) -> Path:
    from avatar.weights import resolve

    return resolve("demo_motion")


@pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path", "carphone_path")
def test_a_short_run_from_the_camera_to_the_far_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Of 75 frames the resting face is learnt.
    monkeypatch.setattr(mouth_snap, "SETTLING", 78)
    monkeypatch.setattr(glass, "WARM_UP_S", 0.3)
    options = "--seconds 1 --snaps 1 --generator warp --far-end pipe --size 640x360".split()
    assert glass.main([*options, "--plot", str(tmp_path / "glass.png")]) == 0
    *told, last = capsys.readouterr().out.splitlines()
    document = json.loads(last)
    took = document["picture_to_reader_ms"]
    assert document["seen"] > 10 and document["unread_of_camera"] == 0
    assert document["age_ms"]["p50"] < took["p50"] <= took["p95"]
    assert document["far_end"] == "a pipe to another process" and glass.NO_DEVICE in document["not_in_it"]
    assert document["snap"]["seen"] == document["snap"]["shown"] == 1
    assert 0 < document["snap"]["begins_ms"]["p50"] <= document["snap"]["nearly_ms"]["p50"] < 500
    assert any(line.startswith("not in it: the copies") for line in told)
    with Image.open(tmp_path / "glass.png") as drawn:
        assert drawn.size[0] > 1000


def test_a_device_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AvatarError, match="virtual camera"):
        FarEnd((320, 180), "/dev/video9999")
