"""`avatar train finetune` and `avatar enroll --finetune`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_caches import drawn_view, talking
from made_people import made_identity
from made_windows import made_networks
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from avatar.cli import finetune as command
from avatar.cli.main import main
from avatar.generate import Trained, load_networks, networks_of, save_networks
from avatar.identity.file import load_identity, save_identity
from avatar.records import U8
from avatar.train import finetune as tuning
from avatar.train import pretrained


def colour(pictures: Tensor, points: Tensor) -> Tensor:
    return F.normalize(pictures.mean(dim=(2, 3)), dim=1)


@pytest.fixture(autouse=True)
def judges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ones that blur: nothing is fetched."""
    monkeypatch.setattr(pretrained, "load_perceptual", lambda: lambda x: [F.avg_pool2d(x, 8)])
    monkeypatch.setattr(pretrained, "load_identity", lambda: SimpleNamespace(embed_windows=colour))


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks of the tests, which nobody else is offered."""
    monkeypatch.setattr(command, "PRESETS", ("tiny",))
    file = tmp_path / "tiny.safetensors"
    save_networks(file, "tiny", made_networks("tiny"), 10)
    return file


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    views = tuple(drawn_view(face, 256, seed=3) for face in talking(2, seed=1))
    plate = np.full((256, 256, 3), 120, np.uint8)
    file = tmp_path / "me.avatar"
    save_identity(replace(made_identity(), views=views, plate=plate, neutral=views[0].landmarks), file)
    return file


@pytest.fixture
def finetune(weights: Path) -> Callable[..., int]:
    words = ["train", "finetune", "--preset", "tiny", "--weights", str(weights), "--steps", "2"]
    return lambda *more: main([*words, *(str(word) for word in more)])


def test_an_avatar_is_adapted_in_its_own_file(
    stored: Path, weights: Path, finetune: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert finetune(stored) == 0
    told = capsys.readouterr().out
    assert "in 2 steps" in told and f"avatar run {stored}" in told
    trained = load_networks(weights, "tiny")
    assert networks_of(load_identity(stored), trained) is not trained.networks


def test_with_another_name_the_first_file_stays(
    stored: Path, finetune: Callable[..., int], tmp_path: Path
) -> None:
    before = stored.read_bytes()
    assert finetune(stored, "-o", tmp_path / "better.avatar") == 0
    assert stored.read_bytes() == before
    assert load_identity(tmp_path / "better.avatar").conditioning is not None


def test_what_cannot_be_done_is_told_before_the_work(
    stored: Path, finetune: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, reason in (
        ((tmp_path / "none.avatar",), "there is no .avatar file"),
        ((stored, "-o", tmp_path / "x.png"), "should end in .avatar"),
        ((stored, "-o", tmp_path / "nowhere" / "x.avatar"), "does not exist"),
        ((stored, "--critics", tmp_path / "none"), "has no critics"),
    ):
        assert finetune(*words) == 1
        assert reason in capsys.readouterr().err


def test_without_the_subcommand_folders_are_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["train", "--preset", "live"])
    assert ended.value.code == 2
    assert "--data, --out" in capsys.readouterr().err


def test_a_picture_is_enrolled_and_adapted(
    astronaut: U8,
    face_landmarker_path: Path,
    selfie_segmenter_path: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def tiny(preset: str, path: Path | None = None) -> Trained:
        assert (preset, path) == ("live", None)
        return load_networks(weights, "tiny")

    monkeypatch.setattr("avatar.generate.open_networks", tiny)
    monkeypatch.setattr(tuning, "STEPS", 2)
    photo, output = tmp_path / "photo.png", tmp_path / "photo.avatar"
    Image.fromarray(astronaut).save(photo)
    assert main(["enroll", str(photo), "--finetune"]) == 0
    assert "adapted to photo in 2 steps" in capsys.readouterr().out
    conditioning = load_identity(output).conditioning
    assert conditioning is not None and "generator.head.weight" in conditioning.tensors
