"""Takes a head crop apart, once at enrolment: the person's colours, the matte, and the wall behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.identity.colours import keyed_matte, person_colours
from avatar.identity.matte import person_matte
from avatar.identity.plate import background_plate
from avatar.records import F32, U8


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """alpha * texture + (1 - alpha) * plate gives the picture back."""

    texture: U8
    """(S, S, 3), the person's colours, continued past the outline so that no wall is in them."""
    alpha: U8
    """(S, S), 255 where the person is."""
    plate: U8
    """(S, S, 3), the background with the person taken out."""


def split_layers(
    rgb: U8, landmarks: F32, person: F32, *, inside: tuple[float, float, float, float] | None = None
) -> Layers:
    """Split one head crop.

    Args:
        rgb: (S, S, 3) uint8, square, padded by reflection where it hangs over the picture.
        landmarks: (478, 3) float32, crop units.
        person: (S, S) float32 0..1, a segmenter's probability for that crop.
        inside: (left, top, right, bottom) in crop units of the part that is picture and no padding, so that
            the mirrored person in the padding is no example for the wall; None: all of it.

    Raises:
        ValueError: shapes or types are not as above.
    """
    side = rgb.shape[0]
    if rgb.dtype != np.uint8 or rgb.shape != (side, side, 3):
        raise ValueError(f"rgb must be (S, S, 3) uint8, got {rgb.shape} {rgb.dtype}")
    if person.shape != (side, side) or landmarks.shape != (478, 3):
        raise ValueError(
            f"person must be {(side, side)} and landmarks (478, 3), got {person.shape}, {landmarks.shape}"
        )
    trusted = _trusted(side, inside)
    rough = person_matte(rgb, landmarks, person)
    plate = background_plate(rgb, rough, trusted)
    matte = keyed_matte(rgb, rough, person_colours(rgb, rough, plate), plate)
    alpha = np.round(matte * 255).astype(np.uint8)
    plate = background_plate(rgb, matte, trusted)
    return Layers(person_colours(rgb, alpha.astype(np.float32) / np.float32(255), plate), alpha, plate)


def _trusted(side: int, inside: tuple[float, float, float, float] | None) -> F32 | None:
    if inside is None:
        return None
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    across = (at >= inside[0]) & (at <= inside[2])
    down = (at >= inside[1]) & (at <= inside[3])
    return (down[:, None] & across[None, :]).astype(np.float32)
