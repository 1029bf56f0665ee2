"""How this computer gets a virtual camera that meeting programs accept, and what may be in the way."""

from __future__ import annotations

from avatar.camera_setup.carry_out import carry_out, plan
from avatar.camera_setup.plan import Plan, Step
from avatar.camera_setup.system import System, this_system
from avatar.camera_setup.traps import Trap, find_traps

__all__ = ["Plan", "Step", "System", "Trap", "carry_out", "find_traps", "plan", "this_system"]
