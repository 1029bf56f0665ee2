"""The .avatar file: bit-exact there and back, and one clear line for anything that is not one."""

from __future__ import annotations

import os
import zlib
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_avatars import changed, part_of, refusal, storable_identity
from numpy.typing import NDArray
from safetensors.numpy import save

from avatar.errors import IdentityFileError
from avatar.identity import file as identity_file
from avatar.identity.file import NAME_MAX, load_identity, name_in, save_identity
from avatar.records import Crop, Identity

ARRAYS = ("picture", "texture", "alpha", "head", "plate", "landmarks", "neutral", "blendshapes", "pose")


@pytest.fixture(scope="module")
def identity() -> Identity:
    return storable_identity()


@pytest.fixture
def stored(identity: Identity, tmp_path: Path) -> Path:
    path = tmp_path / "someone.avatar"
    save_identity(identity, path)
    return path


def assert_same(one: Identity, other: Identity) -> None:
    assert (one.name, one.crop) == (other.name, other.crop)
    for field in ARRAYS:
        ours, theirs = part_of(one, field), part_of(other, field)
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


def test_the_name_is_read_alone(stored: Path, identity: Identity) -> None:
    assert name_in(stored) == identity.name
    stored.write_bytes(stored.read_bytes()[:100])
    with pytest.raises(IdentityFileError, match="damaged"):
        name_in(stored)


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


# Places that cannot be


@pytest.mark.parametrize("place", ["no/such/folder/x.avatar", "y" * 300, "zero\0byte", "folder", "", "/"])
def test_places_that_cannot_be_written_are_named(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IdentityFileError, match="cannot be written") as caught:
        save_identity(identity, place)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.avatar")
    assert "folder" in refusal(tmp_path)
    refusal("zero\0byte")
    (tmp_path / "empty.avatar").touch()
    refusal(tmp_path / "empty.avatar")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.avatar")
    assert "device" in refusal(tmp_path / "pipe.avatar")


def test_a_file_that_is_far_too_big_is_not_read(stored: Path) -> None:
    os.truncate(stored, identity_file.FORMAT.bytes_max + 1)  # sparse: takes no room
    assert "too large" in refusal(stored)


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
    message = refusal(changed(stored, {"version": "3"}))
    assert "newer version" in message and "3" in message


def test_the_first_version_is_read(identity: Identity, stored: Path) -> None:
    first = changed(stored, {"version": "1", "views": None})
    assert_same(load_identity(first), identity)
    assert load_identity(first).conditioning is None
    again = changed(stored, tensors={"texture.1": np.zeros(99, np.uint8)})
    assert "it also holds texture.1" in refusal(again)


@pytest.mark.parametrize("version", [None, "", "one", "-1", "1.0", "²", "9" * 5000])
def test_versions_that_are_none_are_refused(stored: Path, version: str | None) -> None:
    assert "version cannot be read" in refusal(changed(stored, {"version": version}))


# Damage


@pytest.mark.parametrize(
    "crop",
    [None, "", "[1, 2]", "[1, 2, 3, 4]", "[0, 0, 0]", "[0, 0, -5]", "[0, 0, 1e9]", "[1000000, 0, 9]",
     "[0, 0, 481]", "[0, 0, 100000]", "[120, 0, 80]", "[-80, 0, 80]", "[0, 90, 80]", "[0, -80, 80]",
     "[Infinity, 0, 1]", "[1e999, 0, 1]", "[NaN, 0, 1]", '["a", 0, 1]', "[null, 0, 1]", "7", "[" * 100_000],
)  # fmt: skip
def test_crops_that_make_no_sense_are_refused(stored: Path, crop: str | None) -> None:
    refusal(changed(stored, {"crop": crop}))


@pytest.mark.parametrize("field", ARRAYS)
def test_a_missing_part_is_named(stored: Path, field: str) -> None:
    assert field in refusal(changed(stored, tensors={field: None}))


@pytest.mark.parametrize("field", ["landmarks", "neutral", "blendshapes", "pose"])
def test_wrong_numbers_are_refused(stored: Path, identity: Identity, field: str) -> None:
    good = part_of(identity, field)
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


def test_sizes_are_looked_at_before_the_pixels(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_file, "PICTURE_MAX", 100)
    monkeypatch.setattr("avatar.identity.packed.Image.open", None)
    assert "picture is 120x90" in refusal(stored)


def test_wrong_pictures_are_refused(stored: Path, identity: Identity) -> None:
    whole = cv2.imencode(".png", identity.front.texture)[1].ravel()
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
        foreign = cv2.imencode(suffix, identity.front.texture)[1].ravel()
        assert "no PNG" in refusal(changed(stored, tensors={"texture": foreign}))


@pytest.mark.parametrize("field", ["alpha", "head", "plate"])
def test_layers_of_different_sizes_are_refused(stored: Path, identity: Identity, field: str) -> None:
    layer = part_of(identity, field)
    for other in (np.concatenate([layer, layer[:1]]), np.tile(layer, (2, 2, 1)[: layer.ndim])):
        encoded = cv2.imencode(".png", other)[1].ravel()
        assert field in refusal(changed(stored, tensors={field: encoded}))


@pytest.mark.parametrize("side", [1, 255, 1025, 4000])
def test_crops_of_sizes_that_enrolment_never_makes_are_refused(stored: Path, side: int) -> None:
    layers = {
        "texture": (side, side, 3),
        "alpha": (side, side),
        "head": (side, side),
        "plate": (side, side, 3),
    }
    encoded = {
        key: cv2.imencode(".png", np.zeros(shape, np.uint8))[1].ravel() for key, shape in layers.items()
    }
    assert f"{side}x{side}" in refusal(changed(stored, tensors=encoded))
