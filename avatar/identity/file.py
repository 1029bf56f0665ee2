"""The .avatar file: one identity in safetensors, with a header that says what it is."""

from __future__ import annotations

import contextlib
import json
import os
import stat
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

_PNG = b"\x89PNG\r\n\x1a\n"
_DAMAGED = (
    SafetensorError, cv2.error,
    ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What the readers of JSON, PNG and safetensors raise over bytes that nobody wrote on purpose; among them
AttributeError for number types that numpy does not have."""

PICTURES = {"picture": 3, "texture": 3, "alpha": 1, "head": 1, "plate": 3}
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
        # A name taken from a file name may hold bytes that are no text.
        "name": identity.name[:NAME_MAX].encode("utf-8", "replace").decode(),
        "crop": json.dumps([crop.left, crop.top, crop.side]),
    }
    part: Path | None = None
    try:
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(save(tensors, metadata=header))
        part.replace(path)
    except (OSError, ValueError) as error:  # ValueError: no name at all, or a zero byte in it
        if part is not None:
            with contextlib.suppress(OSError, ValueError):
                part.unlink()
        raise IdentityFileError(f"cannot write {path}: {_reason(error)}") from error


def load_identity(path: str | Path) -> Identity:
    """Read an .avatar file.

    Raises:
        IdentityFileError: missing, corrupt, not an .avatar file, or of a newer version.
    """
    path = Path(path)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise IdentityFileError(f"{path} is a folder or a device, no .avatar file")
        if found.st_size > FILE_MAX:
            raise IdentityFileError(f"{path} is too big for an .avatar file")
        with safe_open(path, framework="np") as file:
            header = dict(file.metadata() or {})
            _check_header(path, header)
            tensors = {key: file.get_tensor(key) for key in (*PICTURES, *NUMBERS)}
        return _assemble(header, tensors)
    except OSError as error:
        raise IdentityFileError(f"cannot read {path}: {_reason(error)}") from error
    except _DAMAGED as error:
        raise IdentityFileError(f"{path} is damaged or no .avatar file ({_reason(error)})") from error


def _check_header(path: Path, header: dict[str, str]) -> None:
    if header.get("format") != FORMAT:
        raise IdentityFileError(f"{path} is not an .avatar file")
    version = header.get("version", "")
    if not (version.isascii() and version.isdigit() and len(version) < 10):
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
    for key in ("texture", "alpha", "head", "plate"):
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
    if stored[: len(_PNG)].tobytes() != _PNG:
        raise ValueError(f"{key} is no PNG")
    width, height = (int.from_bytes(stored[at : at + 4].tobytes(), "big") for at in (16, 20))  # PNG's IHDR
    if not 0 < width * height <= PIXELS_MAX:
        raise ValueError(f"{key} is {width} x {height}")
    picture = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE if channels == 1 else cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"{key} is no picture")
    return np.asarray(picture if channels == 1 else cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _reason(error: Exception) -> str:
    """What went wrong, in one line."""
    return " ".join(str(getattr(error, "strerror", None) or error).split())
