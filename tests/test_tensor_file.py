"""Files of numbers: whole or not at all, no link followed, and one line for what is not one of ours."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save

from avatar.errors import AvatarError
from avatar.tools.tensor_file import Header, TensorFormat, Tensors, replace_file


class ThingError(AvatarError):
    pass


THING = TensorFormat(name="thing", version=3, called="a thing", bytes_max=10_000, error=ThingError)
NUMBERS: dict[str, NDArray[Any]] = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.zeros(0, np.uint8),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.thing"
    THING.write(path, {"colour": "grün"}, NUMBERS)
    return path


def both(header: Header, tensors: Tensors) -> tuple[Header, Tensors]:
    return header, tensors


def refusal(path: str | Path) -> str:
    with pytest.raises(ThingError) as caught:
        THING.read(path, NUMBERS, both)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_there_and_back(path: Path) -> None:
    header, tensors = THING.read(str(path), NUMBERS, both)
    assert header == {"format": "thing", "version": "3", "colour": "grün"}
    for name, array in NUMBERS.items():
        assert tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(tensors[name], array)


def test_arrays_that_lie_otherwise_in_memory_are_written_right(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.float32).reshape(3, 2).T
    THING.write(tmp_path / "x", {}, {"a": turned, "b": NUMBERS["b"]})
    np.testing.assert_array_equal(THING.read(tmp_path / "x", NUMBERS, both)[1]["a"], turned)


@pytest.mark.parametrize("version", ["1", "2", "003"])
def test_older_versions_are_read(path: Path, version: str) -> None:
    path.write_bytes(save(NUMBERS, metadata={"format": "thing", "version": version}))
    assert THING.read(path, NUMBERS, both)


@pytest.mark.parametrize(
    ("version", "told"),
    [("4", "its format is 4, this one reads up to 3"), ("9" * 5000, "version cannot be read"),
     ("", "version cannot be read"), ("-1", "version cannot be read"), ("²", "version cannot be read")],
)  # fmt: skip
def test_other_versions_are_refused(path: Path, version: str, told: str) -> None:
    path.write_bytes(save(NUMBERS, metadata={"format": "thing", "version": version}))
    assert told in refusal(path)


def test_foreign_files_are_refused(path: Path) -> None:
    path.write_bytes(save(NUMBERS, metadata={"format": "nothing", "version": "1"}))
    assert refusal(path) == f"{path}: is not a thing"
    path.write_bytes(save(NUMBERS))
    assert refusal(path) == f"{path}: is not a thing"
    path.write_bytes(b"hello")
    assert f"{path}: is damaged or not a thing" in refusal(path)


def test_other_contents_are_refused(path: Path) -> None:
    head = {"format": "thing", "version": "3"}
    path.write_bytes(save({"a": NUMBERS["a"]}, metadata=head))
    assert "it lacks b" in refusal(path)
    path.write_bytes(save({**NUMBERS, "secret": NUMBERS["a"]}, metadata=head))
    assert "it also holds secret" in refusal(path)


def test_what_makes_no_sense_to_the_reader_is_refused(path: Path) -> None:
    def parse(header: Header, tensors: Tensors) -> None:
        raise ValueError("a is\nno number")

    with pytest.raises(ThingError, match="is damaged or not a thing: a is no number"):
        THING.read(path, NUMBERS, parse)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "missing")
    assert "folder" in refusal(tmp_path)
    refusal("zero\0byte")
    (tmp_path / "empty").touch()
    refusal(tmp_path / "empty")
    with (tmp_path / "long").open("wb") as file:
        file.truncate(THING.bytes_max + 1)
    assert "too large" in refusal(tmp_path / "long")


# Writing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("place", ["no/such/folder/x", "y" * 300, "zero\0byte", "folder", "", "/"])
def test_places_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ThingError, match="cannot be written"):
        THING.write(place, {}, NUMBERS)
    assert names(tmp_path) == ["folder"]


FULL = """
import resource, signal, sys
from avatar.tools.tensor_file import replace_file
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    replace_file(sys.argv[1], bytes(100_000))
except OSError as error:
    sys.exit(0 if "too large" in str(error) else 2)
sys.exit(1)
"""


def test_a_full_disk_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    """In a process of its own: the limit would hold for the tests' own log, too."""
    pytest.importorskip("resource", reason="Windows has no limit on the size of files")
    (tmp_path / "x").write_bytes(b"old")
    assert subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "x")], check=False).returncode == 0
    assert (tmp_path / "x").read_bytes() == b"old"
    assert names(tmp_path) == ["x"]


def test_a_reader_sees_the_old_or_the_new_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"old")
    with (tmp_path / "x").open("rb") as reader:
        replace_file(tmp_path / "x", b"new")
        assert reader.read() == b"old"
    assert (tmp_path / "x").read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


@pytest.mark.skipif(sys.platform == "win32", reason="links take a right of their own there")
def test_no_link_laid_in_advance_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    monkeypatch.setattr("secrets.token_hex", lambda size: "foreseen")
    (tmp_path / ".foreseen.part").symlink_to(tmp_path / "precious")
    with pytest.raises(FileExistsError):
        replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert names(tmp_path) == [".foreseen.part", "precious"]


def test_parts_have_names_that_cannot_be_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []

    def stop(part: Path, path: Path) -> None:
        parts.append(Path(part).name)
        raise OSError("stopped")

    monkeypatch.setattr("os.replace", stop)
    for _ in range(3):
        with pytest.raises(OSError, match="stopped"):
            replace_file(tmp_path / "x", b"new")
    assert len(set(parts)) == 3
    assert min(map(len, parts)) > 16
    assert names(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such rights")
def test_rights_are_kept_or_as_usual(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    replace_file(tmp_path / "x", b"new")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "usual").stat().st_mode
    (tmp_path / "x").chmod(0o600)
    replace_file(tmp_path / "x", b"newer")
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) == 0o600
