"""A time code in a picture, for machines: black and white blocks that survive cameras and video formats.

Eight blocks across and four down, in the upper left corner: one white, one black, 24 bits of time, 6 bits by
which a misread code is known. The time is in steps of 0.1 ms, so it begins anew after 28 minutes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]

BLOCK = 16
"""Side of a block [px]; its inner half is read."""
COLUMNS, ROWS = 8, 4
SIZE = COLUMNS * BLOCK, ROWS * BLOCK
"""(width, height) of the code [px]."""
BITS, CHECK_BITS = 24, 6
STEP_NS = 100_000
"""One step of the code's time."""
CONTRAST = 64
"""White and black must be so many grey levels apart."""


def to_code(passed_ns: int) -> int:
    """The code of a time since some beginning."""
    return passed_ns // STEP_NS % (1 << BITS)


def since_ms(passed_ms: float, code: int) -> float:
    """How long ago a code was the time, `passed_ms` after the beginning; less than a round of 28 minutes."""
    return (passed_ms - code * STEP_NS / 1e6) % ((1 << BITS) * STEP_NS / 1e6)


def stamp(picture: U8, code: int) -> None:
    """Write a code into a picture (H, W, 3), in place.

    Raises:
        ValueError: the picture is too small, or the code has too many bits.
    """
    if picture.shape[0] < SIZE[1] or picture.shape[1] < SIZE[0]:
        height, width = picture.shape[:2]
        raise ValueError(f"a time code takes {SIZE[0]}x{SIZE[1]} pixels, the picture has {width}x{height}")
    if not 0 <= code < 2**BITS:
        raise ValueError(f"a time code has {BITS} bits, got {code}")
    word = code << CHECK_BITS | _check(code)
    bits = [1, 0, *(word >> place & 1 for place in reversed(range(BITS + CHECK_BITS)))]
    blocks = np.array(bits, np.uint8).reshape(ROWS, COLUMNS) * np.uint8(255)
    picture[: SIZE[1], : SIZE[0]] = blocks.repeat(BLOCK, 0).repeat(BLOCK, 1)[..., None]


def read(picture: U8) -> int | None:
    """The code of a picture (H, W, 3); None if there is none, or it cannot be read."""
    if picture.shape[0] < SIZE[1] or picture.shape[1] < SIZE[0]:
        return None
    quarter = BLOCK // 4
    blocks = picture[: SIZE[1], : SIZE[0]].reshape(ROWS, BLOCK, COLUMNS, BLOCK, -1)
    levels = blocks[:, quarter:-quarter, :, quarter:-quarter].mean(axis=(1, 3, 4)).ravel()
    white, black = levels[:2]
    if white - black < CONTRAST:
        return None
    word = 0
    for level in levels[2:]:
        word = word << 1 | int(level > (white + black) / 2)
    code = word >> CHECK_BITS
    return code if _check(code) == word % 2**CHECK_BITS else None


def _check(code: int) -> int:
    """Six bits that change with every bit of the code; not zero for zero."""
    return (code * 0x9E3779B1 + 0x2545F491) >> 20 & ((1 << CHECK_BITS) - 1)
