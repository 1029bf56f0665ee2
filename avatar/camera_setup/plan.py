"""What a plan to make a virtual camera consists of."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from avatar.camera_setup.system import System

SUDO = "sudo"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a command, or, if that is empty, something that only a person can."""

    what: str
    """In words: "install the kernel module"."""
    command: tuple[str, ...] = ()
    given: str = ""
    """What the command reads from its standard input."""
    as_root: bool = True

    def line(self, system: System) -> str:
        """The command as a person types it; empty if there is none."""
        if not self.command:
            return ""
        line = shlex.join(self.argv(system))
        return f"echo {shlex.quote(self.given.strip())} | {line}" if self.given else line

    def argv(self, system: System) -> list[str]:
        """The command as it is run, through sudo where that is needed."""
        return [*([SUDO] if self.as_root and not system.is_root else []), *self.command]


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is, and what is left to do. Neither: nothing can be done, `impossible` says why."""

    ready: str = ""
    """The cameras that work now, "Avatar (/dev/video10)"; empty if none does."""
    steps: list[Step] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    """What may go wrong, or is to be done afterwards; a sentence each."""
    impossible: str = ""

    @property
    def well(self) -> bool:
        """Whether a camera is there and nothing is left to do."""
        return bool(self.ready) and not self.steps
