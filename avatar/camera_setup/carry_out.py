"""The plan for a system, and how it is carried out."""

from __future__ import annotations

from collections.abc import Callable

from avatar.camera_setup import linux, obs
from avatar.camera_setup.plan import SUDO, Plan, Step
from avatar.camera_setup.system import System
from avatar.errors import VirtualCameraError

_ROUNDS = 2
"""Only once the module is loaded can be seen who may use its device."""

_WITHOUT_SUDO = (
    "there is no sudo here: run 'avatar setup-camera' without --yes, and type its steps, without sudo, in a "
    "terminal of root"
)


def plan(system: System) -> Plan:
    """What there is, and what is left to do, on any system. Changes nothing."""
    if system.platform.startswith("linux"):
        return linux.plan(system)
    if system.platform == "darwin":
        return obs.plan_on_macos(system)
    if system.platform == "win32":
        return obs.plan_on_windows(system)
    return Plan(impossible=f"virtual cameras are not known to be possible on {system.platform}")


def carry_out(system: System, tell: Callable[[str], None]) -> Plan:
    """Run what is left to do, until all is well.

    Args:
        system: what it is done to.
        tell: is given each step in words, and its command, before it is run.

    Raises:
        VirtualCameraError: a command failed, the next step is a person's, or there is no camera in the end.
        OSError: a command could not be started.
    """
    done: set[Step] = set()
    for _ in range(_ROUNDS):
        left = plan(system)
        for step in left.steps:
            if step in done:
                continue
            if not step.command:
                raise VirtualCameraError(f"the next step is yours: {step.what}")
            tell(f"{step.what}: {step.line(system)}")
            try:
                status = system.run(step.argv(system), step.given)
            except FileNotFoundError as error:
                if step.argv(system)[0] != SUDO:
                    raise
                raise VirtualCameraError(_WITHOUT_SUDO) from error
            if status != 0:
                hints = "".join(f". {hint}" for hint in left.hints)
                raise VirtualCameraError(f"'{step.line(system)}' failed with status {status}{hints}")
            done.add(step)
    left = plan(system)
    if not left.well:
        raise VirtualCameraError("all steps were run, but something is missing still; see 'avatar doctor'")
    return left
