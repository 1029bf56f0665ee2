"""What is known to keep a virtual camera from being there, or from being seen in a meeting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from avatar.camera_setup import kernel_module, linux, obs, sandbox
from avatar.camera_setup.kernel_module import MODULE
from avatar.camera_setup.system import System
from avatar.output.virtual_devices import VirtualCameraDevice, how_to_create

_BY_COMMAND = f"{how_to_create()} (shows the steps; with --yes it takes them)"


@dataclass(frozen=True, slots=True)
class Trap:
    """One thing that is in the way."""

    name: str
    """What it is about: a device, "v4l2loopback", a program."""
    kind: Literal["missing", "wrong", "info"]
    """No camera because of it; one that does not work everywhere; worth knowing."""
    text: str
    remedy: str
    """How to mend it."""


def find_traps(system: System) -> list[Trap]:
    """All that are known to be in the way on this system."""
    if system.platform.startswith("linux"):
        return list(_on_linux(system))
    if system.platform == "darwin":
        return list(_on_macos(system))
    if system.platform == "win32":
        return list(_on_windows(system))
    return []


def _on_linux(system: System) -> Iterator[Trap]:
    cameras = system.cameras()
    if not cameras:
        yield _no_device(system)
    alone = kernel_module.exclusive_caps(system, cameras)
    for camera in cameras:
        if not alone.get(camera.device, True):
            text = f"{camera.name} was made without exclusive_caps=1: Chrome does not list it"
            yield Trap(camera.device, "wrong", text, _BY_COMMAND)
        yield from _in_the_way(system, camera)
    if cameras and not kernel_module.comes_back(system):
        yield Trap(MODULE, "info", "is not loaded when the system starts", _BY_COMMAND)
    for hidden in sandbox.hidden_cameras(system):
        text = "its sandbox hides all cameras from it"
        yield Trap(hidden.program, "wrong", text, f"{hidden.remedy}, then start it again")
    if sandbox.has_old_zoom(system):
        text = "does not list a camera that Chrome lists, as its users say (exclusive_caps=1)"
        yield Trap("Zoom (snap)", "info", text, "take Zoom's own package (zoom.us) if that is so")


def _no_device(system: System) -> Trap:
    obstacle = kernel_module.obstacle(system)
    if obstacle:
        return Trap("virtual camera", "missing", f"none found; {obstacle.reason}", obstacle.remedy)
    kernels = kernel_module.kernels_with_it(system)
    if kernel_module.is_loaded(system):
        return Trap(MODULE, "missing", "is loaded, but has no device", _BY_COMMAND)
    if system.kernel in kernels:
        refused = linux.secure_boot_hint(system)
        remedy = f"{_BY_COMMAND}. {refused}" if refused else _BY_COMMAND
        return Trap(MODULE, "missing", "is installed, but not loaded", remedy)
    if kernels:
        text = f"is there for the kernel {', '.join(kernels)}, but {system.kernel} runs"
        return Trap(MODULE, "missing", text, f"{_BY_COMMAND}; or restart, if that kernel is the newer one")
    return Trap(MODULE, "missing", "is not installed: no virtual camera can be made", _BY_COMMAND)


def _in_the_way(system: System, camera: VirtualCameraDevice) -> Iterator[Trap]:
    if not system.path(camera.device).exists():
        remedy = kernel_module.given_to_container(camera.device)
        yield Trap(camera.device, "wrong", f"{camera.name} is not shown to this container", remedy)
    elif not system.may_use(system.path(camera.device)):
        if linux.is_member(system):
            yield Trap(camera.device, "wrong", "this session may not use it", "log out and in again")
        else:
            remedy = f"sudo usermod -aG {linux.GROUP} {system.user}, then log out and in again"
            yield Trap(camera.device, "wrong", f"{system.user} is not in the group {linux.GROUP}", remedy)
    if kernel_module.is_in_use(system, camera):
        who = ", ".join(kernel_module.holders(system, camera.device))
        if who:
            text = f"is in use by {who}"
            remedy = "end the program that feeds it; those that watch do no harm"
        else:
            text = "is in use by a program of another user"
            remedy = f"sudo fuser -v {camera.device} says by which"
        yield Trap(camera.device, "info", text, remedy)


def _on_macos(system: System) -> Iterator[Trap]:
    version = obs.obs_version(system)
    if version is None:
        yield Trap("OBS", "missing", "is not installed: there is no virtual camera", _BY_COMMAND)
        return
    if obs.too_old(system, version):
        text = f"is {version}; this macOS needs {obs.OLDEST_ON_MACOS} or newer"
        yield Trap("OBS", "missing", text, "update it, and start its virtual camera once")
    match obs.extension(system):
        case "absent":
            text = "was never started with its virtual camera: macOS does not know the camera"
            yield Trap("OBS", "missing", text, _BY_COMMAND)
        case "waiting":
            yield Trap("OBS", "missing", "its camera was not allowed yet", obs.ALLOW.what)
        case "leaving":
            yield Trap("OBS", "missing", "its old camera goes only with a restart", "restart the Mac")
    yield from _while_obs_runs(system)


def _on_windows(system: System) -> Iterator[Trap]:
    if not system.cameras():
        if obs.has_obs_on_windows(system):
            text = "is installed, but Windows does not know its camera"
            yield Trap("OBS", "missing", text, obs.register_on_windows())
        else:
            yield Trap("OBS", "missing", "is not installed: there is no virtual camera", _BY_COMMAND)
    yield from _while_obs_runs(system)


def _while_obs_runs(system: System) -> Iterator[Trap]:
    if obs.runs(system):
        text = "is running; if its virtual camera is on, nobody else can feed it"
        yield Trap("OBS", "info", text, "press 'Stop Virtual Camera' in OBS, or quit it")
