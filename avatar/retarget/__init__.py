"""Carries the driver's motion over to the portrait's own head."""

from avatar.retarget.own_motion import OwnMotion
from avatar.retarget.retarget import Retargeter
from avatar.retarget.tuning import Tuning

__all__ = ["OwnMotion", "Retargeter", "Tuning"]
