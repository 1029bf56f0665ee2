"""Carries the driver's motion over to the portrait's own head."""

from avatar.retarget.own_motion import OwnMotion
from avatar.retarget.retarget import Retargeter, Tuning

__all__ = ["OwnMotion", "Retargeter", "Tuning"]
