"""The portrait that comes with the program."""

from __future__ import annotations

import numpy as np
from skimage import data

from avatar.records import U8


def demo_portrait() -> U8:
    """(512, 512, 3) uint8 RGB: the astronaut Eileen Collins, a NASA picture that scikit-image carries."""
    picture = data.astronaut()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(picture, dtype=np.uint8)
