"""The .avatar file: one identity in safetensors, with a header that says what it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avatar.errors import IdentityFileError
from avatar.records import BLENDSHAPES, LANDMARKS, U8, Crop, Identity

FORMAT = "livehead-avatar"
VERSION = 1
NAME_MAX = 200
FILE_MAX = 1 << 30
PIXELS_MAX = 64_000_000

PICTURES = {"picture": 3, "texture": 3, "alpha": 1, "plate": 3}
"""Stored as PNG, lossless; the number of their channels."""
NUMBERS = {
    "landmarks": (LANDMARKS, 3),
    "neutral": (LANDMARKS, 3),
    "blendshapes": (BLENDSHAPES,),
    "pose": (4, 4),
}


def save_identity(identity: Identity, path: str | Path) -> None:
    """Write an .avatar file; an older one of that name is replaced only when the new one is whole.

    Raises:
        IdentityFileError: the place cannot be written.
    """
    path = Path(path)
    tensors: dict[str, NDArray[Any]] = {key: _packed(getattr(identity, key)) for key in PICTURES}
    tensors |= {key: np.ascontiguousarray(getattr(identity, key), np.float32) for key in NUMBERS}
    crop = identity.crop
    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "name": identity.name[:NAME_MAX],
        "crop": json.dumps([crop.left, crop.top, crop.side]),
    }
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(save(tensors, metadata=header))
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise IdentityFileError(f"cannot write {path}: {error.strerror or error}") from error


def load_identity(path: str | Path) -> Identity:
    """Read an .avatar file.

    Raises:
        IdentityFileError: missing, corrupt, not an .avatar file, or of a newer version.
    """
    path = Path(path)
    try:
        if path.stat().st_size > FILE_MAX:
            raise IdentityFileError(f"{path} is too big for an .avatar file")
        with safe_open(path, framework="np") as file:
            header = dict(file.metadata() or {})
            _check_header(path, header)
            tensors = {key: file.get_tensor(key) for key in (*PICTURES, *NUMBERS)}
    except OSError as error:
        raise IdentityFileError(f"cannot read {path}: {error.strerror or error}") from error
    except SafetensorError as error:
        raise IdentityFileError(f"{path} is damaged or no .avatar file ({error})") from error
    try:
        return _assemble(header, tensors)
    except (ValueError, TypeError, KeyError) as error:
        raise IdentityFileError(f"{path} is damaged: {error}") from error


def _check_header(path: Path, header: dict[str, str]) -> None:
    if header.get("format") != FORMAT:
        raise IdentityFileError(f"{path} is not an .avatar file")
    version = header.get("version", "")
    if not version.isdigit():
        raise IdentityFileError(f"{path} is damaged: it has no version")
    if int(version) > VERSION:
        raise IdentityFileError(
            f"{path} was written by a newer version of this program: "
            f"its format is {version}, this one reads up to {VERSION}"
        )


def _assemble(header: dict[str, str], tensors: dict[str, NDArray[Any]]) -> Identity:
    left, top, side = (int(number) for number in json.loads(header["crop"]))
    pictures: dict[str, Any] = {
        key: _unpacked(key, tensors[key], channels) for key, channels in PICTURES.items()
    }
    square = pictures["texture"].shape[0]
    for key in ("texture", "alpha", "plate"):
        if pictures[key].shape[:2] != (square, square):
            raise ValueError(f"{key} is {pictures[key].shape[:2]}, not {(square, square)}")
    for key, shape in NUMBERS.items():
        if tensors[key].shape != shape or tensors[key].dtype != np.float32:
            raise ValueError(f"{key} is {tensors[key].shape} {tensors[key].dtype}, not {shape} float32")
        if not np.isfinite(tensors[key]).all():
            raise ValueError(f"{key} holds numbers that are not finite")
    if not 1 <= side <= 100_000 or max(abs(left), abs(top)) > 100_000:
        raise ValueError(f"the crop {(left, top, side)} makes no sense")
    return Identity(
        name=header.get("name", ""),
        crop=Crop(left, top, side),
        **pictures,
        **{key: tensors[key] for key in NUMBERS},
    )


def _packed(picture: U8) -> U8:
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".png", stored)[1], np.uint8).ravel()


def _unpacked(key: str, stored: NDArray[Any], channels: int) -> U8:
    if stored.dtype != np.uint8 or stored.ndim != 1 or stored.size < 33:
        raise ValueError(f"{key} is no picture")
    width, height = (int.from_bytes(stored[at : at + 4].tobytes(), "big") for at in (16, 20))  # PNG's IHDR
    if not 0 < width * height <= PIXELS_MAX:
        raise ValueError(f"{key} is {width} x {height}")
    picture = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{key} is no picture")
    return np.asarray(picture if channels == 1 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
