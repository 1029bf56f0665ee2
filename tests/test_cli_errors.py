"""Wrong input as people give it: always one line that says what to do, and exit status 1."""

from __future__ import annotations

import json
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from skimage import data

from avatar.cli import main
from avatar.cli.portrait import which_face
from avatar.errors import ModelError
from avatar.records import U8

Capture = pytest.CaptureFixture[str]


pytestmark = pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, astronaut: U8) -> Path:
    """Pictures and clips, good and bad."""
    folder = tmp_path_factory.mktemp("inputs")
    Image.fromarray(astronaut).save(folder / "one.png")
    Image.fromarray(np.hstack([astronaut, astronaut[:, ::-1]])).save(folder / "two.png")
    coffee = data.coffee()  # type: ignore[no-untyped-call]
    Image.fromarray(coffee).save(folder / "coffee.jpg")
    Image.new("1", (9000, 9000)).save(folder / "huge.png")
    (folder / "text.jpg").write_text("not a picture\n")
    (folder / "cut.png").write_bytes((folder / "one.png").read_bytes()[:20_000])
    (folder / "text.avatar").write_text("not an avatar\n")
    save_file({"weight": np.zeros(3, np.float32)}, folder / "foreign.avatar")
    (folder / "text.mp4").write_text("not a video\n")
    (folder / "text.motion").write_text("not a recording\n")
    return folder


def error_of(capsys: Capture, *arguments: object) -> str:
    """The error line of a call that fails."""
    assert main.main([str(argument) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    # What was chosen before is no error.
    lines = [line for line in captured.err.splitlines() if not line.startswith("avatar: runtime: ")]
    assert len(lines) == 1, captured.err
    assert lines[0].startswith("avatar: error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        ("missing.jpg", "there is no picture"),
        (".", "is a folder"),
        ("text.jpg", "not a picture"),
        ("cut.png", "cannot be read"),
        ("huge.png", "9000x9000"),
        ("coffee.jpg", "no face"),
    ],
)
def test_enroll_with_a_picture_that_will_not_do(
    picture: str, told: str, folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    output = tmp_path / "x.avatar"
    line = error_of(capsys, "enroll", folder / picture, "-o", output)
    assert told in line
    assert str(folder / picture) in line
    assert not output.exists()


def test_enroll_asks_which_of_two_faces(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    output = tmp_path / "x.avatar"
    line = error_of(capsys, "enroll", folder / "two.png", "-o", output)
    assert "2 faces" in line
    assert "--face N, counted from the left: 1 at x " in line
    assert not output.exists()
    assert "there is no face 3" in error_of(capsys, "enroll", folder / "two.png", "--face", 3, "-o", output)
    crops = []
    for number in ("1", "2"):
        assert main.main(["enroll", str(folder / "two.png"), "--face", number, "-o", str(output)]) == 0
        from avatar.identity.file import load_identity

        crops.append(load_identity(output).crop)
    assert crops[0].left + crops[0].side / 2 < 512 < crops[1].left + crops[1].side / 2


def test_faces_are_numbered_as_they_were_given() -> None:
    # A wide face whose middle is on the right of a narrow one's may begin on the left of it.
    told = which_face([(30, 30, 40, 50), (20, 10, 180, 190)])
    assert told.endswith("1 at x 30 y 30 (40x50), 2 at x 20 y 10 (180x190)")


def test_faces_of_a_big_picture_are_told_in_its_own_pixels(
    folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    with Image.open(folder / "two.png") as small:
        small.resize((5120, 2560)).save(tmp_path / "big.jpg")
    places = []
    for picture in (folder / "two.png", tmp_path / "big.jpg"):
        line = error_of(capsys, "enroll", picture, "-o", tmp_path / "x.avatar")
        places.append([int(number) for number in re.findall(r" (?:x|y) (\d+)", line)])
    assert len(places[1]) == 4
    assert [side / 5 for side in places[1]] == pytest.approx(places[0], abs=8)


def test_a_tracker_that_fails_leaves_the_output_as_it_was(
    folder: Path, carphone_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    def broken(kind: str) -> None:
        raise ModelError("no tracker today")

    monkeypatch.setattr("avatar.track.FaceTracker", broken)
    opened: list[str] = []
    monkeypatch.setattr("avatar.output.open_output", lambda place, **more: opened.append(place))
    output = tmp_path / "out.mp4"
    for command in (["run", folder / "one.png", "--output", output], ["demo", "-o", output]):
        main.main([str(part) for part in (*command, "--camera", carphone_path)])
        assert "no tracker today" in capsys.readouterr().err
    assert opened == []


def test_enroll_output(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    picture = folder / "one.png"
    assert "should end in .avatar" in error_of(capsys, "enroll", picture, "-o", tmp_path / "x.png")
    assert "does not exist" in error_of(capsys, "enroll", picture, "-o", tmp_path / "no" / "x.avatar")


@pytest.mark.parametrize(
    ("portrait", "told"),
    [
        ("missing.avatar", "there is no picture or .avatar file"),
        ("text.avatar", "text.avatar"),
        ("foreign.avatar", "not an .avatar file"),
        ("coffee.jpg", "no face"),
        ("two.png", "--face N"),
    ],
)
def test_run_with_a_portrait_that_will_not_do(
    portrait: str, told: str, folder: Path, capsys: Capture
) -> None:
    assert told in error_of(capsys, "run", folder / portrait, "--output", "null", "--camera", "97")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--camera", "97"], "97"),
        (["--camera", "No Such Camera"], "No Such Camera"),
        (["--camera", "nowhere.mp4"], "nowhere.mp4"),
        (["--camera", "{folder}/text.mp4"], "text.mp4"),
        (["--camera", "{folder}/text.motion"], "text.motion"),
        (["--camera", "97", "--output", "{folder}/no/out.mp4"], "does not exist"),
        (["--camera", "{folder}/text.mp4", "--output", "{folder}/text.mp4"], "also an input"),
        (["--camera", "{folder}/one.png", "--output", "out.gif"], "out.gif"),
    ],
)
def test_run_with_a_camera_or_output_that_will_not_do(
    options: list[str], told: str, folder: Path, capsys: Capture
) -> None:
    filled = [option.format(folder=folder) for option in options]
    places = [] if "--output" in filled else ["--output", "null"]
    assert told in error_of(capsys, "run", folder / "one.png", *filled, *places)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the device is made differently elsewhere")
def test_run_without_a_virtual_camera_says_how_to_make_one(folder: Path, capsys: Capture) -> None:
    if any(Path("/sys/class/video4linux").glob("*")):
        pytest.skip("this computer has video devices")
    line = error_of(capsys, "run", folder / "one.png", "--camera", folder / "one.png")
    assert "to make one: avatar setup-camera" in line


@pytest.mark.parametrize(
    ("driving", "output", "told"),
    [
        ("missing.mp4", "out.mp4", "there is no driving clip"),
        ("text.mp4", "out.mp4", "text.mp4"),
        ("text.motion", "out.mp4", "text.motion"),
        ("text.mp4", "no/out.mp4", "does not exist"),
        ("text.mp4", "text.mp4", "also an input"),
        ("text.mp4", "one.png", "also an input"),
    ],
)
def test_animate_with_files_that_will_not_do(
    driving: str, output: str, told: str, folder: Path, capsys: Capture
) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert told in error_of(capsys, "animate", folder / "one.png", folder / driving, "-o", folder / output)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_record_motion_output(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    clip = folder / "text.mp4"
    assert "should end in .motion" in error_of(capsys, "record-motion", clip, "-o", tmp_path / "x.npz")
    assert "text.mp4" in error_of(capsys, "record-motion", clip, "-o", tmp_path / "x.motion")


def test_missing_models_are_told_with_the_way_to_get_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AVATAR_CACHE", str(tmp_path))
    monkeypatch.setenv("AVATAR_OFFLINE", "1")
    line = error_of(capsys, "enroll", folder / "one.png", "-o", tmp_path / "x.avatar")
    assert "avatar fetch-models" in line


def test_doctor_marks_what_is_missing_and_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("AVATAR_CACHE", str(tmp_path))
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2"])
    assert main.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "[ok]      numpy: " in text
    assert "[missing] face_landmarker: " in text
    assert "-> avatar fetch-models" in text
    assert "virtual camera" in text
    assert list(tmp_path.iterdir()) == []

    assert main.main(["doctor", "--json"]) == 0
    findings = json.loads(capsys.readouterr().out)
    states = {finding["name"]: finding["state"] for finding in findings}
    assert states["face_landmarker"] == "missing"
    assert set(states.values()) <= {"ok", "missing", "wrong", "info"}


def test_cameras_as_json(capsys: Capture) -> None:
    assert main.main(["cameras", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
