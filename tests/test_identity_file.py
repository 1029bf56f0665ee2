"""The .avatar file: bit-exact there and back, and one clear line for anything that cannot be rendered."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_people import made_face, made_identity
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from avatar.errors import IdentityFileError
from avatar.identity import file as identity_file
from avatar.identity.file import NAME_MAX, load_identity, save_identity
from avatar.pipeline import Renderer
from avatar.records import Crop, Identity, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import EYES, IRISES, MOUTH, OUTER_LIPS, OVAL
from avatar.tools.geometry import rotation_from_vector

Tensors = dict[str, NDArray[Any]]
SIDE = 256
PARTS = (OVAL, MOUTH.ring, OUTER_LIPS.ring, EYES[0].ring, EYES[1].ring, IRISES[0], IRISES[1], range(468))
ARRAYS = ("picture", "texture", "alpha", "head", "plate", "landmarks", "neutral", "blendshapes", "pose")


@pytest.fixture(scope="module")
def identity() -> Identity:
    made = made_identity({"jawOpen": 0.4}, turn=(0.1, 0.2, 0))
    random = np.random.default_rng(2)
    return replace(
        made,
        texture=random.integers(0, 256, (SIDE, SIDE, 3), np.uint8),
        alpha=random.integers(0, 256, (SIDE, SIDE), np.uint8),
        head=random.integers(0, 256, (SIDE, SIDE), np.uint8),
        plate=random.integers(0, 256, (SIDE, SIDE, 3), np.uint8),
    )


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
    message = refusal(changed(stored, {"version": "2"}))
    assert "newer version" in message and "2" in message


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


def test_sizes_are_looked_at_before_the_pixels(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_file, "PICTURE_MAX", 100)
    monkeypatch.setattr("PIL.Image.open", None)
    assert "picture is 120x90" in refusal(stored)


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


@pytest.mark.parametrize("field", ["alpha", "head", "plate"])
def test_layers_of_different_sizes_are_refused(stored: Path, identity: Identity, field: str) -> None:
    layer = getattr(identity, field)
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


def spoilt_faces() -> dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]]:
    """Landmarks (478, 3) that no tracker gives."""
    random = np.random.default_rng(3)

    def one(index: int, place: tuple[float, float, float]) -> Callable[[Any], Any]:
        def move(points: NDArray[np.float32]) -> NDArray[np.float32]:
            points = points.copy()
            points[index] = place
            return points

        return move

    return {
        "all in one point": lambda points: np.full_like(points, 0.5),
        "tiny": lambda points: (points - 0.5) * np.float32(0.2) + np.float32(0.5),
        "huge": lambda points: (points - 0.5) * np.float32(3) + np.float32(0.5),
        "far away": lambda points: points + np.float32(1.6),
        "deep": lambda points: points + np.array([0, 0, 2.1], np.float32),
        "beyond counting": lambda points: points * np.float32(1e30),
        "chin far off": one(152, (0.5, 1.5, 0)),
        "a corner of the eye far off": one(33, (1.2, 0.5, 0)),
        "flat": lambda points: points * np.array([1, 1e-6, 1], np.float32),
        "a cloud": lambda points: random.random(points.shape, np.float32),
        "shuffled": lambda points: random.permutation(points),
    }


@pytest.mark.parametrize("field", ["landmarks", "neutral"])
@pytest.mark.parametrize("how", spoilt_faces())
def test_what_is_no_face_is_refused(stored: Path, identity: Identity, field: str, how: str) -> None:
    spoilt = spoilt_faces()[how](getattr(identity, field))
    assert field in refusal(changed(stored, tensors={field: np.ascontiguousarray(spoilt)}))


@pytest.mark.parametrize(("field", "value"), [("blendshapes", 1.5), ("blendshapes", -0.2), ("pose", 1e20)])
def test_numbers_out_of_range_are_refused(stored: Path, identity: Identity, field: str, value: float) -> None:
    spoilt = getattr(identity, field).copy()
    spoilt.flat[3] = value
    assert field in refusal(changed(stored, tensors={field: spoilt}))


def test_what_could_not_be_read_again_is_not_written(identity: Identity, tmp_path: Path) -> None:
    with pytest.raises(IdentityFileError, match=r"x\.avatar: cannot be written: a crop of 0 pixels"):
        save_identity(replace(identity, crop=Crop(0, 0, 0)), tmp_path / "x.avatar")
    assert list(tmp_path.iterdir()) == []


# Whatever can be loaded can be rendered


def render(identity: Identity) -> None:
    """One frame, with the mouth open, an eye shut and the head turned."""
    renderer = Renderer(identity, size=(320, 180))
    assert renderer._composite.placement.head.width <= 4 * 320
    made = made_face({"jawOpen": 0.6, "eyeBlinkLeft": 0.9}, turn=(0.1, 0.2, 0.1))
    retarget = Retargeter(identity, mode="absolute", smoothing=0)
    frame = renderer(retarget(Observation(made, 0, 0)), 0, 0)
    assert frame.rgb.shape == (180, 320, 3)


def numbers_in(whole: bytes) -> list[int]:
    """The places of the bytes of all numbers; a flip in a picture is always found by its checksum."""
    start = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:start])
    places = (header[key]["data_offsets"] for key in identity_file.NUMBERS)
    return [start + place for begin, end in places for place in range(begin, end)]


def damaged(whole: bytes, trial: int, random: np.random.Generator) -> bytes:
    if trial % 4 == 0:
        return whole[: int(random.integers(0, len(whole)))]
    content = bytearray(whole)
    header = range(8 + int.from_bytes(whole[:8], "little"))
    region = (header, range(len(whole)), numbers_in(whole))[trial % 4 - 1]
    for place in random.choice(region, int(random.integers(1, 6))):
        content[int(place)] = int(random.integers(0, 256))
    return bytes(content)


def test_two_hundred_damaged_files_are_rendered_or_refused_in_one_line(stored: Path) -> None:
    whole = stored.read_bytes()
    random = np.random.default_rng(20)
    refused = 0
    for trial in range(200):
        stored.write_bytes(damaged(whole, trial, random))
        try:
            identity = load_identity(stored)
        except IdentityFileError as error:
            assert "\n" not in str(error)
            refused += 1
        else:
            render(identity)
    assert 100 < refused < 200


def crafted(identity: Identity, random: np.random.Generator) -> Identity:
    """An identity of numbers that are made up, within what is allowed or a little beyond."""
    height, width = (int(side) for side in np.exp(random.uniform(0, np.log(900), 2)))
    most = min(4 * max(width, height), 8 * min(width, height))
    side = int(np.exp(random.uniform(0, np.log(1.1 * most))))
    left, top = (int(random.integers(-side, room + side // 8 + 1)) for room in (width, height))
    moved = {}
    for field in ("landmarks", "neutral"):
        points = (getattr(identity, field) - 0.5) * np.exp(random.uniform(-1.2, 0.9))
        points = points @ rotation_from_vector(random.uniform(-1.5, 1.5, 3).astype(np.float32)).T
        points = points + random.uniform(-0.1, 1.1, 3) * (1, 1, 0)
        points += random.normal(0, 0.02 * random.random(), points.shape)
        if random.random() < 0.4:  # a part of the face in one point
            some = random.choice(478, int(random.integers(2, 40)), replace=False)
            points[some] = points[some].mean(axis=0)
        if random.random() < 0.3:
            part = list(PARTS[int(random.integers(len(PARTS)))])
            points[part] = points[part[0]]
        moved[field] = points.astype(np.float32)
    return replace(
        identity,
        picture=random.integers(0, 256, (height, width, 3), np.uint8),
        crop=Crop(left, top, side),
        blendshapes=random.random(52, np.float32),
        alpha=np.full_like(identity.alpha, random.choice([0, 255])),
        head=np.full_like(identity.head, random.choice([0, 255])),
        **moved,
    )


def test_crafted_files_are_rendered_or_refused(
    identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity_file, "check_identity", lambda identity: None)  # or none would be written
    random = np.random.default_rng(21)
    paths = [tmp_path / f"{trial}.avatar" for trial in range(300)]
    for path in paths:
        save_identity(crafted(identity, random), path)
    monkeypatch.undo()
    rendered = 0
    for path in paths:
        try:
            loaded = load_identity(path)
        except IdentityFileError as error:
            assert "\n" not in str(error)
        else:
            render(loaded)
            rendered += 1
    assert 20 < rendered < 280
