"""Computers that are made up, in a folder: what they hold, and what their programs do."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from avatar.camera_setup import System

KERNEL = "6.1.0-56-amd64"
OBS_KEY = r"CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}"


@dataclass
class MadeSystem:
    """One of them. Its `modprobe`, `tee` and so on change its folder as the real ones change a disk."""

    root: Path
    platform: str = "linux"
    kernel: str = KERNEL
    groups: frozenset[str] = frozenset()
    is_root: bool = False
    user: str = "ada"
    can_use: bool = True
    caps: dict[str, int] = field(default_factory=dict)
    """Device -> what it says it can do: 1 be watched, 2 be fed."""
    registry: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    """Command line -> what it prints."""
    failing: dict[str, int] = field(default_factory=dict)
    """Name of a program -> its status."""
    lacking: set[str] = field(default_factory=set)
    """Programs that are not there."""
    ran: list[str] = field(default_factory=list)

    def system(self) -> System:
        return System(
            platform=self.platform,
            root=self.root,
            kernel=self.kernel,
            user=self.user,
            home=self.root / "home/ada",
            groups=self.groups,
            is_root=self.is_root,
            may_use=lambda path: self.can_use,
            capabilities=self.caps.get,
            registry=self.registry.get,
            ask=lambda command: self.answers.get(shlex.join(command), ""),
            run=self.run,
        )

    def write(self, name: str, text: str = "") -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name: str) -> str:
        return (self.root / name.lstrip("/")).read_text()

    def install_module(self, kernel: str = KERNEL) -> None:
        self.write(f"/lib/modules/{kernel}/modules.dep", "updates/dkms/v4l2loopback.ko: kernel/videodev.ko\n")

    def load(
        self, cameras: Sequence[tuple[int, str]] = ((10, "Avatar"),), caps: str = "Y", fed: str = ""
    ) -> None:
        """As after `modprobe`: the module's parameters and, for each number and name, a device."""
        numbers = ",".join([*(str(number) for number, _ in cameras), "-1"])
        self.write("/sys/module/v4l2loopback/parameters/video_nr", f"{numbers}\n")
        self.write("/sys/module/v4l2loopback/parameters/exclusive_caps", f"{caps},N\n")
        for number, name in cameras:
            node = f"/sys/devices/virtual/video4linux/video{number}"
            self.write(f"{node}/name", f"{name}\n")
            self.write(f"{node}/format", f"{fed}\n" if fed else "")
            self.write(f"/sys/class/video4linux/video{number}/name", f"{name}\n")
            self.write(f"/dev/video{number}")

    def start_with_module(self) -> None:
        self.write("/etc/modules-load.d/camera.conf", "# a camera\nv4l2loopback\n")
        self.write("/etc/modprobe.d/camera.conf", "options v4l2loopback exclusive_caps=1 card_label=Avatar\n")

    def open_device(self, process: int, program: str, device: str) -> None:
        self.write(f"/proc/{process}/comm", f"{program}\n")
        folder = self.root / f"proc/{process}/fd"
        folder.mkdir()
        (folder / "3").symlink_to("/dev/null")
        (folder / "4").symlink_to(device)

    def run(self, command: Sequence[str], given: str) -> int:
        if command[0] in self.lacking:
            raise FileNotFoundError(2, "No such file or directory", command[0])
        self.ran.append(shlex.join(command))
        program, *rest = [word for word in command if word != "sudo"]
        if program in self.failing:
            return self.failing[program]
        does: dict[str, Callable[[list[str], str], int]] = {
            "tee": self._tee, "modprobe": self._modprobe, "usermod": self._usermod, "dkms": self._build,
            "akmods": self._build,
        }  # fmt: skip
        return does[program](rest, given) if program in does else 0

    def _tee(self, arguments: list[str], given: str) -> int:
        self.write(arguments[0], given)
        return 0

    def _build(self, arguments: list[str], given: str) -> int:
        assert arguments[-1] == self.kernel
        self.install_module(self.kernel)
        return 0

    def _modprobe(self, arguments: list[str], given: str) -> int:
        loaded = self.root / "sys/module/v4l2loopback"
        if arguments[0] == "-r":
            loaded.rename(self.root / "unloaded")
            for node in ("sys/devices/virtual/video4linux", "sys/class/video4linux"):
                if (self.root / node).exists():
                    (self.root / node).rename(self.root / node.replace("/", "-"))
            return 0
        if not (self.root / f"lib/modules/{self.kernel}/modules.dep").exists() or loaded.exists():
            return 1
        options = dict(word.split("=", 1) for word in arguments[1:])
        numbers, names = options["video_nr"].split(","), options["card_label"].split(",")
        assert len(numbers) == len(names) == int(options["devices"])
        caps = options["exclusive_caps"].replace("1", "Y")
        self.load([(int(number), name) for number, name in zip(numbers, names, strict=True)], caps)
        return 0

    def _usermod(self, arguments: list[str], given: str) -> int:
        self.write("/etc/group", f"{self.read('/etc/group')}{arguments[1]}:x:44:{arguments[2]}\n")
        return 0


def made_linux(root: Path, os_release: str = "ID=debian\n") -> MadeSystem:
    """A laptop with a webcam, a kernel with modules, and no virtual camera."""
    made = MadeSystem(root)
    made.write("/etc/os-release", os_release)
    made.write("/etc/group", "root:x:0:\naudio:x:29:ada\n")
    made.write("/proc/modules", "uvcvideo 131072 0 - Live 0x0\n")
    made.write("/sys/class/video4linux/video0/name", "Integrated Camera\n")
    return made


def made_mac(root: Path, *, version: str = "14.5", obs: str = "", extension: str = "") -> MadeSystem:
    """A Mac with that OBS (empty: none) and the state of its extension (empty: macOS knows of none)."""
    made = MadeSystem(root, platform="darwin", kernel=version)
    if obs:
        made.write("/Applications/OBS.app/Contents/Info.plist")
        path = root / "Applications/OBS.app/Contents/Info.plist"
        path.write_bytes(plistlib.dumps({"CFBundleShortVersionString": obs}))
    told = "1 extension(s)\n--- com.apple.system_extension.cmio\nenabled\tactive\tteamID\t[state]\n"
    if extension:
        told += f"*\t*\t2MM\tcom.obsproject.obs-studio.mac-camera-extension (30.2.3/1)\tOBS\t[{extension}]\n"
    made.answers["systemextensionsctl list"] = told
    return made
