"""Pictures as bytes in an .avatar file: PNG without loss, or JPEG; unpacked only once they are checked."""

from __future__ import annotations

import io
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avatar.records import U8

Kind = Literal["PNG", "JPEG"]

JPEG_QUALITY = 95
_STARTS = {"PNG": b"\x89PNG\r\n\x1a\n", "JPEG": b"\xff\xd8\xff"}
_PNG_HEAD = 33


def packed(picture: U8, kind: Kind) -> U8:
    """A picture (H, W, 3) RGB or (H, W) as bytes (N,); JPEG keeps the colours at full resolution (4:4:4)."""
    stored = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    options: list[int] = []
    if kind == "JPEG":
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return np.asarray(cv2.imencode(f".{kind.lower()}", stored, options)[1], np.uint8).ravel()


def unpacked(key: str, stored: NDArray[Any], kind: Kind, channels: int, least: int, most: int) -> U8:
    """The picture in bytes that an enemy may have written.

    Args:
        key: what it is, for errors.
        stored: the bytes.
        kind: what they have to be.
        channels: of the picture.
        least: shortest side allowed [px].
        most: longest side allowed [px].

    Raises:
        ValueError: no such picture.
    """
    if stored.dtype != np.uint8 or stored.ndim != 1 or stored.size < _PNG_HEAD:
        raise ValueError(f"{key} is no picture")
    start = _STARTS[kind]
    if stored[: len(start)].tobytes() != start:
        raise ValueError(f"{key} is no {kind}")
    if kind == "PNG":
        # Asked before Pillow reads a byte: few bytes can become a picture larger than the memory.
        _check_size(key, (_number(stored, 16), _number(stored, 20)), least, most)
    try:
        # not OpenCV, which tells damage to the terminal
        with Image.open(io.BytesIO(stored.tobytes()), formats=[kind]) as image:
            size = image.size
            _check_size(key, size, least, most)
            if image.info.get("progressive"):  # one of a thousand passes takes a minute
                raise ValueError
            picture = np.array(image)
    except _SizeError:
        raise
    except Exception as error:  # what a decoder raises over a damaged file has no end
        raise ValueError(f"{key} cannot be unpacked") from error
    shape = (size[1], size[0], channels)[: 2 if channels == 1 else 3]
    if picture.dtype != np.uint8 or picture.shape != shape:
        raise ValueError(f"{key} is {picture.dtype} {picture.shape}, not uint8 {shape}")
    return picture


class _SizeError(ValueError):
    """A picture of a size that is not allowed."""


def _check_size(key: str, size: tuple[int, int], least: int, most: int) -> None:
    width, height = size
    if not (least <= width <= most and least <= height <= most):
        raise _SizeError(f"{key} is {width}x{height}")


def _number(stored: NDArray[Any], at: int) -> int:
    return int.from_bytes(stored[at : at + 4].tobytes(), "big")
