"""Crafted .avatar files: whatever can be loaded can be rendered."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_avatars import changed, part_of, refusal, storable_identity
from made_people import made_face
from numpy.typing import NDArray

from avatar.errors import IdentityFileError
from avatar.identity import file as identity_file
from avatar.identity.file import load_identity, save_identity
from avatar.pipeline import Renderer
from avatar.records import Crop, Identity, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import EYES, IRISES, MOUTH, OUTER_LIPS, OVAL
from avatar.tools.geometry import rotation_from_vector

PARTS = (OVAL, MOUTH.ring, OUTER_LIPS.ring, EYES[0].ring, EYES[1].ring, IRISES[0], IRISES[1], range(468))


@pytest.fixture(scope="module")
def identity() -> Identity:
    return storable_identity()


@pytest.fixture
def stored(identity: Identity, tmp_path: Path) -> Path:
    path = tmp_path / "someone.avatar"
    save_identity(identity, path)
    return path


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
    spoilt = spoilt_faces()[how](part_of(identity, field))
    assert field in refusal(changed(stored, tensors={field: np.ascontiguousarray(spoilt)}))


@pytest.mark.parametrize(("field", "value"), [("blendshapes", 1.5), ("blendshapes", -0.2), ("pose", 1e20)])
def test_numbers_out_of_range_are_refused(stored: Path, identity: Identity, field: str, value: float) -> None:
    spoilt = part_of(identity, field).copy()
    spoilt.flat[3] = value
    assert field in refusal(changed(stored, tensors={field: spoilt}))


def test_what_could_not_be_read_again_is_not_written(identity: Identity, tmp_path: Path) -> None:
    with pytest.raises(IdentityFileError, match=r"x\.avatar: cannot be written: a crop of 0 pixels"):
        save_identity(replace(identity, crop=Crop(0, 0, 0)), tmp_path / "x.avatar")
    assert list(tmp_path.iterdir()) == []


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
        points = (part_of(identity, field) - 0.5) * np.exp(random.uniform(-1.2, 0.9))
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
    view = replace(
        identity.front,
        blendshapes=random.random(52, np.float32),
        alpha=np.full_like(identity.front.alpha, random.choice([0, 255])),
        head=np.full_like(identity.front.head, random.choice([0, 255])),
        landmarks=moved["landmarks"],
    )
    return replace(
        identity,
        picture=random.integers(0, 256, (height, width, 3), np.uint8),
        crop=Crop(left, top, side),
        neutral=moved["neutral"],
        views=(view,),
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
