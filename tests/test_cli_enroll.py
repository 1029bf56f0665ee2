"""`avatar enroll` with several pictures, and with a clip."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from made_clips import write_clip
from PIL import Image

from avatar.cli import main
from avatar.identity.file import load_identity
from avatar.records import U8

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, astronaut: U8, carphone_path: Path) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(astronaut).save(folder / "one.png")
    Image.fromarray(np.ascontiguousarray(astronaut[:, ::-1])).save(folder / "other.jpg")
    Image.fromarray(np.hstack([astronaut, astronaut])).save(folder / "two.png")
    Image.new("RGB", (200, 200), (90, 120, 150)).save(folder / "wall.png")
    shutil.copy(carphone_path, folder / "car.mp4")
    whole = (folder / "car.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    write_clip(folder / "cells.mp4", 4)
    return folder


def refused(capsys: Capture, *arguments: object) -> str:
    assert main.main(["enroll", *(str(argument) for argument in arguments)]) == 1
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert captured.out == "" and len(lines) == 1 and lines[0].startswith("avatar: error: ")
    return lines[0]


def test_several_pictures_are_views_of_one_avatar(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "me.avatar"
    assert main.main(["enroll", str(folder / "one.png"), str(folder / "other.jpg"), "-o", str(output)]) == 0
    assert "one, 2 views, picture 512x512" in capsys.readouterr().out
    identity = load_identity(output)
    assert len(identity.views) == 2 and identity.name == "one"


def test_the_avatar_lies_beside_the_first_picture(folder: Path, tmp_path: Path) -> None:
    for name in ("one.png", "other.jpg"):
        shutil.copy(folder / name, tmp_path / name)
    assert main.main(["enroll", str(tmp_path / "one.png"), str(tmp_path / "other.jpg")]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.avatar", "one.png", "other.jpg"]


@pytest.mark.parametrize(
    ("further", "told"),
    [("wall.png", "no face found"), ("two.png", "alone"), ("missing.png", "there is no picture")],
)
def test_the_picture_that_will_not_do_is_named(
    folder: Path, tmp_path: Path, capsys: Capture, further: str, told: str
) -> None:
    output = tmp_path / "me.avatar"
    line = refused(capsys, folder / "one.png", folder / further, "-o", output)
    assert str(folder / further) in line and told in line
    assert not output.exists()


def test_options_that_do_not_go_together(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    to = ("-o", tmp_path / "x.avatar")
    assert "--shots is for a clip" in refused(capsys, folder / "one.png", "--shots", 4, *to)
    assert "one clip alone" in refused(capsys, folder / "one.png", folder / "car.mp4", *to)
    assert "one clip alone" in refused(capsys, folder / "car.mp4", folder / "car.mp4", *to)
    assert "--face is for pictures" in refused(capsys, folder / "car.mp4", "--face", 1, *to)
    assert "33 pictures are too many" in refused(capsys, *[folder / "one.png"] * 33, *to)
    assert "there is no clip" in refused(capsys, folder / "missing.mp4", *to)
    (tmp_path / "other.avatar").hardlink_to(folder / "other.jpg")
    pictures = folder / "one.png", folder / "other.jpg"
    assert "would be overwritten" in refused(capsys, *pictures, "-o", tmp_path / "other.avatar")


def test_a_clip_becomes_an_avatar(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "car.avatar"
    assert main.main(["enroll", str(folder / "car.mp4"), "--shots", "3", "-o", str(output)]) == 0
    told = capsys.readouterr().out
    identity = load_identity(output)
    assert f"car, {len(identity.views)} views, picture 176x144" in told
    assert "The picture is the clip's frame " in told
    assert 2 <= len(identity.views) <= 3


def test_what_can_be_read_of_a_cut_clip_is_used(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "cut.avatar"
    arguments = ["enroll", str(folder / "cut.mp4"), "--shots", "2", "-o", str(output)]
    if main.main(arguments) == 0:
        assert "What could be read was used" in capsys.readouterr().out
        assert load_identity(output).views
    else:  # the list of frames stood at its end
        assert "cut short" in capsys.readouterr().err


def test_a_clip_without_a_face_is_named(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    line = refused(capsys, folder / "cells.mp4", "-o", tmp_path / "x.avatar")
    assert str(folder / "cells.mp4") in line and "no frame of the clip" in line


def test_an_avatar_is_not_enrolled_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "me.avatar"
    assert main.main(["enroll", str(made)]) == 1
    assert f"{made} is an avatar already: avatar run {made}" in capsys.readouterr().err
