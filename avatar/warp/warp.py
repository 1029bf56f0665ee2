"""The warp stage: the person's own pixels in the wanted pose, of the views that are nearest to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from avatar.records import F32, Identity, Motion, Warped
from avatar.warp.choice import Choice, ViewChooser
from avatar.warp.view_warper import ViewWarper

OTHER_SIDE = 342
"""Side of the second best view [px]: the networks' window of it is 256 pixels wide."""


class Warper:
    """Identity and motion to the person's pixels in the wanted pose.

    With several views the nearest one is moved, and the second nearest beside it; where another becomes the
    nearest, one goes over into the other.

    Args:
        identity: who.
        side: side S of the result in pixels.
        with_other: whether the second nearest view is wanted too.
        crispness: of the nearest view, as of `ViewWarper`.
    """

    def __init__(
        self, identity: Identity, side: int, *, with_other: bool = True, crispness: float = 0.0
    ) -> None:
        self.side = side
        front, several = identity.front, len(identity.views) > 1
        self.views = [ViewWarper(view, side, front, crispness) for view in identity.views]
        small = identity.views if several and with_other else ()
        self.small = [ViewWarper(view, OTHER_SIDE, front) for view in small]
        """For the second nearest view; empty if none is wanted."""
        self._choose = ViewChooser(identity.views) if several else None

    def __call__(self, motion: Motion, captured_ns: int) -> Warped:
        """Move the person; `captured_ns` is when the driver moved so."""
        best, second = self.choose(motion, captured_ns)
        warped = _moved(self.views, best, motion)
        return warped if second is None else replace(warped, other=_moved(self.small, second, motion))

    def choose(self, motion: Motion, captured_ns: int) -> tuple[Choice, Choice | None]:
        """Which of `views` is to be moved, and which of `small`; keeps state from frame to frame."""
        if self._choose is None:
            return Choice(0), None
        best, second = self._choose(motion.landmarks, captured_ns)
        return best, second if self.small else None


def _moved(warpers: Sequence[ViewWarper], choice: Choice, motion: Motion) -> Warped:
    """The chosen view moved, mixed with the one before while that goes."""
    warped = warpers[choice.view](motion)
    if choice.before is None:
        return warped
    before = warpers[choice.before](motion)
    for layer, old in ((warped.person, before.person), (warped.alpha, before.alpha)):
        cv2.addWeighted(layer, choice.share, old, 1 - choice.share, 0, dst=layer)
    share = np.float32(choice.share)
    confidence: F32 = before.confidence + share * (warped.confidence - before.confidence)
    return Warped(warped.person, warped.alpha, confidence)
