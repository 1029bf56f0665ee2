"""How the driver's motion is taken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    """How the driver's motion is taken; may be changed while he drives."""

    strength: float = 1.0
    """How much of his motion the portrait makes: 0 none, 1 all; lids and lips meet with each."""
    smoothing: float = 1.0
    """1 for a webcam; 0 not at all; more is calmer and later."""
    reach: float = 1.0
    """How far the head may turn and move, as a part of the usual limits; above 0."""
    alive: bool = False
    """Whether the portrait breathes and blinks while nobody drives."""
