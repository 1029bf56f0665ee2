"""Makes a finished portrait of the warped pixels."""

from avatar.generate.warp_generator import WarpGenerator

__all__ = ["WarpGenerator"]
