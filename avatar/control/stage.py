"""What plays, and what the outputs get of it: exchanged between two frames, never without a picture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from avatar.records import U8, Frame, Motion, Observation
from avatar.retarget import Retargeter, Tuning
from avatar.tools.signs import Badge, card


class Renders(Protocol):
    """What makes finished frames; `pipeline.Renderer` does."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of its frames."""

    def begin(self, motion: Motion, index: int, captured_ns: int) -> Callable[[], Frame]:
        """Make the first half of a frame; what comes back makes the rest."""


@dataclass(frozen=True, slots=True, eq=False)
class Cast:
    """A portrait that is ready to play."""

    retarget: Retargeter
    renderer: Renders

    def rehearse(self) -> None:
        """Make a first frame, which takes longer than all others."""
        self.renderer.begin(self.retarget(Observation(None, 0, 0)), 0, 0)()
        self.retarget.reset()


class Stage:
    """Stands for retarget and renderer of a run, and lets others take their place while it goes.

    `retarget` and `begin` are for one thread of the run, what `begin` returns for another, all else for any.

    Args:
        cast: who plays first.

    Attributes:
        badge: whether frames say that they are artificial.
        paused: whether a card is shown in place of the avatar.
        tuning: how the driver's motion is taken.
    """

    def __init__(self, cast: Cast) -> None:
        self.size = cast.renderer.size
        self.badge = True
        self.paused = False
        self.tuning = Tuning()
        self._badge = Badge(self.size)
        self._card = card(self.size)
        self._card.flags.writeable = False
        self._cast = cast
        self._next: Cast | None = None
        self._lock = threading.Lock()

    def exchange(self, cast: Cast) -> None:
        """Let `cast` play from the next frame on.

        Raises:
            ValueError: its frames have another size.
        """
        if cast.renderer.size != self.size:
            raise ValueError(f"the frames would be {cast.renderer.size} != {self.size}")
        with self._lock:
            self._next = cast

    def as_in_mirror(self, frame: Frame) -> U8:
        """A frame of this stage as its user likes to see it, (H, W, 3); what is written can still be read."""
        if frame.sign == "card":
            return frame.rgb
        if frame.sign == "badge":
            return self._badge.mirrored(frame.rgb)
        return np.ascontiguousarray(frame.rgb[:, ::-1])

    def set_neutral(self) -> None:
        """Take the driver's next face for his resting face."""
        with self._lock:
            (self._next or self._cast).retarget.set_neutral()

    def retarget(self, observation: Observation) -> Motion:
        """The motion of who plays now; this is where others take over."""
        with self._lock:
            if self._next is not None:
                self._next.retarget.take_over(self._cast.retarget)
                self._cast, self._next = self._next, None
            retarget = self._cast.retarget
        retarget.tuning = self.tuning
        return retarget(observation)

    def __call__(self, motion: Motion, index: int, captured_ns: int) -> Frame:
        """The finished frame, with what is laid over it."""
        return self.begin(motion, index, captured_ns)()

    def begin(self, motion: Motion, index: int, captured_ns: int) -> Callable[[], Frame]:
        """The first half of a frame. Who began it makes the rest, too, if another plays by then."""
        if self.paused:
            return lambda: Frame(self._card, index, captured_ns, sign="card")
        finish = self._cast.renderer.begin(motion, index, captured_ns)

        def finished() -> Frame:
            frame = finish()
            if not self.badge:
                return frame
            self._badge(frame.rgb)
            return replace(frame, sign="badge")

        return finished
