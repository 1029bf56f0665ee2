"""The generate stage without a network: the warped person, and the background behind."""

from __future__ import annotations

from avatar.records import Identity, Motion, Portrait, Warped
from avatar.tools.scaling import resized
from avatar.tools.stacking import over


class WarpGenerator:
    """Warped pixels to a finished portrait, with nothing learnt.

    Args:
        identity: who.
        side: side S of the portrait in pixels.
    """

    looks_at_other = False
    crispness = 0.0
    runtime: str | None = None

    def __init__(self, identity: Identity, side: int) -> None:
        self._plate = resized(identity.plate, side)

    def __call__(self, warped: Warped, motion: Motion) -> Portrait:
        """Finish one portrait; `motion` is there as for every generator, and changes nothing."""
        return Portrait(over(warped.person, warped.alpha, self._plate))
