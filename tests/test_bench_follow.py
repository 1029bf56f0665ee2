"""The bench that compares videos tells what failed, and goes through them in step."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from live_fakes import face

from avatar.output import VideoWriter
from avatar.records import U8, Face, Frame
from bench import follow

Capture = pytest.CaptureFixture[str]
SIZE = (96, 64)


def write(path: Path, count: int) -> None:
    writer = VideoWriter(path, 25.0, SIZE)
    for index in range(count):
        writer(Frame(np.full((64, 96, 3), 10 * index, np.uint8), index, index * 40_000_000))
    writer.close()


class Finder:
    """Finds a face that moves with the brightness of the picture."""

    def __init__(self, faces: int = 1) -> None:
        self.faces = faces

    def __enter__(self) -> Finder:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def __call__(self, rgb: U8) -> list[Face]:
        return [face(float(rgb.mean()) / 100)] * self.faces


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(follow, "FaceFinder", Finder)
    write(tmp_path / "a.mp4", 12)
    return tmp_path


def animate(frames: int, status: int = 0) -> Callable[[Sequence[str]], int]:
    """The command, which writes so many frames."""

    def command(line: Sequence[str]) -> int:
        if frames:
            write(Path(line[line.index("-o") + 1]), frames)
        return status

    return command


def run(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, frames: int, status: int = 0
) -> tuple[int, dict[str, object]]:
    monkeypatch.setattr(follow, "avatar_command", animate(frames, status))
    code = follow.main(["--clips", str(clips), "--every", "2", "--sheet", str(clips / "sheet.png")])
    document = json.loads(
        capsys.readouterr().out.splitlines()[-1], parse_constant=lambda name: pytest.fail(name)
    )
    (row,) = document["rows"]
    return code, {**document, **row}


@pytest.mark.parametrize("status", [0, 1])
def test_videos_of_one_length_pass_also_when_the_clip_was_cut_short(
    status: int, clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    code, row = run(clips, monkeypatch, capsys, 12, status)
    assert code == 0
    assert (row["frames"], row["written"], row["status"], row["error"]) == (12, 12, status, None)
    assert isinstance(row["follow_px"], float) and isinstance(row["still_px"], float)
    assert row["follow_px"] < row["still_px"]
    assert (clips / "sheet.png").stat().st_size > 100


@pytest.mark.parametrize("written", [9, 14])
def test_another_number_of_frames_is_told_and_fails(
    written: int, clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    code, row = run(clips, monkeypatch, capsys, written)
    assert code == 1
    assert (row["frames"], row["written"], row["failed"]) == (12, written, 1)
    assert row["error"] == f"{written} frames were written for 12"


def test_a_command_that_fails_is_told_and_the_next_clip_is_measured(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    code, row = run(clips, monkeypatch, capsys, 0, 1)
    assert code == 1
    assert "exit status was 1" in str(row["error"])
    assert row["follow_px"] is None
    (clips / "0.mp4").write_bytes(b"no video")
    monkeypatch.setattr(follow, "avatar_command", animate(12))
    assert follow.main(["--clips", str(clips)]) == 1
    rows = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    assert [row["error"] is None for row in rows] == [False, True]


def test_frames_without_a_face_are_counted_not_averaged(
    clips: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    class Sees(Finder):
        """One face in the first picture only."""

        def __call__(self, rgb: U8) -> list[Face]:
            self.faces, now = 0, self.faces
            return [face(0)] * now

    monkeypatch.setattr(follow, "FaceFinder", Sees)
    code, row = run(clips, monkeypatch, capsys, 12)
    assert code == 1
    assert (row["lost"], row["error"], row["follow_px"]) == (6, "no frame could be compared", None)


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    assert follow.main(["--clips", str(tmp_path / "nowhere")]) == 1
    assert follow.main(["--clips", str(tmp_path)]) == 1
    assert capsys.readouterr().err.count("bench.follow: error: ") == 2


def test_examples_of_a_long_stream_stay_few_and_even() -> None:
    examples = follow.Examples()
    for index in range(255):
        picture = np.full((8, 8, 3), index, np.uint8)
        examples.offer(picture, picture)
        assert len(examples.kept) <= 2 * follow.EXAMPLES
    levels = [int(truth[0, 0, 0]) for truth, _ in examples.kept]
    assert levels[0] == 0 and levels[-1] > 200 and len(set(np.diff(levels))) == 1
    assert examples.strip().shape == (512, 5 * 256, 3)
