"""Small traps that a new user fell into."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from PIL import Image

from avatar.cli.main import main
from avatar.records import U8


@pytest.fixture
def portrait(astronaut: U8, tmp_path: Path, selfie_segmenter_path: Path) -> Path:
    path = tmp_path / "me and my hat.png"
    Image.fromarray(astronaut).save(path)
    return path


def test_a_picture_with_exif_drives_or_is_refused_in_one_line(
    portrait: Path, astronaut: U8, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, exif = tmp_path / "photo.jpg", Image.Exif()
    exif[0x010E] = "a picture from a telephone"
    Image.fromarray(astronaut).save(photo, exif=exif)
    status = main(["animate", str(portrait), str(photo), "-o", str(tmp_path / "out.mp4")])
    assert status in (0, 1)
    printed = capsys.readouterr().err
    assert "Traceback" not in printed and "internal error" not in printed
    assert (tmp_path / "out.mp4").exists() == (status == 0)


def test_the_command_that_enroll_suggests_can_be_pasted(
    portrait: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = portrait.with_suffix(".avatar")
    assert main(["enroll", str(portrait), "-o", str(output)]) == 0
    first = capsys.readouterr().out
    suggested = first.splitlines()[-1].split("avatar run ")[1]
    words = subprocess.run(["sh", "-c", f"printf %s {suggested}"], capture_output=True, text=True, check=True)
    assert words.stdout == str(output)
    assert "replaced" not in first
    assert main(["enroll", str(portrait), "-o", str(output)]) == 0
    assert "(replaced)" in capsys.readouterr().out


def test_one_output_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twice = ["--output", str(tmp_path / "a.mp4"), "--output", str(tmp_path / "." / "a.mp4")]
    assert main(["run", "me.avatar", "--camera", "x.motion", *twice]) == 1
    assert "twice" in capsys.readouterr().err
