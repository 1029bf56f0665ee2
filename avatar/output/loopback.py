"""What the kernel tells of v4l2loopback and its devices (Linux)."""

from __future__ import annotations

import contextlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

_DEVICES = "sys/devices/virtual/video4linux"
_CONTROL = "v4l2loopback"
"""The module's own device, /dev/v4l2loopback; versions since 0.13 have it."""
_QUERYCAP = 0x80685600
_STREAMON = 0x40045612
_OUTPUT = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT, and V4L2_CAP_VIDEO_OUTPUT."""
_CAPABILITY = struct.Struct("16s32s32sII16x")


@dataclass(frozen=True, slots=True)
class Loopback:
    """The module and one of its devices.

    Args:
        device: "/dev/video10".
        root: where the system's files are.
    """

    device: str
    root: Path = Path("/")

    def others(self) -> int | None:
        """How many times the devices of the module are open in other programs; None: it is not told.

        It is not told of which of them: where there are several, one that reads another device counts, too.
        """
        try:
            opened = int((self.root / "sys/module/v4l2loopback/refcnt").read_text())
        except (OSError, ValueError):
            return None
        return max(0, opened - self._own())

    def open_here(self) -> bool:
        """Whether this program has the device open."""
        return self.device in self._opened()

    def form(self) -> str | None:
        """What the frames are like now, as "YU12:1280x720"; None: that is for who feeds it next to say."""
        try:
            told = (self.root / _DEVICES / Path(self.device).name / "format").read_text()
        except OSError:
            return None
        return told.split("@")[0].strip() or None

    def exclusive(self) -> bool | None:
        """Whether the device is either a camera or to be fed, never both at once; None: it is not told."""
        try:
            listed = (self.root / "sys/module/v4l2loopback/parameters/exclusive_caps").read_text()
            numbers = (self.root / "sys/module/v4l2loopback/parameters/video_nr").read_text()
            place = numbers.strip().split(",").index(self.device.removeprefix("/dev/video"))
            return listed.split(",")[place].strip() == "Y"
        except (OSError, ValueError, IndexError):
            return None

    def takes_frames(self) -> bool | None:
        """Whether the device says that it can be fed; None: it cannot be asked."""
        told = self.capabilities()
        return None if told is None else bool(told & _OUTPUT)

    def capabilities(self) -> int | None:
        """What the device says it can do now: 1 be watched, 2 be fed, and more; None: it cannot be asked."""
        told = self._asked(_QUERYCAP, bytes(_CAPABILITY.size))
        return None if told is None else int(_CAPABILITY.unpack(told)[4])

    def give_back(self) -> None:
        """Let the device be fed again, by whoever wants to.

        Version 0.12.7 (Debian 12) with exclusive_caps=1 does not note the end of who writes frames, as
        pyvirtualcam does, and can then be fed by nobody any more, until the module is loaded anew. But it
        notes the end of who said that he would stream. Newer versions need none of this: they refuse it to a
        second one, and to a first one it does nothing.
        """
        self._asked(_STREAMON, struct.pack("i", _OUTPUT))

    def _asked(self, request: int, content: bytes) -> bytes | None:
        """What the device answers to an ioctl; None: it does not."""
        import fcntl  # which Windows has not

        try:
            handle = os.open(self.device, os.O_RDWR | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            return fcntl.ioctl(handle, request, content)
        except OSError:
            return None
        finally:
            os.close(handle)

    def _own(self) -> int:
        """How many times this program has devices of the module open."""
        folder = self.root / _DEVICES
        names = [Path(opened).name for opened in self._opened()]
        return sum(
            name == _CONTROL or (name.startswith("video") and (folder / name / "max_openers").exists())
            for name in names
        )

    def _opened(self) -> list[str]:
        """What this program has open, a name for each time."""
        found = []
        for link in (self.root / "proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                found.append(os.readlink(link))
        return found
