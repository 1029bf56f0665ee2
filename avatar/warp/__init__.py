"""Moves the portrait's own pixels into the wanted pose."""

from avatar.warp.warp import Warper

__all__ = ["Warper"]
