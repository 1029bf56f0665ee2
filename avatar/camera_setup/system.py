"""The computer as the set-up of a camera looks at it, and acts on it: the only door to the real one."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avatar.output.loopback import Loopback
from avatar.output.virtual_devices import VirtualCameraDevice, classes_root, virtual_camera_devices

_ANSWER_S = 15


@dataclass(frozen=True, slots=True)
class System:
    """A computer. Tests make one up: a folder, and functions that stand for its programs."""

    platform: str
    """As `sys.platform` has it."""
    root: Path
    """The folder that the system's own paths begin at."""
    kernel: str
    """Release of the running kernel, as of `uname -r`; on macOS the version of macOS, "14.5"."""
    user: str
    home: Path
    groups: frozenset[str]
    """Names of the groups that this session has."""
    is_root: bool
    may_use: Callable[[Path], bool]
    """Whether we may read and write that file."""
    capabilities: Callable[[str], int | None]
    """What the device of that name says it can do now, as `Loopback.capabilities`."""
    registry: Callable[[str], str | None]
    """As `virtual_devices.classes_root`."""
    ask: Callable[[Sequence[str]], str]
    """What a program prints; empty if there is no such program, or it fails."""
    run: Callable[[Sequence[str], str], int]
    """Runs a program before the user's eyes: arguments, standard input (empty: the terminal's); its status.

    Raises OSError where it cannot be started.
    """

    def path(self, name: str) -> Path:
        """Where the file that the system calls `name` ("/etc/modules") lies."""
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """The contents of that file, stripped; empty if it cannot be read."""
        try:
            return self.path(name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""

    def cameras(self) -> list[VirtualCameraDevice]:
        """The virtual cameras."""
        return virtual_camera_devices(platform=self.platform, root=self.root, registry=self.registry)


def this_system() -> System:
    """The computer that this runs on."""
    return System(
        platform=sys.platform,
        root=Path(os.environ.get("SystemDrive", "C:") + "/") if sys.platform == "win32" else Path("/"),
        kernel=platform.mac_ver()[0] if sys.platform == "darwin" else platform.release(),
        user=_user(),
        home=Path.home(),
        groups=_groups(),
        is_root=hasattr(os, "geteuid") and os.geteuid() == 0,
        may_use=_may_use,
        capabilities=lambda device: Loopback(device).capabilities(),
        registry=classes_root,
        ask=_ask,
        run=_run,
    )


def _user() -> str:
    """Who wants the camera: under sudo not root, but who called it."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "")
    import pwd

    try:
        return os.environ.get("SUDO_USER") or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _groups() -> frozenset[str]:
    if sys.platform == "win32":
        return frozenset()
    import grp

    caller = _caller()
    mine = os.getgrouplist(*caller) if caller else {*os.getgroups(), os.getegid()}
    return frozenset(group.gr_name for group in grp.getgrall() if group.gr_gid in mine)


def _may_use(path: Path) -> bool:
    """Whether who wants the camera may read and write it."""
    caller = _caller()
    if caller is None:
        return os.access(path, os.R_OK | os.W_OK)
    # Asked as that user, since access lists can say more than owner and group.
    user, group = caller
    asked = subprocess.run(
        ["test", "-r", path, "-a", "-w", path],
        user=user,
        group=group,
        extra_groups=os.getgrouplist(user, group),
        check=False,
    )
    return asked.returncode == 0


def _caller() -> tuple[str, int] | None:
    """Name and group of who called sudo; None: nobody did, or he is not known here."""
    if sys.platform == "win32" or os.geteuid() != 0 or (name := os.environ.get("SUDO_USER")) is None:
        return None
    import pwd

    try:
        return name, pwd.getpwnam(name).pw_gid
    except KeyError:
        return None


def _ask(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, timeout=_ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", errors="replace")


def _run(command: Sequence[str], given: str) -> int:
    return subprocess.run(command, input=given or None, text=True, check=False).returncode
