"""Moves the person's own pixels into the wanted pose."""

from avatar.tools.looks import looks
from avatar.warp.choice import Choice
from avatar.warp.view_warper import ViewPlan, ViewWarper
from avatar.warp.warp import Warper

__all__ = ["Choice", "ViewPlan", "ViewWarper", "Warper", "looks"]
