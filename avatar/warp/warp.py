"""The warp stage: the person's own pixels in the wanted pose."""

from __future__ import annotations

from avatar.records import Identity, Motion, Warped
from avatar.warp.view_warper import ViewWarper


class Warper:
    """Identity and motion to the person's pixels in the wanted pose.

    Args:
        identity: who.
        side: side S of the result in pixels.
    """

    def __init__(self, identity: Identity, side: int) -> None:
        self.side = side
        self._front = ViewWarper(identity.front, side)

    def __call__(self, motion: Motion, captured_ns: int) -> Warped:
        """Move the person; `captured_ns` is when the driver moved so."""
        return self._front(motion)
