"""`avatar train` from a folder with a clip to networks that can be used."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest
import torch
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor, nn
from torch.nn import functional as F

from avatar import weights
from avatar.cli import train as command
from avatar.cli.main import main
from avatar.errors import ModelError
from avatar.generate import load_networks
from avatar.records import U8
from avatar.train import run as running
from avatar.train.loop import CHECKPOINT, METRICS

JUDGES = ("nsfwjs_mobilenet", "nsfwjs_mobilenet_weights", "mobileface", "mobileface_weights")


@pytest.fixture
def judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real ones if their files are here; else ones that blur."""
    try:
        for name in JUDGES:
            weights.resolve(name, offline=True)
    except ModelError:
        monkeypatch.setattr(running, "load_perceptual", Blur)
        monkeypatch.setattr(running, "load_identity", Colour)


class Blur(nn.Module):
    """Stands for the network whose features are compared."""

    def forward(self, pictures: Tensor) -> list[Tensor]:
        return [F.avg_pool2d(pictures, 8)]


class Colour(nn.Module):
    """Stands for the network that knows people."""

    def embed_windows(self, pictures: Tensor, points: Tensor) -> Tensor:
        return F.normalize(pictures.mean(dim=(2, 3)), dim=1)


@pytest.fixture
def clips(
    carphone_frames: list[U8], face_landmarker_path: Path, selfie_segmenter_path: Path, tmp_path: Path
) -> Path:
    """Half a second of a man in a car, and a file that is no video."""
    folder = tmp_path / "clips"
    folder.mkdir()
    with av.open(str(folder / "carl-1.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18"})
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = carphone_frames[0].shape[:2]
        for rgb in carphone_frames[:64:4]:
            container.mux(stream.encode(VideoFrame.from_ndarray(rgb)))
        container.mux(stream.encode(None))
    (folder / "nobody-1.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """The command with the networks of the tests, which nobody else is offered."""
    monkeypatch.setattr(command, "PRESETS", ("tiny",))
    return lambda *words: main(["train", "--preset", "tiny", *(str(word) for word in words)])


def test_a_folder_of_clips_becomes_networks_that_can_be_used(
    clips: Path, tmp_path: Path, tiny: Callable[..., int], judges: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    often = ("--checkpoint-every", 8, "--sheet-every", 8)
    assert tiny("--data", clips, "--out", out, "--samples", 8, *often) == 0
    told = capsys.readouterr().out
    assert "1 clips are of no use" in told and "1 clips to learn from" in told
    assert "nobody-1.mp4\t" in (out / running.BAD_CLIPS).read_text()
    trained = load_networks(out / "tiny.safetensors", "tiny")
    assert trained.samples == 8 and str(out / "tiny.safetensors") in told
    assert json.loads((out / running.OPTIONS).read_text())["preset"] == "tiny"
    # Again, and farther: it goes on, and tracks nothing anew.
    (clips / "carl-1.mp4").touch()
    assert tiny("--data", clips, "--out", out, "--samples", 12, *often) == 0
    assert "going on after 8 samples" in capsys.readouterr().out
    assert load_networks(out / "tiny.safetensors", "tiny").samples == 12
    assert tiny("--data", clips, "--out", out, "--samples", 12, *often) == 0
    assert "all of its 12 samples have been seen" in capsys.readouterr().out
    # Other numbers need another folder.
    assert tiny("--data", clips, "--out", out, "--samples", 12, "--batch", 2) == 1
    assert "the run began with other options" in capsys.readouterr().err
    # Another run begins with these networks and the same cache.
    fine = tmp_path / "fine"
    first = ("--from", out / "tiny.safetensors", "--cache", out / "cache")
    assert tiny("--data", clips, "--out", fine, "--samples", 4, "--rate", 1e-7, *first) == 0
    begun = load_networks(fine / "tiny.safetensors", "tiny").networks.state_dict()
    before = load_networks(out / "tiny.safetensors", "tiny").networks.state_dict()
    for name, value in before.items():
        torch.testing.assert_close(begun[name], value, rtol=0, atol=1e-3)
    assert (fine / CHECKPOINT).is_file() and not (fine / "cache").exists()


def test_a_folder_without_a_usable_clip_is_told(
    tmp_path: Path, tiny: Callable[..., int], judges: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "anna-1.mp4").write_bytes(b"no video")
    assert tiny("--data", tmp_path, "--out", tmp_path / "run", "--samples", 8) == 1
    assert "there is no clip to learn from" in capsys.readouterr().err
    assert not (tmp_path / "run" / METRICS).exists()
    assert tiny("--data", tmp_path / "nowhere", "--out", tmp_path / "run", "--samples", 8) == 1
    assert "there is no such folder" in capsys.readouterr().err
