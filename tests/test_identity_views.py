"""The .avatar file with several views and with what a generator has worked out."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_avatars import SIDE, changed, refusal, storable_identity, taken_apart, with_views
from numpy.typing import NDArray
from PIL import Image

from avatar.errors import IdentityFileError
from avatar.identity.file import OF_VIEW, load_identity, save_identity
from avatar.identity.sanity import NUMBERS_MAX, TENSORS_MAX, VIEWS_MAX
from avatar.records import Conditioning, Identity, View

SHA = "0123456789abcdef" * 4
PSI = np.random.default_rng(5).normal(size=40).astype(np.float32)
WORKED_OUT = Conditioning("live", SHA, {"psi": PSI, "head.weight": np.ones((2, 3, 3, 3), np.float32)})


@pytest.fixture(scope="module")
def identity() -> Identity:
    return replace(with_views(storable_identity(), 3), conditioning=WORKED_OUT)


@pytest.fixture
def stored(identity: Identity, tmp_path: Path) -> Path:
    path = tmp_path / "someone.avatar"
    save_identity(identity, path)
    return path


# There and back


@pytest.mark.parametrize("count", [1, 2, VIEWS_MAX])
def test_views_come_back(identity: Identity, tmp_path: Path, count: int) -> None:
    several = with_views(identity, count)
    save_identity(several, tmp_path / "x.avatar")
    loaded = load_identity(tmp_path / "x.avatar")
    assert len(loaded.views) == count
    for number, (one, other) in enumerate(zip(several.views, loaded.views, strict=True)):
        for key in OF_VIEW:
            ours, theirs = getattr(one, key), getattr(other, key)
            assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
            if number and key == "texture":  # noise, which JPEG likes least of all
                assert np.abs(ours.astype(int) - theirs).mean() < 4
            else:
                np.testing.assert_array_equal(ours, theirs)


def test_a_smooth_texture_loses_almost_nothing_and_no_more_the_second_time(
    identity: Identity, tmp_path: Path
) -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    shades = [127 + 100 * np.sin(x / 23), 127 + 80 * np.cos(y / 31), (x + y) / 2]
    smooth = np.stack(shades, axis=2).astype(np.uint8)
    views: tuple[View, ...] = (identity.front, replace(identity.views[1], texture=smooth))
    path, textures = tmp_path / "x.avatar", [smooth]
    for _ in range(3):
        save_identity(replace(identity, views=views), path)
        views = load_identity(path).views
        textures.append(views[1].texture)
    assert np.abs(textures[1].astype(int) - smooth).max() <= 4
    assert np.abs(textures[3].astype(int) - textures[1]).mean() < 0.2


def test_what_was_worked_out_comes_back(identity: Identity, stored: Path) -> None:
    loaded = load_identity(stored).conditioning
    assert loaded is not None
    assert (loaded.preset, loaded.weights_sha256) == ("live", SHA)
    assert loaded.tensors.keys() == WORKED_OUT.tensors.keys()
    for name, tensor in loaded.tensors.items():
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, WORKED_OUT.tensors[name])


def test_half_numbers_come_back_as_whole_ones(identity: Identity, tmp_path: Path) -> None:
    half: dict[str, Any] = {"psi": np.linspace(-2, 2, 9).astype(np.float16)}
    path = tmp_path / "x.avatar"
    save_identity(replace(identity, conditioning=Conditioning("live", SHA, half)), path)
    assert taken_apart(path)[1]["conditioning.psi"].dtype == np.float16
    loaded = load_identity(path).conditioning
    assert loaded is not None and loaded.tensors["psi"].dtype == np.float32
    np.testing.assert_array_equal(loaded.tensors["psi"], half["psi"])


# What is refused


def test_more_views_than_allowed_are_neither_written_nor_read(identity: Identity, tmp_path: Path) -> None:
    path = tmp_path / "x.avatar"
    with pytest.raises(IdentityFileError, match="33 views, not 1 to 32"):
        save_identity(with_views(identity, VIEWS_MAX + 1), path)
    assert not path.exists()
    save_identity(with_views(identity, VIEWS_MAX), path)
    more = {f"{key}.{VIEWS_MAX}": tensor for key, tensor in view_tensors(path, 1).items()}
    assert "1 to 32 views" in refusal(changed(path, {"views": str(VIEWS_MAX + 1)}, more))


def view_tensors(path: Path, number: int) -> dict[str, NDArray[Any]]:
    tensors = taken_apart(path)[1]
    return {key: tensors[f"{key}.{number}"] for key in OF_VIEW}


@pytest.mark.parametrize("views", [None, "", "0", "-1", "2", "4", "99999999", "3.0", "³", "three", "[3]"])
def test_a_wrong_number_of_views_is_refused(stored: Path, views: str | None) -> None:
    refusal(changed(stored, {"views": views}))


@pytest.mark.parametrize("key", OF_VIEW)
def test_a_view_that_lacks_something_is_refused(stored: Path, key: str) -> None:
    assert f"it lacks {key}.2" in refusal(changed(stored, tensors={f"{key}.2": None}))


@pytest.mark.parametrize("key", ["landmarks", "blendshapes", "pose"])
def test_wrong_numbers_of_a_view_are_refused(stored: Path, key: str) -> None:
    good = view_tensors(stored, 1)[key]
    for wrong in (good[:-1], good.astype(np.float64), good[None]):
        assert f"{key}.1 is" in refusal(changed(stored, tensors={f"{key}.1": np.ascontiguousarray(wrong)}))
    for bad in (np.nan, np.inf, 1e30):
        spoilt = good.copy()
        spoilt.flat[-1] = bad
        assert "view 2: " in refusal(changed(stored, tensors={f"{key}.1": spoilt}))


def jpeg(side: int = SIDE, **options: Any) -> NDArray[np.uint8]:
    picture = Image.fromarray(np.zeros((side, side, 3), np.uint8)).convert(options.pop("mode", "RGB"))
    file = io.BytesIO()
    picture.save(file, "JPEG", **options)
    return np.frombuffer(file.getvalue(), np.uint8)


def test_wrong_pictures_of_a_view_are_refused(stored: Path, identity: Identity) -> None:
    good = view_tensors(stored, 1)["texture"]
    for wrong in (good[: len(good) // 2], good[None], good[:0], good.astype(np.int32), good[8:]):
        assert "texture.1" in refusal(changed(stored, tensors={"texture.1": np.ascontiguousarray(wrong)}))
    as_png = cv2.imencode(".png", identity.front.texture)[1].ravel()
    assert "no JPEG" in refusal(changed(stored, tensors={"texture.1": as_png}))
    for wrong in (jpeg(mode="L"), jpeg(mode="CMYK"), jpeg(progressive=True)):
        assert "texture.1" in refusal(changed(stored, tensors={"texture.1": wrong}))
    for side in (1, 255, 1025):
        assert f"{side}x{side}" in refusal(changed(stored, tensors={"texture.1": jpeg(side)}))
    assert "view 2: alpha is" in refusal(changed(stored, tensors={"texture.1": jpeg(SIDE + 1)}))


def test_a_jpeg_that_declares_a_huge_size_is_refused_before_it_is_read(stored: Path) -> None:
    whole = bytearray(jpeg().tobytes())
    at = whole.index(b"\xff\xc0")  # start of frame: length, depth, height, width
    whole[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    begin = time.perf_counter()
    message = refusal(changed(stored, tensors={"texture.1": np.frombuffer(bytes(whole), np.uint8)}))
    assert "texture.1" in message
    assert time.perf_counter() - begin < 1


def damaged_conditionings() -> dict[str, dict[str, NDArray[Any]]]:
    half = np.zeros(NUMBERS_MAX // 2, np.float16)
    many = {f"t{i}": np.zeros(1, np.float32) for i in range(TENSORS_MAX + 1)}
    return {
        "none": {},
        "not a number": {"psi": np.array([1, np.nan], np.float32)},
        "not finite": {"psi": np.array([1, np.inf], np.float16)},
        "whole numbers": {"psi": np.arange(4)},
        "long numbers": {"psi": np.zeros(4)},
        "a single number": {"psi": np.zeros((), np.float32)},
        "nothing": {"psi": np.zeros((0, 2**40), np.float32)},
        "many sides": {"psi": np.zeros((1, 1, 1, 1, 1), np.float32)},
        "a strange name": {"p/../si": np.zeros(1, np.float32)},
        "a line of a name": {"psi\n": np.zeros(1, np.float32)},
        "too many": many,
        "too large": {"psi": half, "p": half, "s": np.zeros(1, np.float32)},
    }


@pytest.mark.parametrize("case", damaged_conditionings())
def test_conditionings_that_make_no_sense_are_neither_written_nor_read(
    identity: Identity, stored: Path, case: str
) -> None:
    tensors: dict[str, Any] = damaged_conditionings()[case]
    with pytest.raises(IdentityFileError, match="conditioning"):
        save_identity(replace(identity, conditioning=Conditioning("live", SHA, tensors)), stored)
    gone: dict[str, Any] = dict.fromkeys(f"conditioning.{name}" for name in WORKED_OUT.tensors)
    named = {f"conditioning.{name}": tensor for name, tensor in tensors.items()}
    assert "conditioning" in refusal(changed(stored, tensors=gone | named))


@pytest.mark.parametrize(
    "header",
    ["", "[]", "7", '["live"]', f'["live", "{SHA}", 1]', f'["", "{SHA}"]', f'["Live Show", "{SHA}"]',
     f'[null, "{SHA}"]', f'["live", "{SHA[1:]}"]', f'["live", "{SHA.upper()}"]', '["live", 5]', "[" * 9999],
)  # fmt: skip
def test_headers_of_a_conditioning_that_make_no_sense_are_refused(stored: Path, header: str) -> None:
    refusal(changed(stored, {"conditioning": header}))


def test_tensors_without_their_header_are_refused(stored: Path) -> None:
    assert "it also holds conditioning.head.weight" in refusal(changed(stored, {"conditioning": None}))


@pytest.mark.parametrize("shape", ["[9223372036854775807]", "[4294967296,4294967296]", "[10000000]", "[-1]"])
def test_huge_declared_tensors_are_refused_at_once(stored: Path, shape: str) -> None:
    content = stored.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length]
    assert b'"shape":[40]' in header
    wrong = header.replace(b'"shape":[40]', f'"shape":{shape}'.encode()).rstrip()
    wrong += b" " * (-len(wrong) % 8)
    stored.write_bytes(len(wrong).to_bytes(8, "little") + wrong + content[8 + length :])
    begin = time.perf_counter()
    refusal(stored)
    assert time.perf_counter() - begin < 1


def test_damaged_files_are_read_or_refused_in_one_line(stored: Path) -> None:
    whole = stored.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    chance = np.random.default_rng(8)
    refused = 0
    for trial in range(60):
        content = bytearray(whole)
        for place in chance.integers(0, header if trial % 2 else len(whole), 5):
            content[int(place)] = int(chance.integers(0, 256))
        cut = int(chance.integers(0, len(whole))) if trial % 5 == 0 else len(whole)
        stored.write_bytes(bytes(content[:cut]))
        try:
            load_identity(stored)
        except IdentityFileError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 30
