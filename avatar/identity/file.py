"""The .avatar file: one identity in safetensors, with a header that says what it is.

Header: `name`; `crop` as a JSON list of left, top and side; `views`, their number; and `conditioning`, if
there is one, as a JSON list of its preset and the SHA-256 of its weights.

Tensors: those of the front by their plain names, those of further views as `texture.1` and so on, those of
the conditioning as `conditioning.NAME`. Pictures are PNG, so without loss, but for the textures of further
views: JPEG of quality 95, colours at full resolution. They mostly come of clips, which are packed like that
themselves; it takes 22 % of the bytes and changes pixels by 0.7 levels in the mean (4 people, 27 views), so
that 8 views are 1 to 2 MB. Numbers are float32; a conditioning may be float16, and is read as float32.
Version 1 had one view and no conditioning.

What is read is checked as if an enemy had written it: such files are sent around.
"""

from __future__ import annotations

import json
from collections.abc import Set
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar.errors import IdentityFileError
from avatar.identity.packed import Kind, packed, unpacked
from avatar.identity.sanity import PICTURE_MAX, SIDE_MAX, SIDE_MIN, VIEWS_MAX, check_identity
from avatar.records import BLENDSHAPES, LANDMARKS, Conditioning, Crop, Identity, View
from avatar.tools.tensor_file import Header, TensorFormat, Tensors

FORMAT = TensorFormat(
    name="livehead-avatar",
    version=2,
    called="an .avatar file",
    bytes_max=2**28,
    error=IdentityFileError,
)
NAME_MAX = 200

PICTURES = {"picture": 3, "texture": 3, "alpha": 1, "head": 1, "plate": 3}
"""The number of their channels."""
NUMBERS = {
    "landmarks": (LANDMARKS, 3),
    "neutral": (LANDMARKS, 3),
    "blendshapes": (BLENDSHAPES,),
    "pose": (4, 4),
}
OF_VIEW = ("texture", "alpha", "head", "landmarks", "blendshapes", "pose")
OF_IDENTITY = ("picture", "plate", "neutral")
WORKED_OUT = "conditioning."


def save_identity(identity: Identity, path: str | Path) -> None:
    """Write an .avatar file; an older one of that name is replaced only when the new one is whole.

    Raises:
        IdentityFileError: the place cannot be written, or the identity is one that could not be read again.
    """
    try:
        check_identity(identity)
    except ValueError as error:
        raise IdentityFileError(f"{path}: cannot be written: {error}") from error
    tensors = {key: _stored(key, getattr(identity, key)) for key in OF_IDENTITY}
    for number, view in enumerate(identity.views):
        tensors |= {_of(key, number): _stored(_of(key, number), getattr(view, key)) for key in OF_VIEW}
    crop, conditioning = identity.crop, identity.conditioning
    header = {
        # A name taken from a file name may hold bytes that are no text.
        "name": identity.name[:NAME_MAX].encode("utf-8", "replace").decode(),
        "crop": json.dumps([crop.left, crop.top, crop.side]),
        "views": str(len(identity.views)),
    }
    if conditioning is not None:
        header["conditioning"] = json.dumps([conditioning.preset, conditioning.weights_sha256])
        tensors |= {WORKED_OUT + key: tensor for key, tensor in conditioning.tensors.items()}
    FORMAT.write(path, header, tensors)


def load_identity(path: str | Path) -> Identity:
    """Read an .avatar file.

    Raises:
        IdentityFileError: missing, corrupt, not an .avatar file, or of a newer version.
    """
    return FORMAT.read(path, _names, _assemble)


def name_in(path: str | Path) -> str:
    """The name in an .avatar file, without reading the rest; errors as of `load_identity`."""
    return FORMAT.header(path).get("name", "")[:NAME_MAX]


def _of(key: str, number: int) -> str:
    """The tensor that holds `key` of a view."""
    return f"{key}.{number}" if number else key


def _kind(name: str) -> Kind:
    """How the picture in that tensor is packed."""
    return "JPEG" if name.startswith("texture.") else "PNG"


def _stored(name: str, part: NDArray[Any]) -> NDArray[Any]:
    key = name.partition(".")[0]
    return packed(part, _kind(name)) if key in PICTURES else np.asarray(part, np.float32)


def _views(header: Header) -> int:
    """How many views the file holds."""
    if int(header["version"]) < 2:
        return 1
    text = header["views"]
    if not (text.isascii() and text.isdigit() and len(text) <= 2 and 1 <= int(text) <= VIEWS_MAX):
        raise ValueError(f"an avatar has 1 to {VIEWS_MAX} views")
    return int(text)


def _names(header: Header, found: Set[str]) -> set[str]:
    """The tensors that a file with that header has to hold."""
    names = {*OF_IDENTITY, *(_of(key, number) for number in range(_views(header)) for key in OF_VIEW)}
    if "conditioning" in header:
        names |= {name for name in found if name.startswith(WORKED_OUT)}
    return names


def _assemble(header: Header, tensors: Tensors) -> Identity:
    left, top, side = json.loads(header["crop"])
    parts: dict[str, Any] = {key: _read(key, tensors[key]) for key in OF_IDENTITY}
    views = []
    for number in range(_views(header)):
        names = {key: _of(key, number) for key in OF_VIEW}
        views.append(View(**{key: _read(name, tensors[name]) for key, name in names.items()}))
    identity = Identity(
        name=header.get("name", "")[:NAME_MAX],
        crop=Crop(int(left), int(top), int(side)),
        views=tuple(views),
        conditioning=_conditioning(header, tensors),
        **parts,
    )
    check_identity(identity)
    return identity


def _read(name: str, tensor: NDArray[Any]) -> NDArray[Any]:
    key = name.partition(".")[0]
    if key in PICTURES:
        least, most = (1, PICTURE_MAX) if key == "picture" else (SIDE_MIN, SIDE_MAX)
        return unpacked(name, tensor, _kind(name), PICTURES[key], least, most)
    if tensor.shape != NUMBERS[key] or tensor.dtype != np.float32:
        raise ValueError(f"{name} is {tensor.shape} {tensor.dtype}, not {NUMBERS[key]} float32")
    return tensor


def _conditioning(header: Header, tensors: Tensors) -> Conditioning | None:
    if "conditioning" not in header:
        return None
    preset, weights = json.loads(header["conditioning"])
    found = {}
    for name, tensor in tensors.items():
        if name.startswith(WORKED_OUT):
            if tensor.dtype not in (np.float16, np.float32):
                raise ValueError(f"{name} is {tensor.dtype}, not float16 or float32")
            found[name.removeprefix(WORKED_OUT)] = tensor.astype(np.float32)
    return Conditioning(preset, weights, found)
