""".avatar files to be damaged: an identity that can be stored, and files with parts exchanged."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_people import FACE_SCALE, made_face, made_identity, made_view
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from avatar.errors import IdentityFileError
from avatar.identity.file import load_identity
from avatar.records import Identity

Tensors = dict[str, NDArray[Any]]
SIDE = 256


def storable_identity() -> Identity:
    """As `made_identity`, with layers as large as they are stored."""
    expression, turn = {"jawOpen": 0.4}, (0.1, 0.2, 0)
    face = made_face(expression, turn=turn, shift=(0.5, 0.5), scale=FACE_SCALE)
    plate = np.random.default_rng(2).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return replace(made_identity(expression, turn=turn), plate=plate, views=(made_view(face, SIDE),))


def with_views(identity: Identity, count: int) -> Identity:
    """The same with `count` views in all, of other poses and faces, each of noise of its own."""
    more = []
    for number in range(1, count):
        expression = {"jawOpen": 0.2 * (number % 4), "eyeBlinkLeft": 0.3 * (number % 3)}
        turn = (0.0, 0.05 * (number % 9 - 4), 0.0)
        face = made_face(expression, turn=turn, shift=(0.5, 0.5), scale=FACE_SCALE)
        more.append(made_view(face, SIDE, seed=number))
    return replace(identity, views=(identity.front, *more))


def part_of(identity: Identity, key: str) -> NDArray[Any]:
    """An array of the identity or of its front view."""
    found: NDArray[Any] = getattr(identity if hasattr(identity, key) else identity.front, key)
    return found


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
