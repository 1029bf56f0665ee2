"""Reading the weights of TensorFlow.js models into numpy; nothing in them is run.

A model is two files: a layout, which lists the tensors with their shapes and how they were quantised, and the
numbers of all tensors end to end. The layout is the JSON of a graph or layers model, the bare list of weight
groups that face-api uses, or the minified JavaScript that nsfwjs wraps both files in.

Source: the TensorFlow.js model format, tfjs-core/src/io (types.ts, io_utils.ts): `decodeWeights`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avatar import weights
from avatar.errors import ModelError

_PLAIN = {"float32": "<f4", "int32": "<i4", "uint8": "u1", "bool": "?"}
_QUANTISED = {"uint8": "u1", "uint16": "<u2", "float16": "<f2"}
_MAX_DIMENSIONS = 8
_EXPORTED_STRING = re.compile(rb'\.exports="([A-Za-z0-9+/]*={0,2})"')
_JS_TOKEN = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*") | (?P<key>[A-Za-z_$][\w$]*)(?=:) | (?P<word>null|true|false)
      | (?P<flag>![01]) | (?P<number>-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?) | (?P<mark>[\[\]{},:])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """How one tensor lies in the file of numbers."""

    name: str
    shape: tuple[int, ...]
    stored: np.dtype[Any]
    """Type of the numbers in the file."""
    scale: float | None = None
    """What stored numbers are multiplied by if they are quantised, before `low` is added."""
    low: float = 0.0

    @property
    def nbytes(self) -> int:
        """Length in the file."""
        return math.prod(self.shape) * self.stored.itemsize


class Tensors:
    """The tensors of one model, each to be taken exactly once.

    What was not taken at the end is a part of the network that nobody built: `finish` refuses it.
    """

    def __init__(self, source: str, arrays: dict[str, NDArray[Any]]) -> None:
        self.source = source
        self._arrays = dict(arrays)

    def take(self, name: str) -> NDArray[Any]:
        """The tensor called `name`; raises ModelError if there is none, or it was taken before."""
        try:
            return self._arrays.pop(name)
        except KeyError:
            raise ModelError(f"{self.source} has no tensor {name!r}") from None

    def expect(self, name: str, value: Any) -> None:
        """Take a constant that the network's code has built in; raises ModelError if it has another value."""
        found = self.take(name)
        if found.tolist() != value:
            raise ModelError(f"{self.source}: {name} is {found.tolist()}, expected {value}")

    def drop(self, *prefixes: str) -> None:
        """Forget the tensors of parts that are not wanted; raises ModelError if a prefix has none."""
        for prefix in prefixes:
            found = [name for name in self._arrays if name.startswith(prefix)]
            if not found:
                raise ModelError(f"{self.source} has no tensor {prefix}*")
            for name in found:
                del self._arrays[name]

    def finish(self) -> None:
        """Raise ModelError if any tensor was not taken."""
        if self._arrays:
            raise ModelError(f"{self.source} has tensors that were not expected: {', '.join(self._arrays)}")


def load_tensors(name: str) -> Tensors:
    """The tensors of a model of the manifest: `name` is its layout's entry, `name`_weights its numbers'.

    Raises:
        ModelError: a file cannot be had, or is not what it should be.
    """
    layout, numbers = weights.resolve(name), weights.resolve(f"{name}_weights")
    return Tensors(name, read_tensors(layout, numbers))


def read_tensors(layout: Path, numbers: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a model by name, dequantised; files that end in .js are unwrapped first.

    Raises:
        ModelError: a file is corrupt, of another kind, or the two do not belong together.
    """
    entries = parse_layout(layout.read_bytes(), str(layout), is_script=layout.suffix == ".js")
    data = numbers.read_bytes()
    if numbers.suffix == ".js":
        data = _unwrap(data, str(numbers))
    total = sum(entry.nbytes for entry in entries)
    if total != len(data):
        raise ModelError(f"{numbers} holds {len(data)} bytes of numbers, {layout} describes {total}")
    arrays, at = {}, 0
    for entry in entries:
        stored = np.frombuffer(data, entry.stored, math.prod(entry.shape), at).reshape(entry.shape)
        arrays[entry.name] = _value(stored, entry)
        at += entry.nbytes
    return arrays


def _value(stored: NDArray[Any], entry: TensorLayout) -> NDArray[Any]:
    if entry.scale is not None:
        return stored.astype(np.float32) * np.float32(entry.scale) + np.float32(entry.low)
    return stored.astype(np.float32 if stored.dtype.kind == "f" else stored.dtype)


def parse_layout(data: bytes, source: str, *, is_script: bool = False) -> list[TensorLayout]:
    """The tensors a layout file lists, in the order of the file of numbers.

    Raises:
        ModelError: it is no such file; the message begins with `source`.
    """
    try:
        text = data.decode("utf-8")
        found = json.loads(_weights_of_script(text) if is_script else text)
        groups = found["weightsManifest"] if isinstance(found, dict) else found
        entries = [_entry(fields) for group in groups for fields in group["weights"]]
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        # ValueError: also what is not UTF-8 and what is not JSON
        raise ModelError(f"{source} is not the layout of a TensorFlow.js model ({error!r})") from None
    names = [entry.name for entry in entries]
    if not names or len(set(names)) != len(names):
        raise ModelError(f"{source} lists no tensor, or one twice")
    return entries


def _entry(fields: dict[str, Any]) -> TensorLayout:
    name, shape, dtype = str(fields["name"]), fields["shape"], fields["dtype"]
    sound = isinstance(shape, list) and len(shape) <= _MAX_DIMENSIONS
    if not sound or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        raise ValueError(f"{name} has shape {shape}")
    quantisation = fields.get("quantization")
    if quantisation is None:
        return TensorLayout(name, tuple(shape), np.dtype(_PLAIN[dtype]))
    if dtype != "float32":
        raise ValueError(f"{name} is quantised {dtype}")
    stored = np.dtype(_QUANTISED[quantisation["dtype"]])
    if stored.kind == "f":
        return TensorLayout(name, tuple(shape), stored)
    scale, low = float(quantisation["scale"]), float(quantisation["min"])
    if not math.isfinite(scale) or not math.isfinite(low):
        raise ValueError(f"{name} is scaled by {scale} from {low}")
    return TensorLayout(name, tuple(shape), stored, scale, low)


def _unwrap(script: bytes, source: str) -> bytes:
    """The bytes that a script exports as one base64 string."""
    found = _EXPORTED_STRING.findall(script)
    try:
        (encoded,) = found
        return base64.b64decode(encoded, validate=True)
    except (ValueError, binascii.Error):
        raise ModelError(f"{source} does not export one base64 string") from None


def _weights_of_script(script: str) -> str:
    """As JSON: the value after `weightsManifest:` in a script; raises ValueError if there is none."""
    _, key, literal = script.partition("weightsManifest:")
    if not key:
        raise ValueError("no weightsManifest")
    return "".join(_json_of_literal(literal))


def _json_of_literal(literal: str) -> Iterator[str]:
    """The JavaScript literal at the start of the text, piece by piece as JSON; reads to its last bracket."""
    depth, at = 0, 0
    while match := _JS_TOKEN.match(literal, at):
        at, text = match.end(), match.group()
        match match.lastgroup:
            case "key":
                yield f'"{text}"'
            case "flag":
                yield "true" if text == "!0" else "false"
            case "number":
                yield re.sub(r"^(-?)\.", r"\g<1>0.", text)
            case _:
                yield text
        depth += (text in "[{") - (text in "]}") if match.lastgroup == "mark" else 0
        if depth == 0:
            return
    raise ValueError(f"cannot read {literal[at : at + 20]!r}")
