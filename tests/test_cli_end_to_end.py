"""The commands from input to output, on a real portrait and a real clip."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from skimage import data

from avatar import weights
from avatar.cli import main
from avatar.errors import ModelError
from avatar.records import U8

FRAMES = 120
"""Length of the carphone clip."""

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def clip() -> Path:
    try:
        weights.resolve("face_landmarker")
        weights.resolve("selfie_segmenter")
        return weights.resolve("carphone_clip")
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """Made once by the commands themselves: the picture, its avatar, and a motion recording."""
    folder = tmp_path_factory.mktemp("made")
    Image.fromarray(np.asarray(data.astronaut())).save(folder / "astronaut.png")
    call("enroll", folder / "astronaut.png")
    call("record-motion", clip, "-o", folder / "carphone.motion", "--seconds", 2)
    return folder


def call(*arguments: object) -> None:
    assert main.main([str(argument) for argument in arguments]) == 0


def video(path: Path) -> list[U8]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def change(one: U8, other: U8) -> float:
    """Mean absolute difference, 0..255."""
    return float(np.abs(one.astype(np.float32) - other.astype(np.float32)).mean())


def test_animate_moves_the_picture_frame_for_frame(
    folder: Path, clip: Path, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "out.mp4"
    call("animate", folder / "astronaut.avatar", clip, "-o", output, "--json")
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames"] == FRAMES
    frames = video(output)
    assert len(frames) == FRAMES
    portrait = np.asarray(data.astronaut())
    assert frames[0].shape == portrait.shape
    face = np.s_[60:240, 150:300]
    # It is still her, she moves, and the corner behind her does not.
    assert max(change(frame, portrait) for frame in frames) < 20
    assert max(change(frame[face], frames[0][face]) for frame in frames) > 3
    assert max(change(frame[:60, :60], frames[0][:60, :60]) for frame in frames) < 2


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


def test_run_straight_from_a_picture_and_a_clip(folder: Path, clip: Path, capsys: Capture) -> None:
    call("run", folder / "astronaut.png", "--camera", clip, "--output", "null", "--seconds", 1)
    told = capsys.readouterr().out
    assert "fps" in told
    assert "latency" in told


def test_demo_writes_a_video(tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "demo.mp4"
    call("demo", "--seconds", 1.5, "-o", output, "--size", "640x360")
    told = capsys.readouterr().out
    assert "fps" in told
    assert "latency" in told
    assert f"The video is {output}" in told
    assert len(video(output)) > 5
