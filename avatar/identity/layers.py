"""Takes a head crop apart, once at enrolment: the person's colours, the matte, and the wall behind."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar.identity.matte import person_matte
from avatar.identity.plate import background_plate, membrane
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
    alpha = np.round(person_matte(rgb, landmarks, person) * 255).astype(np.float32) / np.float32(255)
    plate = background_plate(rgb, alpha, _trusted(side, inside))
    texture = person_colours(rgb, alpha, plate)
    return Layers(texture, np.round(alpha * 255).astype(np.uint8), plate)


def person_colours(rgb: U8, alpha: F32, plate: U8) -> U8:
    """The person's own colours, (S, S, 3): the wall taken off at the edge, continued smoothly outside."""
    picture, wall = rgb.astype(np.float32), plate.astype(np.float32)
    trust = np.clip((alpha - 0.75) / 0.25, 0, 1) ** 2
    own = membrane(picture, trust.astype(np.float32))
    # Minimises |a F + (1 - a) B - C|^2 + l |F - own|^2: the thinner the person, the less the pixel can tell.
    a = alpha[..., None]
    stiffness = np.float32(0.05)
    free = own + a * (picture - a * own - (1 - a) * wall) / (a * a + stiffness)
    mix = np.where(a >= 0.999, picture, free)
    return np.asarray(np.clip(mix + 0.5, 0, 255), np.uint8)


def _trusted(side: int, inside: tuple[float, float, float, float] | None) -> F32 | None:
    if inside is None:
        return None
    at = (np.arange(side, dtype=np.float32) + 0.5) / side
    across = (at >= inside[0]) & (at <= inside[2])
    down = (at >= inside[1]) & (at <= inside[3])
    return (down[:, None] & across[None, :]).astype(np.float32)
