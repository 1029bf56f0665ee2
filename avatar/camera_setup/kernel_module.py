"""v4l2loopback, the kernel module that makes virtual cameras on Linux: is it there, and how is it set?"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from avatar.camera_setup.system import System
from avatar.output.loopback import Loopback
from avatar.output.virtual_devices import VirtualCameraDevice

MODULE = "v4l2loopback"
FIRST_NUMBER = 10
"""Webcams take the numbers from 0; this one is far from them and is kept when one is plugged in."""
LABEL = "Avatar"
LONGEST_LABEL = 31

_BOTH = 0x1 | 0x2
"""V4L2_CAP_VIDEO_CAPTURE and V4L2_CAP_VIDEO_OUTPUT."""
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_OPTION_FOLDERS = ("/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d")
_START_FOLDERS = ("/etc/modules-load.d", "/run/modules-load.d", "/usr/lib/modules-load.d")


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nobody can make a camera here."""

    reason: str
    remedy: str


def obstacle(system: System) -> Obstacle | None:
    """Why no kernel module can be loaded on this system; None if that is possible."""
    if "microsoft" in system.kernel.lower():
        reason = "this is Linux inside Windows (WSL), whose kernel has no virtual cameras"
        return Obstacle(reason, "install the program on Windows itself, and OBS with it")
    inside = _container(system)
    if inside:
        reason = f"this is a container ({inside}), and kernel modules are loaded outside of it"
        given = given_to_container(f"/dev/video{FIRST_NUMBER}")
        return Obstacle(reason, f"run 'avatar setup-camera' on its host, and {given}")
    if not system.path("/proc/modules").exists():
        reason = f"the kernel {system.kernel} was built without loadable modules"
        return Obstacle(reason, "start another kernel, or use another --output")
    return None


def given_to_container(device: str) -> str:
    """How a container gets the device of its host."""
    return f"start the container with --device {device}"


def is_loaded(system: System) -> bool:
    """Whether the running kernel has it."""
    return system.path(f"/sys/module/{MODULE}").exists()


def kernels_with_it(system: System) -> list[str]:
    """Releases of the installed kernels that `modprobe` finds it for."""
    found = []
    for folder in sorted(system.path("/lib/modules").glob("*")):
        if f"/{MODULE}.ko" in system.text(f"/lib/modules/{folder.name}/modules.dep"):
            found.append(folder.name)
    return found


def secure_boot(system: System) -> bool:
    """Whether the firmware lets only signed modules in: 4 bytes of attributes, then 1."""
    try:
        return system.path(_SECURE_BOOT).read_bytes()[4:] == b"\x01"
    except OSError:
        return False


def exclusive_caps(system: System, devices: Sequence[VirtualCameraDevice]) -> dict[str, bool]:
    """Of each device, as far as it can be known: whether it is a camera alone, while it is fed.

    Chrome, and what is built on it, lists no device that says it can be written to as well.
    """
    alone = {}
    for device in devices:
        told = Loopback(device.device, system.root).exclusive()
        caps = (system.capabilities(device.device) or 0) & _BOTH
        # while it is watched after it was fed, one that is a camera alone says both
        if caps and not (caps == _BOTH and is_in_use(system, device)):
            told = caps != _BOTH
        if told is not None:
            alone[device.device] = told
    return alone


def is_in_use(system: System, device: VirtualCameraDevice) -> bool:
    """Whether a program feeds it, or one still watches what another had fed."""
    return Loopback(device.device, system.root).form() is not None


def holders(system: System, device: str) -> list[str]:
    """The programs that have the device open, as "zoom (812)"; of other users' we are told only as root."""
    return [
        f"{system.text(f'/proc/{process}/comm') or 'a program'} ({process})"
        for process in sorted(_processes(system), key=int)
        if device in _open_files(system, process)
    ]


def options(system: System) -> dict[str, str]:
    """What to load it with: a camera of ours; where it has cameras already those, but for Chrome, too.

    Option -> value, with a comma between those of several cameras.
    """
    kept = [
        (int(device.device.removeprefix("/dev/video")), " ".join(re.split('[",\\s]+', device.name)))
        for device in system.cameras()
    ]
    cameras = kept or [(_free_number(system), LABEL)]
    return {
        "devices": str(len(cameras)),
        "video_nr": ",".join(str(number) for number, _ in cameras),
        "card_label": ",".join(name.strip()[:LONGEST_LABEL] for _, name in cameras),
        "exclusive_caps": ",".join("1" for _ in cameras),
    }


def comes_back(system: System) -> bool:
    """Whether it is loaded whenever the system starts, with `exclusive_caps`."""
    at_start = [system.text("/etc/modules"), *_texts(system, _START_FOLDERS).values()]
    set_so = re.compile(rf"^options\s+{MODULE}\s.*\bexclusive_caps=[1Yy]", re.MULTILINE)
    return any(re.search(rf"^{MODULE}\s*$", text, re.MULTILINE) for text in at_start) and any(
        set_so.search(text) for text in _texts(system, _OPTION_FOLDERS).values()
    )


def files_with_options(system: System) -> list[str]:
    """The files of the system that have options for it."""
    sets = re.compile(rf"^options\s+{MODULE}\s", re.MULTILINE)
    return [name for name, text in _texts(system, _OPTION_FOLDERS).items() if sets.search(text)]


def _container(system: System) -> str:
    if system.path("/run/.containerenv").exists():
        return "podman"
    if system.path("/.dockerenv").exists():
        return "docker"
    return system.text("/run/systemd/container")


def _free_number(system: System) -> int:
    number = FIRST_NUMBER
    while system.path(f"/sys/class/video4linux/video{number}").exists():
        number += 1
    return number


def _texts(system: System, folders: Sequence[str]) -> dict[str, str]:
    """The configuration files of those folders."""
    names = [
        f"{folder}/{path.name}" for folder in folders for path in sorted(system.path(folder).glob("*.conf"))
    ]
    return {name: system.text(name) for name in names}


def _processes(system: System) -> list[str]:
    return [path.name for path in system.path("/proc").glob("[0-9]*") if path.name.isdecimal()]


def _open_files(system: System, process: str) -> set[str]:
    found = set()
    try:
        for link in system.path(f"/proc/{process}/fd").iterdir():
            found.add(os.readlink(link))
    except OSError:  # another user's, or one that ends just now
        pass
    return found
