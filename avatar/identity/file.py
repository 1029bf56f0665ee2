"""The .avatar file: one identity in safetensors, with a header that says what it is.

Header: `name`, and `crop` as a JSON list of left, top and side. Pictures are PNG, so without loss; numbers
are float32. What is read is checked as if an enemy had written it: such files are sent around.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.errors import IdentityFileError
from avatar.identity.sanity import PICTURE_MAX, SIDE_MAX, SIDE_MIN, check_identity
from avatar.records import BLENDSHAPES, LANDMARKS, U8, Crop, Identity, View
from avatar.tools.tensor_file import Header, TensorFormat, Tensors

FORMAT = TensorFormat(
    name="livehead-avatar",
    version=1,
    called="an .avatar file",
    bytes_max=2**28,
    error=IdentityFileError,
)
NAME_MAX = 200

PICTURES = {"picture": 3, "texture": 3, "alpha": 1, "head": 1, "plate": 3}
"""Stored as PNG; the number of their channels."""
NUMBERS = {
    "landmarks": (LANDMARKS, 3),
    "neutral": (LANDMARKS, 3),
    "blendshapes": (BLENDSHAPES,),
    "pose": (4, 4),
}
OF_VIEW = ("texture", "alpha", "head", "landmarks", "blendshapes", "pose")
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = 33


def save_identity(identity: Identity, path: str | Path) -> None:
    """Write an .avatar file; an older one of that name is replaced only when the new one is whole.

    Raises:
        IdentityFileError: the place cannot be written, or the identity is one that could not be read again.
    """
    try:
        check_identity(identity)
    except ValueError as error:
        raise IdentityFileError(f"{path}: cannot be written: {error}") from error
    parts = {key: getattr(identity, key) for key in ("picture", "plate", "neutral")}
    parts |= {key: getattr(identity.front, key) for key in OF_VIEW}
    tensors: dict[str, NDArray[Any]] = {key: _packed(parts[key]) for key in PICTURES}
    tensors |= {key: np.asarray(parts[key], np.float32) for key in NUMBERS}
    crop = identity.crop
    header = {
        # A name taken from a file name may hold bytes that are no text.
        "name": identity.name[:NAME_MAX].encode("utf-8", "replace").decode(),
        "crop": json.dumps([crop.left, crop.top, crop.side]),
    }
    FORMAT.write(path, header, tensors)


def load_identity(path: str | Path) -> Identity:
    """Read an .avatar file.

    Raises:
        IdentityFileError: missing, corrupt, not an .avatar file, or of a newer version.
    """
    return FORMAT.read(path, (*PICTURES, *NUMBERS), _assemble)


def _assemble(header: Header, tensors: Tensors) -> Identity:
    left, top, side = json.loads(header["crop"])
    pictures: dict[str, Any] = {
        key: _unpacked(key, tensors[key], channels) for key, channels in PICTURES.items()
    }
    for key, shape in NUMBERS.items():
        if tensors[key].shape != shape or tensors[key].dtype != np.float32:
            raise ValueError(f"{key} is {tensors[key].shape} {tensors[key].dtype}, not {shape} float32")
    parts = pictures | {key: tensors[key] for key in NUMBERS}
    view = View(**{key: parts[key] for key in OF_VIEW})
    identity = Identity(
        name=header.get("name", "")[:NAME_MAX],
        picture=parts["picture"],
        crop=Crop(int(left), int(top), int(side)),
        plate=parts["plate"],
        neutral=parts["neutral"],
        views=(view,),
    )
    check_identity(identity)
    return identity


def _packed(picture: U8) -> U8:
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return np.asarray(cv2.imencode(".png", stored)[1], np.uint8).ravel()


def _unpacked(key: str, stored: NDArray[Any], channels: int) -> U8:
    if stored.dtype != np.uint8 or stored.ndim != 1 or stored.size < _PNG_HEAD:
        raise ValueError(f"{key} is no picture")
    if stored[: len(_PNG)].tobytes() != _PNG:
        raise ValueError(f"{key} is no PNG")
    # Asked before a byte is unpacked: few bytes can become a picture larger than the memory.
    width, height = (int.from_bytes(stored[at : at + 4].tobytes(), "big") for at in (16, 20))
    least, most = (1, PICTURE_MAX) if key == "picture" else (SIDE_MIN, SIDE_MAX)
    if not (least <= width <= most and least <= height <= most):
        raise ValueError(f"{key} is {width}x{height}")
    try:
        # not OpenCV, which tells damage to the terminal
        with Image.open(io.BytesIO(stored.tobytes()), formats=["PNG"]) as image:
            picture = np.array(image)
    except Exception as error:  # what a decoder raises over a damaged file has no end
        raise ValueError(f"{key} cannot be unpacked") from error
    shape = (height, width, channels)[: 2 if channels == 1 else 3]
    if picture.dtype != np.uint8 or picture.shape != shape:
        raise ValueError(f"{key} is {picture.dtype} {picture.shape}, not uint8 {shape}")
    return picture
