"""Another face's proportions: how far its lids and lips must go to do what the driver's do."""

from __future__ import annotations

import numpy as np

from avatar.records import F32
from avatar.tools.facemesh import EYES, IRISES, MOUTH, OUTER_LIPS, Opening, face_model
from avatar.tools.geometry import smoothstep

EYE_REACH = 0.22
"""How far around an eye its proportions hold [face frame units; a face is 3.2 high]."""
MOUTH_REACH = 0.75
RATIO_MIN, RATIO_MAX = 0.6, 1.6

LID_SHUT, LID_FREE = 0.27, 0.55
"""Lids open less than the first part of their rest are shut; more than the second are as they are.

Of 111 blinking eyes of 83 people, half were seen to close to 0.05 of their rest and nine in ten to 0.31; of
eyes that do not blink one in a hundred is less open than 0.76.
"""
LID_WIDE = 1.3
"""Lids never open wider than this part of their rest: there is no more eye to show."""
LIPS_SHUT, LIPS_FREE = 0.035, 0.085
"""The same of the lips, face frame units."""
GAZE_ROOM = 0.3
"""How far the iris may go from the middle of the eye, in parts of the eye's width."""


def ratios(portrait: F32, driver: F32) -> F32:
    """(478, 3): what the driver's offsets from his rest are multiplied with to suit the portrait's face.

    Args:
        portrait: (478, 3), its resting face, face frame.
        driver: (478, 3), the driver's.
    """
    mean = face_model().mean
    found = np.ones((478, 3), np.float32)
    mouth = _clipped(_width(portrait, OUTER_LIPS) / _width(driver, OUTER_LIPS))
    found += (mouth - 1) * _near(mean, MOUTH, MOUTH_REACH)[:, None]
    for eye in EYES:
        opening = _clipped(opening_of(portrait, eye) / max(opening_of(driver, eye), 1e-3))
        found[:, 1] += (opening - 1) * _near(mean, eye, EYE_REACH)
    return found


def opening_of(shape: F32, opening: Opening) -> float:
    """Mean gap of an opening, face frame units, negative where its rims cross."""
    upper, lower = (shape[[pair[i] for pair in opening.pairs], 1] for i in (0, 1))
    return float((lower - upper).mean())


def touch(shape: F32, driver: F32, driver_rest: F32) -> tuple[F32, tuple[float, float]]:
    """Let lids and lips meet where the driver's do, and never cross.

    Args:
        shape: (478, 3), the portrait's wanted face, face frame.
        driver: (478, 3), the driver's face now.
        driver_rest: (478, 3), the driver's face at rest.

    Returns:
        The mended shape, and how far the right and left eye are closed (0..1).
    """
    shape = shape.copy()
    closed = []
    for eye in EYES:
        part = opening_of(driver, eye) / max(opening_of(driver_rest, eye), 1e-3)
        open_share = float(smoothstep((part - LID_SHUT) / (LID_FREE - LID_SHUT))) * min(
            1.0, LID_WIDE / max(part, LID_WIDE)
        )
        _meet(shape, eye, open_share, to_lower=0.75)
        closed.append(float(np.clip(1 - part * open_share, 0, 1)))
    _meet(
        shape,
        MOUTH,
        float(smoothstep((opening_of(driver, MOUTH) - LIPS_SHUT) / (LIPS_FREE - LIPS_SHUT))),
        to_lower=0.5,
    )
    return shape, (closed[0], closed[1])


def with_lids_shut(shape: F32, amount: float) -> F32:
    """The face (478, 3) with its lids shut by `amount`, 0 as they are .. 1 to the end."""
    shape = shape.copy()
    for eye in EYES:
        _meet(shape, eye, 1 - amount, to_lower=0.75)
    return shape


def keep_gaze_inside(shape: F32, rest: F32, closed: tuple[float, float]) -> F32:
    """Irises never leave their eyes sideways, and stay behind the lids that close over them.

    Args:
        shape: (478, 3), the portrait's wanted face, face frame.
        rest: (478, 3), the portrait at rest.
        closed: how far the right and left eye are closed; the tracker sees irises of shut eyes wander.
    """
    shape = shape.copy()
    for eye, iris, shut in zip(EYES, IRISES, closed, strict=True):
        corners = [eye.upper[0], eye.upper[-1]]
        middle = shape[corners].mean(axis=0)
        off = shape[iris[0]] - middle
        wanted = off + shut * (rest[iris[0]] - rest[corners].mean(axis=0) - off)
        room = GAZE_ROOM * float(np.linalg.norm(shape[corners[0]] - shape[corners[1]]))
        wanted[0] = np.clip(wanted[0], -room, room)
        shape[list(iris)] += wanted - off
    return shape


def _meet(shape: F32, opening: Opening, open_share: float, *, to_lower: float) -> None:
    upper, lower = ([pair[i] for pair in opening.pairs] for i in (0, 1))
    between = shape[lower] - shape[upper]
    share = np.where(between[:, 1:2] <= 0, 0.0, open_share)  # rims that have crossed meet, too
    lost = (1 - share) * between
    shape[upper] += to_lower * lost
    shape[lower] -= (1 - to_lower) * lost


def _near(mean: F32, opening: Opening, reach: float) -> F32:
    """(478,), 1 at the opening, falling off over `reach`."""
    ring = mean[list(opening.ring), :2]
    distance = np.linalg.norm(mean[:, None, :2] - ring[None], axis=2).min(axis=1)
    return np.asarray(np.exp(-((distance / reach) ** 2) / 2), np.float32)


def _width(shape: F32, opening: Opening) -> float:
    return float(np.linalg.norm(shape[opening.upper[0]] - shape[opening.upper[-1]]))


def _clipped(ratio: float) -> float:
    return float(np.clip(ratio, RATIO_MIN, RATIO_MAX))
