"""The commands from input to output, on a real portrait and a real clip."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import avatar
from avatar.cli import live, main
from avatar.identity.file import load_identity, save_identity
from avatar.output import Null
from avatar.records import U8
from avatar.tools.stats import StageTimes

FRAMES = 120
"""Length of the carphone clip."""

Capture = pytest.CaptureFixture[str]


pytestmark = pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path")


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: U8,
    carphone_path: Path,
    face_landmarker_path: Path,
    selfie_segmenter_path: Path,
) -> Path:
    """Made once by the commands themselves: the picture, its avatar, and a motion recording."""
    folder = tmp_path_factory.mktemp("made")
    Image.fromarray(astronaut).save(folder / "astronaut.png")
    call("enroll", folder / "astronaut.png")
    call("record-motion", carphone_path, "-o", folder / "carphone.motion", "--seconds", 2)
    return folder


def call(*arguments: object) -> None:
    assert main.main([str(argument) for argument in arguments]) == 0


def video(path: Path) -> list[U8]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


def change(one: U8, other: U8) -> float:
    """Mean absolute difference, 0..255."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean())


def test_animate_moves_the_picture_frame_for_frame(
    folder: Path, carphone_path: Path, astronaut: U8, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "out.mp4"
    call("animate", folder / "astronaut.avatar", carphone_path, "-o", output, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == FRAMES
    frames = video(output)
    assert len(frames) == FRAMES
    assert frames[0].shape == astronaut.shape
    face = np.s_[60:240, 150:300]
    wall = np.s_[10:100, 350:420]
    # It is still her, she moves, and the wall behind her does not.
    assert max(change(frame, astronaut) for frame in frames) < 20
    assert max(change(frame[face], frames[0][face]) for frame in frames) > 3
    assert max(change(frame[wall], frames[0][wall]) for frame in frames) < 2


def test_run_from_a_recording_into_a_file(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "out.mp4"
    driving = ["--camera", folder / "carphone.motion", "--output", output, "--size", "640x360"]
    call("run", folder / "astronaut.avatar", *driving, "--seconds", 1.5, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] > 5
    assert summary["age_ms"]["p50"] > 0
    frames = video(output)
    assert len(frames) > 5
    assert frames[0].shape == (360, 640, 3)


def test_run_straight_from_a_picture_and_a_clip(folder: Path, carphone_path: Path, capsys: Capture) -> None:
    call("run", folder / "astronaut.png", "--camera", carphone_path, "--output", "null", "--seconds", 1)
    told = capsys.readouterr().out
    assert "fps" in told
    assert "latency" in told


def test_run_an_avatar_of_the_gallery(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AVATAR_DATA", str(tmp_path))
    options = ["--camera", str(folder / "astronaut.png"), "--output", "null", "--seconds", "0.5", "--json"]
    assert main.main(["run", *options]) == 1
    assert "which portrait?" in capsys.readouterr().err
    (tmp_path / "avatars").mkdir()
    shutil.copy(folder / "astronaut.avatar", tmp_path / "avatars" / "a1.avatar")
    for name in ([], ["Astronaut"]):
        call("run", *name, *options)
        assert json.loads(capsys.readouterr().out)["frames"] > 0
    for wrong, words in (
        ("nobody", "there is no avatar of the name nobody"),
        ("no.png", "there is no picture"),
    ):
        assert main.main(["run", wrong, *options]) == 1
        assert words in capsys.readouterr().err
    identity = load_identity(folder / "astronaut.avatar")
    save_identity(replace(identity, name="Dr. E. Collins"), tmp_path / "avatars" / "a1.avatar")
    call("run", "dr. e. collins", *options)


def test_a_damaged_background_is_told_and_the_run_goes_on(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AVATAR_DATA", str(tmp_path))
    (tmp_path / "room.png").write_bytes(b"half a picture")
    (tmp_path / "settings.json").write_text('{"background": "room"}')
    options = ["--camera", folder / "astronaut.png", "--output", "null", "--seconds", "0.5"]
    call("run", folder / "astronaut.avatar", *options)
    told = capsys.readouterr().err
    assert "room.png" in told
    assert "the portrait keeps its own background" in told


def test_demo_writes_a_video(tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "demo.mp4"
    call("demo", "--seconds", 1.5, "-o", output, "--size", "640x360")
    told = capsys.readouterr().out
    assert "fps" in told
    assert "latency" in told
    assert f"The video is {output}" in told
    assert len(video(output)) > 5


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one program")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_a_kill_and_a_closed_terminal_end_a_run_in_order(
    folder: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "out.mp4"
    options = ["--camera", folder / "astronaut.png", "--output", output, "--size", "320x180", "--json"]
    command = [sys.executable, "-m", "avatar", "run", str(folder / "astronaut.avatar"), *map(str, options)]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever runs the tests under nohup would have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    with child:
        # The beginning of the file is written as soon as the run has begun.
        while not (output.exists() and output.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        child.send_signal(getattr(signal, name))
        try:
            out, err = child.communicate(timeout=60)
        finally:
            child.kill()
    assert child.returncode == 130
    assert "Traceback" not in err
    assert json.loads(out)["frames"] > 0
    assert len(video(output)) > 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_n_and_q_in_the_terminal_of_a_run(folder: Path) -> None:
    options = ["--camera", folder / "astronaut.png", "--output", "null", "--size", "320x180", "--json"]
    command = [sys.executable, "-m", "avatar", "run", str(folder / "astronaut.avatar"), *map(str, options)]
    master, slave = os.openpty()
    # Typed ahead: the terminal keeps it until it is asked.
    os.write(master, b"n\nq\n")
    child = subprocess.run(command, stdin=slave, capture_output=True, text=True, timeout=60, check=False)
    os.close(slave)
    os.close(master)
    assert child.returncode == 0, child.stderr
    assert "q + Enter: end." in child.stderr
    assert json.loads(child.stdout)["seconds"] < 30


def test_an_output_that_hangs_is_not_closed() -> None:
    closed: list[str] = []

    class Named(Null):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def close(self) -> None:
            closed.append(self.name)

    hung = Named("hung")
    outputs = live.Outputs()
    for output in (Named("one"), hung, Named("two")):
        outputs.add(output)
    outputs.left_behind.append(hung)
    outputs.close()
    assert sorted(closed) == ["one", "two"]


class Closed(Null):
    """An output during whose closing signals come."""

    def __init__(self, *signals: str) -> None:
        super().__init__()
        self.signals, self.done = signals, False

    def close(self) -> None:
        for name in self.signals:
            signal.raise_signal(getattr(signal, name))
        self.done = True


def go(output: Closed, presses: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that gets so many Ctrl-C."""

    def run_live(*_: object, stop: threading.Event, **__: object) -> None:
        for _press in range(presses):
            signal.raise_signal(signal.SIGINT)
        assert stop.is_set() == (presses > 0)

    monkeypatch.setattr("avatar.live.run_live", run_live)
    outputs, stop = live.Outputs(), threading.Event()
    outputs.add(output)
    live.go(
        Null(),  # type: ignore[arg-type]  # nobody asks it
        None,
        Null(),  # type: ignore[arg-type]
        Null(),  # type: ignore[arg-type]
        outputs,
        times=StageTimes(),
        stop=stop,
        fps=30.0,
        seconds=None,
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGHUP")
def test_signals_that_come_while_an_output_closes_do_not_leave_it_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    output = Closed("SIGTERM", "SIGHUP", "SIGTERM", "SIGINT")
    go(output, 1, monkeypatch)
    assert output.done
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_ctrl_c_interrupts_a_run_and_closes_what_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Closed()
    with pytest.raises(KeyboardInterrupt):
        go(output, 2, monkeypatch)
    assert output.done


def test_whoever_insists_interrupts_a_closing_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    output = Closed("SIGINT", "SIGINT")
    with pytest.raises(KeyboardInterrupt):
        go(output, 1, monkeypatch)
    assert not output.done


def test_the_example_of_the_package_runs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines in the docstring of `avatar`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes((folder / "astronaut.png").read_bytes())
    assert avatar.__doc__ is not None
    lines = [line.strip() for line in avatar.__doc__.splitlines() if line.startswith("    ")]
    exec("\n".join(lines), {"avatar": avatar})
    assert avatar.load_identity("me.avatar").name == "me"
