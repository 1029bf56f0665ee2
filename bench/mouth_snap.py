"""A face whose mouth snaps open, as pictures for a camera; and when that is to be seen at the far end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avatar.capture.timetable import Ticks
from avatar.pipeline import Renderer
from avatar.records import U8, Face, Frame, Identity, Observation
from avatar.retarget import Retargeter
from avatar.tools.close_ups import boxes_of
from avatar.tools.facemesh import BLENDSHAPE_NAMES, MOUTH, face_height, face_model
from avatar.tools.placement import Mode, place
from bench.far_end import Box, Sight

JAW = 0.8
"""How wide the made mouth opens, as the score `jawOpen`."""
SETTLING = 90
"""Frames with a shut mouth at first: the program learns the resting face from 75."""
HOLD = 30
"""Frames that the mouth then stays open, and shut, in turn."""
BEFORE_MS, OPEN_MS = 250.0, (500.0, 800.0)
"""Where the shut and the open mouth are looked at, counted from the snap."""
STEPS = (0.1, 0.5, 0.9)
"""Parts of the whole change whose first frames are looked for: it begins, is half there, is nearly there."""
LEAST = 2.0
"""Mean change of the grey levels of the mouth's box, below which there was no snap to be seen."""


def pictures(identity: Identity, size: tuple[int, int]) -> tuple[U8, U8]:
    """(H, W, 3) each: a portrait with its mouth shut, and open, drawn by our warp from made motion.

    Args:
        identity: whose portrait.
        size: (width, height).
    """
    model = face_model()
    scores = np.zeros(len(BLENDSHAPE_NAMES), np.float32)
    shut = model.mean.astype(np.float32).copy()
    for upper, lower in MOUTH.pairs:
        shut[[upper, lower]] = (shut[upper] + shut[lower]) / 2
    scores[BLENDSHAPE_NAMES.index("jawOpen")] = JAW
    wide = model.mean + model.expression(scores)
    made = [
        Face((100 * shape + 250).astype(np.float32), np.zeros_like(scores), np.eye(4, dtype=np.float32), size)
        for shape in (shut, wide)
    ]
    retarget = Retargeter(identity, smoothing=0)
    retarget.prepare(made[:1])
    draw = Renderer(identity, size=size, mode="fill", generator="warp")
    # A second apart: nothing is left of the one before.
    drawn = [draw(retarget(Observation(face, n, n * 10**9)), n, n * 10**9).rgb for n, face in enumerate(made)]
    return drawn[0], drawn[1]


class SnapCamera:
    """Shows two pictures in turn: the first for `SETTLING` frames, then both for `HOLD` each.

    Args:
        shown: shut and open.
        fps: pictures a second.

    Attributes:
        snaps_ns: time stamps of the first frames with an open mouth.
    """

    def __init__(self, shown: tuple[U8, U8], fps: float) -> None:
        self.fps = fps
        self.snaps_ns: list[int] = []
        self._shown = shown
        self._open = False
        self._ticks = Ticks(fps, paced=True, total=None)

    def __call__(self) -> Frame | None:
        """The next picture when it is due."""
        tick = self._ticks()
        if tick is None:
            return None
        index, captured_ns = tick
        opened = index >= SETTLING and (index - SETTLING) // HOLD % 2 == 0
        if opened and not self._open:
            self.snaps_ns.append(captured_ns)
        self._open = opened
        return Frame(self._shown[opened], index, captured_ns)

    @property
    def dropped(self) -> int:
        """Pictures that nobody fetched in time."""
        return self._ticks.dropped

    def close(self) -> None:
        """End."""
        self._ticks.closed = True


def mouth_box(identity: Identity, size: tuple[int, int], mode: Mode) -> Box:
    """Where the avatar's mouth is on the canvas."""
    height, width = identity.picture.shape[:2]
    face = face_height(identity.front.landmarks)
    head = place((width, height), identity.crop, size, mode, face=face).head
    x, y, side = (float(number) for number in boxes_of(identity.front.landmarks[:, :2])[0])
    left, top = head.left + (x - side / 2) * head.width, head.top + (y - side / 2) * head.width
    right, bottom = left + side * head.width, top + side * head.width
    return max(0, round(left)), max(0, round(top)), min(size[0], round(right)), min(size[1], round(bottom))


@dataclass(frozen=True, slots=True)
class Snap:
    """One opening of the mouth, seen from the far end; times from the moment of the picture [ms]."""

    reached_ms: tuple[float, ...]
    """First frames in which `STEPS` of the whole change are there."""
    curve: tuple[tuple[float, float], ...]
    """(time, share of the whole change) of each frame around it."""


def find_snaps(sights: Sequence[Sight], snaps_ns: Sequence[int]) -> list[Snap]:
    """Each opening that can be seen; those whose shut or open mouth was not seen are left out.

    Args:
        sights: in the order they were seen, with levels.
        snaps_ns: when the camera's picture changed.
    """
    found = []
    for snap_ns in snaps_ns:
        times = np.array([(sight.seen_ns - snap_ns) / 1e6 for sight in sights])
        levels = np.array([sight.levels for sight in sights], np.float64)
        before = (times >= -BEFORE_MS) & (times < 0)
        after = (times >= OPEN_MS[0]) & (times < OPEN_MS[1])
        if not before.any() or not after.any():
            continue
        shut, wide = levels[before].mean(axis=0), levels[after].mean(axis=0)
        if np.abs(wide - shut).mean() < LEAST:
            continue
        change = (levels - shut) @ (wide - shut) / float((wide - shut) @ (wide - shut))
        near = (times >= -BEFORE_MS) & (times < OPEN_MS[1])
        later = times >= 0
        reached = tuple(float(times[later & (change >= share)].min()) for share in STEPS)
        curve = zip(times[near].tolist(), change[near].tolist(), strict=True)
        found.append(Snap(reached, tuple(curve)))
    return found
