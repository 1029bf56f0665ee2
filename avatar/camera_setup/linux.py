"""The steps to a virtual camera on Linux, by distribution."""

from __future__ import annotations

from typing import Literal

from avatar.camera_setup import kernel_module
from avatar.camera_setup.kernel_module import MODULE
from avatar.camera_setup.plan import Plan, Step
from avatar.camera_setup.system import System

OPTIONS_FILE = "/etc/modprobe.d/livehead-camera.conf"
START_FILE = "/etc/modules-load.d/livehead-camera.conf"
GROUP = "video"

_AGAIN = "then run 'avatar setup-camera' again"

Family = Literal["debian", "fedora", "ostree", "arch", "other"]

_KEYS: dict[Family, str] = {
    "debian": "sudo mokutil --import /var/lib/dkms/mok.pub (on Ubuntu: /var/lib/shim-signed/mok/MOK.der)",
    "arch": "sudo mokutil --import /var/lib/dkms/mok.pub",
    "fedora": "sudo kmodgenca -a && sudo mokutil --import /etc/pki/akmods/certs/public_key.der",
    "ostree": "sudo kmodgenca -a && sudo mokutil --import /etc/pki/akmods/certs/public_key.der",
}
"""How to have the firmware take the key that the module is signed with."""


def plan(system: System) -> Plan:
    """What is left to do on this Linux."""
    cameras = system.cameras()
    alone = kernel_module.exclusive_caps(system, cameras)
    good = [camera for camera in cameras if alone.get(camera.device, True)]
    here = [camera for camera in good if system.path(camera.device).exists()]
    usable = [camera for camera in here if system.may_use(system.path(camera.device))]
    if here:
        return Plan(
            ready=", ".join(f"{camera.name} ({camera.device})" for camera in usable),
            steps=[*_at_start(system), *([] if usable else _permission(system))],
            hints=_other_options(system),
        )
    if good:
        device = good[0].device
        away = f"this computer has {device}, but it is not shown to this container"
        return Plan(impossible=f"{away}: {kernel_module.given_to_container(device)}")
    obstacle = kernel_module.obstacle(system)
    if obstacle:
        return Plan(impossible=f"{obstacle.reason}: {obstacle.remedy}")
    installing = [] if _modprobe_finds_it(system) else _install(system)
    if installing and not installing[-1].command:
        return Plan(steps=installing)  # a person must act before the rest makes sense
    steps = [*installing, *_unload(system), *_at_start(system), *_load(system)]
    secure_boot = secure_boot_hint(system)
    return Plan(steps=steps, hints=[*([secure_boot] if secure_boot else []), *_other_options(system)])


def family(system: System) -> Family:
    """Whose package manager this system has."""
    if system.path("/run/ostree-booted").exists():
        return "ostree"
    lines = (system.text("/etc/os-release") or system.text("/usr/lib/os-release")).splitlines()
    fields = {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines)}
    names = [fields.get("ID", ""), *fields.get("ID_LIKE", "").split()]
    if "debian" in names or "ubuntu" in names:
        return "debian"
    if "fedora" in names:
        return "fedora"
    return "arch" if "arch" in names else "other"


def secure_boot_hint(system: System) -> str:
    """What to do where the firmware refuses a module that was built here; empty if it does not look."""
    if not kernel_module.secure_boot(system):
        return ""
    key = _KEYS.get(family(system), "see how your distribution signs modules that are built here")
    return (
        "Secure Boot is on: if the module is refused ('Key was rejected by service'), make its key known "
        f"with {key}, think of a password, restart, and choose 'Enroll MOK' in the blue screen"
    )


def is_member(system: System) -> bool:
    """Whether the user was put into the group that may use cameras, be it after this session began."""
    for line in system.text("/etc/group").splitlines():
        fields = line.split(":")
        if fields[0] == GROUP and system.user in fields[-1].split(","):
            return True
    return GROUP in system.groups


def _modprobe_finds_it(system: System) -> bool:
    return kernel_module.is_loaded(system) or system.kernel in kernel_module.kernels_with_it(system)


def _install(system: System) -> list[Step]:
    match family(system):
        case "debian":
            return _install_on_debian(system)
        case "fedora":
            return _install_on_fedora(system)
        case "ostree":
            install = Step("install the module", ("rpm-ostree", "install", f"akmod-{MODULE}"))
            return [install, Step(f"restart the computer, {_AGAIN}")]
        case "arch":
            return _install_on_arch(system)
        case "other":
            return [Step(f"install {MODULE} for the kernel {system.kernel}, {_AGAIN}")]


def _install_on_debian(system: System) -> list[Step]:
    headers = [] if _has_headers(system) else [f"linux-headers-{system.kernel}"]
    install = ("apt-get", "install", "-y", *headers, f"{MODULE}-dkms")
    return [
        Step("bring the list of packages up to date", ("apt-get", "update")),
        Step("install the module, which is built here", install),
        _build_by_dkms(system),
    ]


def _install_on_fedora(system: System) -> list[Step]:
    if not any(system.path("/etc/yum.repos.d").glob("rpmfusion-free*.repo")):
        return [Step(f"enable the repository 'RPM Fusion free', as its site tells, {_AGAIN}")]
    headers = [] if _has_headers(system) else [f"kernel-devel-{system.kernel}"]
    install = ("dnf", "install", "-y", *headers, f"akmod-{MODULE}")
    return [
        Step("install the module, which is built here", install),
        Step("build it for this kernel", ("akmods", "--force", "--kernels", system.kernel)),
    ]


def _install_on_arch(system: System) -> list[Step]:
    base = system.text(f"/lib/modules/{system.kernel}/pkgbase")
    if not base:
        return [Step(f"restart the computer, whose running kernel is not installed any more, {_AGAIN}")]
    headers = [] if _has_headers(system) else [f"{base}-headers"]
    install = ("pacman", "-S", "--needed", "--noconfirm", *headers, f"{MODULE}-dkms")
    return [Step("install the module, which is built here", install), _build_by_dkms(system)]


def _build_by_dkms(system: System) -> Step:
    """Does nothing where the package's own script has built it; not so if only headers were missing."""
    return Step("see that it is built for this kernel", ("dkms", "autoinstall", "-k", system.kernel))


def _has_headers(system: System) -> bool:
    return system.path(f"/lib/modules/{system.kernel}/build").exists()


def _unload(system: System) -> list[Step]:
    """Options are read only when the module is loaded."""
    if not kernel_module.is_loaded(system):
        return []
    using = [one for camera in system.cameras() for one in kernel_module.holders(system, camera.device)]
    ending = [Step(f"end {', '.join(dict.fromkeys(using))}: the module is in use")] if using else []
    return [*ending, Step("unload the module, which was loaded otherwise", ("modprobe", "-r", MODULE))]


def _at_start(system: System) -> list[Step]:
    if kernel_module.comes_back(system):
        return []
    given = " ".join(
        f'{name}="{text}"' if name == "card_label" else f"{name}={text}"
        for name, text in kernel_module.options(system).items()
    )
    return [
        _write("keep the options for every start of the system", OPTIONS_FILE, f"options {MODULE} {given}"),
        _write("load the module at every start of the system", START_FILE, MODULE),
    ]


def _write(what: str, path: str, line: str) -> Step:
    return Step(what, ("tee", path), given=f"{line}\n")


def _load(system: System) -> list[Step]:
    given = [f"{name}={text}" for name, text in kernel_module.options(system).items()]
    return [Step("load the module, which makes the camera", ("modprobe", MODULE, *given))]


def _permission(system: System) -> list[Step]:
    """Of a device that others made for others."""
    again = Step("log out and in again: a session keeps the groups that it began with")
    if is_member(system):
        return [again]
    return [Step(f"let {system.user} use cameras", ("usermod", "-aG", GROUP, system.user)), again]


def _other_options(system: System) -> list[str]:
    files = [name for name in kernel_module.files_with_options(system) if name != OPTIONS_FILE]
    return [f"{name} has options of {MODULE}, too: see that they agree" for name in files]
