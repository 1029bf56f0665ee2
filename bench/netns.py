"""Two networks of our own on this computer, with a wire between them that can be made bad. Linux, as root.

The wire is a pair of virtual network cards. The bad one is made of two TUN devices and a thread that carries
packets from one to the other, later, not all of them, and not too many at once: kernels without netem can do
no more.
"""

from __future__ import annotations

import fcntl
import heapq
import itertools
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from avatar.errors import AvatarError

NEAR, FAR = "10.77.0.1", "10.77.0.2"
"""Addresses at both ends of the wire,"""
BAD_NEAR, BAD_FAR = "10.78.0.1", "10.78.0.2"
"""and of the bad one."""
_TUN, _TUNSETIFF, _NO_HEADER = "/dev/net/tun", 0x400454CA, 0x1001
_numbers = itertools.count()


def missing(*, bad: bool = False) -> str | None:
    """Why no networks can be made here; None if they can. `bad`: with a wire that can be made bad."""
    if shutil.which("ip") is None:
        return "the command ip (iproute2) is not installed"
    if os.geteuid() != 0:
        return "networks are made by root only"
    name = f"lh{os.getpid()}probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"no network can be made here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=False)
    if bad and not Path(_TUN).exists():
        return f"{_TUN} is not there"
    return None


@dataclass(frozen=True, slots=True)
class Weather:
    """What the bad wire does, in each direction."""

    loss: float = 0.0
    """Part of the packets that is lost, 0..1."""
    delay_s: float = 0.0
    """How long a packet is under way."""
    bits_per_s: float | None = None
    """How much goes through; None for no limit."""
    queue_s: float = 0.2
    """How much may wait before a narrow place, in seconds of it."""


class Networks:
    """A near network, for the program, and a far one, for the browser; use it in `with`.

    Args:
        weather: also lay a bad wire, beside the good one; `cut` leaves only it.

    Raises:
        AvatarError: they cannot be made.
    """

    def __init__(self, weather: Weather | None = None) -> None:
        number = next(_numbers)
        self.near, self.far = f"lh{os.getpid()}n{number}", f"lh{os.getpid()}f{number}"
        self.wire: BadWire | None = None
        try:
            for name in (self.near, self.far):
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            card = f"lh{os.getpid() % 10000}v{number}"
            ends = card + "a", card + "b"
            _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            for name, end, address in ((self.near, ends[0], NEAR), (self.far, ends[1], FAR)):
                _ip("link", "set", end, "netns", name)
                _ip("-n", name, "link", "set", end, "name", "wire")
                _ip("-n", name, "addr", "add", f"{address}/24", "dev", "wire")
                _ip("-n", name, "link", "set", "wire", "up")
                _ip("-n", name, "route", "add", "default", "dev", "wire")
            if weather is not None:
                self.wire = BadWire(self, weather)
        except BaseException:
            self.close()
            raise

    def inside(self, name: str) -> list[str]:
        """What stands before a command that is to run in a network."""
        return ["ip", "netns", "exec", name]

    def cut(self, *, up: bool = False) -> None:
        """Take the good wire away, or give it back."""
        _ip("-n", self.near, "link", "set", "wire", "up" if up else "down")

    def close(self) -> None:
        """Take all away."""
        if self.wire is not None:
            self.wire.close()
        for name in (self.near, self.far):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BadWire:
    """Carries packets between two TUN devices as the weather has it.

    Attributes:
        weather: may be changed at any time.
        carried, lost: packets so far.
    """

    def __init__(self, networks: Networks, weather: Weather) -> None:
        self.weather = weather
        self.carried = self.lost = 0
        self._ends = [
            _tun(networks.near, BAD_NEAR), _tun(networks.far, BAD_FAR)
        ]  # fmt: skip
        self._chance = random.Random(7)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="bad wire", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take the devices away."""
        self._ending.set()
        self._thread.join(5)
        for end in self._ends:
            os.close(end)

    def _carry(self) -> None:
        under_way: list[tuple[float, int, int, bytes]] = []
        free_at = [0.0, 0.0]
        numbers = itertools.count()
        while not self._ending.is_set():
            now = time.monotonic()
            wait = max(0.0, min(under_way[0][0] - now, 0.1)) if under_way else 0.1
            for end in select.select(self._ends, [], [], wait)[0]:
                packet = os.read(end, 65536)
                side = self._ends.index(end)
                arrives = self._arrival(len(packet), side, free_at)
                if arrives is None:
                    self.lost += 1
                else:
                    heapq.heappush(under_way, (arrives, next(numbers), 1 - side, packet))
            now = time.monotonic()
            while under_way and under_way[0][0] <= now:
                _, _, to, packet = heapq.heappop(under_way)
                try:
                    os.write(self._ends[to], packet)
                    self.carried += 1
                except OSError:  # the device went down
                    self.lost += 1

    def _arrival(self, size: int, side: int, free_at: list[float]) -> float | None:
        """When a packet comes through; None if it does not."""
        weather, now = self.weather, time.monotonic()
        if self._chance.random() < weather.loss:
            return None
        if weather.bits_per_s is None:
            return now + weather.delay_s
        begins = max(now, free_at[side])
        if begins - now > weather.queue_s:
            return None
        free_at[side] = begins + size * 8 / weather.bits_per_s
        return free_at[side] + weather.delay_s


def _tun(network: str, address: str) -> int:
    """A TUN device with that address, in a network; its descriptor."""
    name = f"lh{os.getpid() % 10000}t{next(_numbers)}"
    descriptor = os.open(_TUN, os.O_RDWR)
    try:
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _NO_HEADER))
        _ip("link", "set", name, "netns", network)
        _ip("-n", network, "link", "set", name, "name", "bad")
        _ip("-n", network, "addr", "add", f"{address}/24", "dev", "bad")
        _ip("-n", network, "link", "set", "bad", "up", "mtu", "1400")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AvatarError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def started(command: Sequence[str], **more: Any) -> subprocess.Popen[str]:
    """A program in the background whose output can be read line by line."""
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **more
    )
