"""The .avatar file: bit-exact there and back, and one clear line for anything that is not one."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_people import made_identity
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from avatar.errors import IdentityFileError
from avatar.identity import file as identity_file
from avatar.identity.file import NAME_MAX, load_identity, save_identity
from avatar.records import Crop, Identity

Tensors = dict[str, NDArray[Any]]
ARRAYS = ("picture", "texture", "alpha", "plate", "landmarks", "neutral", "blendshapes", "pose")


@pytest.fixture(scope="module")
def identity() -> Identity:
    return made_identity({"jawOpen": 0.4}, turn=(0.1, 0.2, 0))


@pytest.fixture
def stored(identity: Identity, tmp_path: Path) -> Path:
    path = tmp_path / "someone.avatar"
    save_identity(identity, path)
    return path


def taken_apart(path: Path) -> tuple[dict[str, str], Tensors]:
    with safe_open(path, framework="np") as file:
        return dict(file.metadata()), {key: file.get_tensor(key) for key in file.keys()}


def changed(
    path: Path,
    header: Mapping[str, str | None] | None = None,
    tensors: Mapping[str, NDArray[Any] | None] | None = None,
) -> Path:
    """Write `path` again with some of its parts exchanged; None leaves one out."""
    old, arrays = taken_apart(path)
    whole = {key: value for key, value in {**old, **(header or {})}.items() if value is not None}
    parts = {key: value for key, value in {**arrays, **(tensors or {})}.items() if value is not None}
    path.write_bytes(save(parts, metadata=whole))
    return path


def refusal(path: str | Path) -> str:
    """The message with which a file is refused."""
    with pytest.raises(IdentityFileError) as caught:
        load_identity(path)
    message = str(caught.value)
    assert "\n" not in message and 10 < len(message) < 500
    assert os.path.basename(path) in message
    return message


def assert_same(one: Identity, other: Identity) -> None:
    assert (one.name, one.crop) == (other.name, other.crop)
    for field in ARRAYS:
        ours, theirs = getattr(one, field), getattr(other, field)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


# There and back


def test_an_identity_comes_back_bit_by_bit(identity: Identity, stored: Path) -> None:
    assert_same(load_identity(stored), identity)
    assert_same(load_identity(str(stored)), identity)


def test_the_enrolled_astronaut_comes_back_bit_by_bit(astronaut_identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "astronaut.avatar"
    save_identity(astronaut_identity, path)
    assert_same(load_identity(path), astronaut_identity)


@pytest.mark.parametrize("name", ["", "Zoë 😀", 'a "quoted"\nname', "{}"])
def test_any_name_comes_back(identity: Identity, tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.avatar"
    save_identity(replace(identity, name=name, crop=Crop(-31, -7, 300)), path)
    loaded = load_identity(path)
    assert (loaded.name, loaded.crop) == (name, Crop(-31, -7, 300))


def test_names_that_are_too_long_or_no_text_are_mended(identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "x.avatar"
    save_identity(replace(identity, name="x" * 1000), path)
    assert load_identity(path).name == "x" * NAME_MAX
    save_identity(replace(identity, name="caf\udce9"), path)  # a file name in Latin-1, as Python reads it
    assert load_identity(path).name == "caf?"


def test_saving_replaces_the_old_file_and_leaves_nothing_behind(identity: Identity, stored: Path) -> None:
    other = replace(identity, name="other")
    save_identity(other, stored)
    assert_same(load_identity(stored), other)
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


def test_a_full_disk_leaves_the_old_file_and_no_part(
    identity: Identity, stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored.read_bytes()

    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(IdentityFileError, match="No space left on device"):
        save_identity(replace(identity, name="other"), stored)
    assert stored.read_bytes() == before
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


# Places that cannot be


@pytest.mark.parametrize("place", ["no/such/folder/x.avatar", "y" * 300, "zero\0byte", "folder", "", "/"])
def test_places_that_cannot_be_written_are_named(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IdentityFileError, match="cannot write") as caught:
        save_identity(identity, place)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "missing.avatar")
    assert "folder" in refusal(tmp_path)
    refusal("zero\0byte")
    (tmp_path / "empty.avatar").touch()
    refusal(tmp_path / "empty.avatar")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.avatar")
    assert "device" in refusal(tmp_path / "pipe.avatar")


def test_a_file_that_is_far_too_big_is_not_read(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_file, "FILE_MAX", 1000)
    assert "too big" in refusal(stored)


# Foreign and newer files


def test_foreign_files_are_refused(tmp_path: Path, stored: Path) -> None:
    path = tmp_path / "x.avatar"
    path.write_bytes(save({"weight": np.zeros((3, 3), np.float32)}))
    assert "is not an .avatar file" in refusal(path)
    path.write_bytes(save({"weight": np.zeros(3, np.float32)}, metadata={"format": "livehead-motion"}))
    assert "is not an .avatar file" in refusal(path)
    for content in (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, b"{}", b"hello " * 50, b"\xff" * 64):
        path.write_bytes(content)
        refusal(path)


def test_a_newer_version_says_so(stored: Path) -> None:
    message = refusal(changed(stored, {"version": "2"}))
    assert "newer version" in message and "2" in message


@pytest.mark.parametrize("version", [None, "", "one", "-1", "1.0", "²", "9" * 5000])
def test_versions_that_are_none_are_refused(stored: Path, version: str | None) -> None:
    assert "no version" in refusal(changed(stored, {"version": version}))


# Damage


@pytest.mark.parametrize(
    "crop",
    [None, "", "[1, 2]", "[1, 2, 3, 4]", "[0, 0, 0]", "[0, 0, -5]", "[0, 0, 1e9]", "[1000000, 0, 9]",
     "[Infinity, 0, 1]", "[1e999, 0, 1]", "[NaN, 0, 1]", '["a", 0, 1]', "[null, 0, 1]", "7", "[" * 100_000],
)  # fmt: skip
def test_crops_that_make_no_sense_are_refused(stored: Path, crop: str | None) -> None:
    refusal(changed(stored, {"crop": crop}))


@pytest.mark.parametrize("field", ARRAYS)
def test_a_missing_part_is_named(stored: Path, field: str) -> None:
    assert field in refusal(changed(stored, tensors={field: None}))


@pytest.mark.parametrize("field", ["landmarks", "neutral", "blendshapes", "pose"])
def test_wrong_numbers_are_refused(stored: Path, identity: Identity, field: str) -> None:
    good = getattr(identity, field)
    for bad in (np.nan, np.inf, -np.inf):
        spoilt = good.copy()
        spoilt.flat[-1] = bad
        assert "finite" in refusal(changed(stored, tensors={field: spoilt}))
    for wrong in (
        good[:-1],
        good[None],
        good.astype(np.float64),
        good.astype(np.float16),
        good.astype(np.int32),
    ):
        assert field in refusal(changed(stored, tensors={field: np.ascontiguousarray(wrong)}))


@pytest.mark.parametrize("kind", ["BF16", "F8_E4M3"])
def test_number_types_that_numpy_lacks_are_refused(stored: Path, kind: str) -> None:
    """The header's text is exchanged in place, and the shape with it, so that the sizes agree."""
    wide = {"BF16": b'"shape":[4,8]', "F8_E4M3": b'"shape":[4,16]'}[kind]
    content = stored.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header, rest = content[8 : 8 + length], content[8 + length :]
    start = header.index(b'"pose":{"dtype":"F32"')
    end = header.index(b"}", start)
    entry = header[start:end].replace(b'"F32"', f'"{kind}"'.encode()).replace(b'"shape":[4,4]', wide)
    header = (header[:start] + entry + header[end:]).rstrip()
    header += b" " * (-len(header) % 8)
    stored.write_bytes(len(header).to_bytes(8, "little") + header + rest)
    refusal(stored)


def png(width: int, height: int) -> NDArray[np.uint8]:
    """A PNG whose header, with a right checksum, declares a size that its pixels do not have."""
    small = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + small[24:29]
    made = small[:12] + chunk + zlib.crc32(chunk).to_bytes(4, "big") + small[33:]
    return np.frombuffer(made, np.uint8)


@pytest.mark.parametrize("size", [(65536, 65536), (0, 4), (4, 0), (2**31 - 1, 2**31 - 1), (2_000_000, 3)])
def test_pictures_that_declare_a_huge_size_are_refused_before_they_are_read(
    stored: Path, size: tuple[int, int]
) -> None:
    refusal(changed(stored, tensors={"picture": png(*size)}))


def test_wrong_pictures_are_refused(stored: Path, identity: Identity) -> None:
    whole = cv2.imencode(".png", identity.texture)[1].ravel()
    for wrong in (
        whole[: len(whole) // 2],
        whole[:20],
        whole[None],
        whole.astype(np.int32),
        whole[:0],
        whole[8:],
    ):
        assert "texture" in refusal(changed(stored, tensors={"texture": np.ascontiguousarray(wrong)}))
    for suffix in (".bmp", ".jpg", ".webp"):
        foreign = cv2.imencode(suffix, identity.texture)[1].ravel()
        assert "no PNG" in refusal(changed(stored, tensors={"texture": foreign}))


@pytest.mark.parametrize("field", ["alpha", "plate"])
def test_layers_of_different_sizes_are_refused(stored: Path, identity: Identity, field: str) -> None:
    smaller = cv2.imencode(".png", getattr(identity, field)[:-1])[1].ravel()
    assert field in refusal(changed(stored, tensors={field: smaller}))


def test_two_hundred_damaged_files_are_loaded_or_refused_in_one_line(stored: Path) -> None:
    whole = stored.read_bytes()
    random = np.random.default_rng(20)
    refused = 0
    header = 8 + int.from_bytes(whole[:8], "little")
    for trial in range(200):
        damaged = bytearray(whole)
        if trial % 4 == 0:
            damaged = damaged[: int(random.integers(0, len(whole)))]
        else:
            # Every other time within the header: there a flip means something else, not only another pixel.
            end = header if trial % 4 == 1 else len(whole)
            for place in random.integers(0, end, int(random.integers(1, 6))):
                damaged[int(place)] = int(random.integers(0, 256))
        stored.write_bytes(damaged)
        try:
            load_identity(stored)
        except IdentityFileError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 100
