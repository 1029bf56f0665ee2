"""Carries the driver's motion over to the portrait's own head."""

from avatar.retarget.retarget import Retargeter

__all__ = ["Retargeter"]
