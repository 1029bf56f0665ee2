"""Frames drawn on a graphics card: the same pictures as `warp`, `generate` and `composite` make.

What is small is worked out on the processor by those stages: mesh, flow in cells, what eyes and mouth show,
the landmarks' drawing. It goes up in one piece. Pixels are moved, mended and pasted on the card, where
textures and canvas lie, and the finished frame comes down: one upload and one download a frame.
"""

from avatar.card.ferry import Ferry
from avatar.card.renderer import CardRenderer

__all__ = ["CardRenderer", "Ferry"]
