"""Motion recordings: what is written comes back, and what is damaged is refused in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save

from avatar.capture.motion_file import FORMAT, read_motion, write_motion
from avatar.errors import MotionFileError
from avatar.records import Face

Arrays = dict[str, NDArray[Any]]


def make_face(seed: int, frame_size: tuple[int, int] = (640, 480)) -> Face:
    random = np.random.default_rng(seed)
    width, height = frame_size
    return Face(
        (random.random((478, 3)) * (width, height, 200) - (0, 0, 100)).astype(np.float32),
        random.random(52).astype(np.float32),
        (random.random((4, 4)) * 100 - 50).astype(np.float32),
        frame_size,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.motion"


@pytest.fixture
def written(path: Path) -> Path:
    write_motion(path, [make_face(0), None, make_face(1), make_face(2)], 30)
    return path


def test_what_is_written_comes_back(path: Path) -> None:
    faces = [make_face(0), None, make_face(1)]
    write_motion(path, faces, 24000 / 1001)
    recording = read_motion(path)
    assert recording.fps == 24000 / 1001
    assert recording.frame_size == (640, 480)
    assert [face is None for face in recording.faces] == [False, True, False]
    for before, after in zip(faces, recording.faces, strict=True):
        if before is None or after is None:
            continue
        assert np.abs(before.landmarks - after.landmarks).max() < 0.011  # half a step of 640 px
        assert np.abs(before.blendshapes - after.blendshapes).max() < 0.0005
        assert np.array_equal(before.pose, after.pose)
        assert after.landmarks.dtype == after.blendshapes.dtype == after.pose.dtype == np.float32
        assert after.frame_size == before.frame_size


def test_twelve_seconds_are_small(path: Path) -> None:
    write_motion(path, [make_face(i) for i in range(360)], 30)
    assert path.stat().st_size < 1_150_000


def test_numbers_only(written: Path) -> None:
    # 478 landmarks, 52 scores, a pose and a flag: there is no room for a picture
    assert {name: array.shape[1:] for name, array in load(written.read_bytes()).items()} == {
        "landmarks": (478, 3),
        "blendshapes": (52,),
        "pose": (4, 4),
        "seen": (),
    }


def test_a_clip_without_a_face_is_refused(path: Path) -> None:
    with pytest.raises(MotionFileError, match="no face was seen in any of 3 frames"):
        write_motion(path, [None] * 3, 30)
    assert not path.exists()


def test_faces_of_two_frame_sizes_are_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="one frame size"):
        write_motion(path, [make_face(0), make_face(1, (320, 240))], 30)


def test_not_a_number_is_not_written(path: Path) -> None:
    face = make_face(0)
    face.landmarks[5, 1] = np.nan
    with pytest.raises(ValueError, match="frame 1"):
        write_motion(path, [None, face], 30)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MotionFileError, match="cannot be written: No such file"):
        write_motion(tmp_path / "no" / "x.motion", [make_face(0)], 30)


def refused(path: Path, match: str) -> None:
    with pytest.raises(MotionFileError, match=match) as caught:
        read_motion(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"RIFF....AVI LIST", b"\xff" * 64, b"\0" * 64])
def test_other_files_are_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    refused(path, "is damaged or not a motion recording")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    refused(tmp_path / "x.motion", "there is no such file")
    refused(tmp_path, "is a folder or a device")


@pytest.mark.parametrize("keep", [0.001, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(written: Path, keep: float) -> None:
    data = written.read_bytes()
    written.write_bytes(data[: int(len(data) * keep)])
    refused(written, "is damaged")


def test_another_safetensors_file_is_refused(path: Path) -> None:
    path.write_bytes(save({"weight": np.zeros(3, np.float32)}, metadata={"format": "pt"}))
    refused(path, "is not a motion recording")


def test_a_huge_file_is_not_even_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(FORMAT.bytes_max + 1)  # sparse: takes no room
    refused(path, "too large")


def header_of(path: Path) -> dict[str, str]:
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]
    return header


def change(path: Path, edit: Callable[[Arrays, dict[str, str]], object]) -> None:
    arrays, header = load(path.read_bytes()), header_of(path)
    edit(arrays, header)
    path.write_bytes(save(arrays, metadata=header))


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (
            lambda a, h: h.update(version="2"),
            "newer version of this program: its format is 2, this one reads up to 1",
        ),
        (lambda a, h: h.update(version="new"), "its version cannot be read"),
        (lambda a, h: h.update(version="9" * 5000), "its version cannot be read"),
        (lambda a, h: h.update(fps="nan"), "frame rate of nan"),
        (lambda a, h: h.update(fps="0"), "frame rate of 0"),
        (lambda a, h: h.update(frame_size="640"), "header of the recording is damaged"),
        (lambda a, h: h.update(frame_size="0x480"), "frame size of 0x480"),
        (lambda a, h: h.pop("unit"), "header of the recording is damaged"),
        (lambda a, h: h.update(unit="nan"), "far outside"),
        (lambda a, h: h.update(unit="1.0"), "far outside"),
        (lambda a, h: a.pop("pose"), "lacks pose"),
        (lambda a, h: a.update(video=np.zeros(3, np.uint8)), "also holds video"),
        (lambda a, h: a.update(landmarks=a["landmarks"][:, :468]), r"landmarks is int16\(4, 468, 3\)"),
        (lambda a, h: a.update(pose=a["pose"][:3]), "pose is float32"),
        (lambda a, h: a.update(landmarks=a["landmarks"].astype(np.float32)), "landmarks is float32"),
        (lambda a, h: a.update(seen=a["seen"] * 7), "seen holds"),
        (lambda a, h: a.update(seen=a["seen"][:0]), "has 0 frames"),
        (lambda a, h: a["blendshapes"].__setitem__((1, 1), np.nan), "blendshapes"),
        (lambda a, h: a["blendshapes"].__setitem__((1, 1), 2), "blendshapes"),
        (lambda a, h: a["pose"].__setitem__((1, 1, 1), np.nan), "pose"),
        (lambda a, h: a["pose"].__setitem__((1, 1, 1), np.inf), "pose"),
    ],
)
def test_what_no_tracker_gives_is_refused(
    written: Path, edit: Callable[[Arrays, dict[str, str]], object], match: str
) -> None:
    change(written, edit)
    refused(written, match)


def test_the_editing_of_these_tests_alone_is_harmless(written: Path) -> None:
    change(written, lambda arrays, header: None)
    assert len(read_motion(written).faces) == 4


def test_number_types_that_numpy_lacks_are_refused(written: Path) -> None:
    data = written.read_bytes()
    assert data.count(b'"dtype":"F16"') == 1
    written.write_bytes(data.replace(b'"dtype":"F16"', b'"dtype":"BF16"').replace(b" ", b"", 1))
    header = struct.unpack("<Q", written.read_bytes()[:8])[0]
    assert json.loads(written.read_bytes()[8 : 8 + header])["blendshapes"]["dtype"] == "BF16"
    refused(written, "is damaged or not a motion recording")


def test_a_recording_that_cannot_be_written_leaves_the_older_one(
    written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = written.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(MotionFileError, match="cannot be written: No space left on device"):
        write_motion(written, [make_face(5)], 30)
    assert written.read_bytes() == before
    assert [path.name for path in written.parent.iterdir()] == [written.name]
