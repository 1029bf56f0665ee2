"""Moves the person's own pixels into the wanted pose."""

from avatar.tools.looks import looks
from avatar.warp.view_warper import ViewWarper
from avatar.warp.warp import Warper

__all__ = ["ViewWarper", "Warper", "looks"]
