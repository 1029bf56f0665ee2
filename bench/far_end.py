"""Who looks at the avatar from outside: a process of its own that reads the time codes of its frames.

It reads a virtual camera as a call program does, or, where there is none, raw frames out of a pipe. It says
when it first had each code, by the same clock (`tools.clock`: of the whole machine on Linux, macOS and
Windows), and how bright a few places of a box were then.

    python -m bench.far_end --size 1280x720 [--device /dev/video10] [--box LEFT,TOP,RIGHT,BOTTOM]

`FarEnd` starts it. It says "ready" and its time; when its standard input ends it gives what it saw as JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from avatar.errors import AvatarError, OutputError
from avatar.tools import clock
from bench import timecode
from bench.timecode import U8

if TYPE_CHECKING:
    from avatar.records import Frame

Box = tuple[int, int, int, int]
"""Left, top, right, bottom [px], the last two excluded."""
GRID = 8
"""Places of a box, across and down, whose brightness is told."""
OPEN_S = 20.0
"""How long the device may take to show a first frame: it has none before somebody feeds it."""
PIPE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Sight:
    """The first time that a code was seen."""

    code: int
    seen_ns: int
    """When all of its frame was there."""
    levels: tuple[float, ...]
    """Grey levels of the box, GRID x GRID; empty without a box."""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that the process saw."""

    sights: tuple[Sight, ...]
    frames: int
    """Frames that arrived, repeats included,"""
    unread: int
    """and those of them that had no code that could be read."""


class Watch:
    """Looks at frames (in the process)."""

    def __init__(self, box: Box | None) -> None:
        self._box = box
        self._known: set[int] = set()
        self.rows: list[list[Any]] = []
        self.frames = self.unread = 0

    def __call__(self, picture: U8, seen_ns: int) -> None:
        """Note one frame (H, W, 3)."""
        self.frames += 1
        code = timecode.read(picture)
        if code is None:
            self.unread += 1
        elif code not in self._known:
            self._known.add(code)
            self.rows.append([code, seen_ns, self._levels(picture)])

    def _levels(self, picture: U8) -> list[float]:
        if self._box is None:
            return []
        left, top, right, bottom = self._box
        part = picture[top:bottom, left:right].mean(axis=2)
        rows, columns = (np.linspace(0, length, GRID + 1).astype(int)[:-1] for length in part.shape)
        sums = np.add.reduceat(np.add.reduceat(part, rows, 0), columns, 1)
        areas = np.outer(np.diff([*rows, part.shape[0]]), np.diff([*columns, part.shape[1]]))
        return [round(float(level), 2) for level in (sums / areas).ravel()]

    def as_json(self) -> str:
        """What `Seen` is made of."""
        return json.dumps({"rows": self.rows, "frames": self.frames, "unread": self.unread})


class FarEnd:
    """The process, and the output that feeds it. An output as `avatar.live` takes them.

    Args:
        size: (width, height) of the frames.
        device: of a virtual camera, which `VirtualCamera` feeds; None: a pipe stands in for it.
        box: where brightness is told.
        fps: frames a second that the device is told.

    Raises:
        AvatarError: the process does not start, the device cannot be fed, or the clocks differ.
    """

    constant_rate = True
    """As of virtual cameras."""

    def __init__(
        self, size: tuple[int, int], device: str | None = None, box: Box | None = None, fps: float = 30.0
    ) -> None:
        self._size = size
        self._camera: Any = None
        command = [sys.executable, "-m", "bench.far_end", "--size", f"{size[0]}x{size[1]}"]
        if box is not None:
            command += ["--box", ",".join(map(str, box))]
        if device is not None:
            from avatar.output import VirtualCamera

            self._camera = VirtualCamera(fps, size, device)
            command += ["--device", self._camera.device]
        self.is_device = device is not None
        self.told = "a pipe to another process" if device is None else f"the virtual camera {device}"
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        self._to, self._from = self._process.stdin, self._process.stdout
        assert self._to is not None and self._from is not None
        _widen(self._to)
        try:
            self._await_ready()
        except AvatarError:
            self.close()
            raise

    def _await_ready(self) -> None:
        assert self._from is not None
        before = clock.now_ns()
        word, _, told = _line(self._from).partition(" ")
        if word != "ready":
            raise AvatarError("the process that looks at the frames did not start; its words are above")
        if not before <= int(told) <= clock.now_ns():
            raise AvatarError("two processes have different clocks here: this cannot be measured")

    def __call__(self, frame: Frame) -> None:
        """Hand one frame over; returns when the pipe, or the device, has taken all of it."""
        if self._camera is not None:
            self._camera(frame)
            return
        height, width = frame.rgb.shape[:2]
        if (width, height) != self._size:
            raise ValueError(f"the frame is {width}x{height} != {self._size[0]}x{self._size[1]}")
        assert self._to is not None
        left = np.ascontiguousarray(frame.rgb).data.cast("B")
        try:
            while left:
                left = left[self._to.write(left) :]
        except OSError as error:
            raise OutputError(f"the process that looks at the frames is gone: {error}") from error

    def seen(self) -> Seen:
        """End the process and give what it saw; raises AvatarError if it cannot tell."""
        assert self._to is not None and self._from is not None
        with contextlib.suppress(OSError):
            self._to.close()
        told = self._from.read()
        try:
            found = json.loads(told)
        except ValueError:
            raise AvatarError("the process that looks at the frames did not tell what it saw") from None
        rows = (Sight(code, seen_ns, tuple(levels)) for code, seen_ns, levels in found["rows"])
        return Seen(tuple(rows), found["frames"], found["unread"])

    def close(self) -> None:
        """End the process, whatever it does, and let go of the device."""
        for stream in (self._to, self._from):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


def _widen(pipe: IO[bytes]) -> None:
    """Let a pipe hold more than 64 KiB where that can be: fewer turns of the two processes for a frame."""
    with contextlib.suppress(ImportError, AttributeError, OSError):
        import fcntl

        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _line(stream: IO[bytes]) -> str:
    """The next line of an unbuffered stream."""
    told = bytearray()
    while (byte := stream.read(1)) and byte != b"\n":
        told += byte
    return told.decode()


def piped(stream: Any, size: tuple[int, int]) -> Iterator[tuple[U8, int]]:
    """Raw RGB frames of a raw stream, and when all of each was there; in the same memory each time."""
    width, height = size
    frame = np.empty((height, width, 3), np.uint8)
    whole = frame.data.cast("B")
    while True:
        left = whole
        while left:
            count = stream.readinto(left)
            if not count:
                return
            left = left[count:]
        yield frame, clock.now_ns()


def filmed(device: str) -> Iterator[tuple[U8, int]]:
    """Frames of a camera, or a video file, as OpenCV reads them, until there are none."""
    import cv2

    kind = cv2.CAP_V4L2 if device.startswith("/dev/") else cv2.CAP_ANY
    end = time.monotonic() + OPEN_S
    capture = cv2.VideoCapture(device, kind)
    while not capture.isOpened() and time.monotonic() < end:
        time.sleep(0.1)
        capture.open(device, kind)
    while True:
        there, picture = capture.read()
        if not there:
            return
        yield np.asarray(picture, np.uint8), clock.now_ns()


def main(argv: Sequence[str] | None = None) -> int:
    """Look until standard input, or the camera, ends."""
    parser = argparse.ArgumentParser(prog="python -m bench.far_end", description=__doc__)
    parser.add_argument("--size", required=True)
    parser.add_argument("--device")
    parser.add_argument("--box")
    options = parser.parse_args(argv)
    width, height = map(int, options.size.split("x"))
    left, top, right, bottom = map(int, options.box.split(",")) if options.box else (0, 0, 0, 0)
    watch = Watch((left, top, right, bottom) if options.box else None)
    given = os.fdopen(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    print(f"ready {clock.now_ns()}", flush=True)
    if options.device is None:
        for picture, seen_ns in piped(given, (width, height)):
            watch(picture, seen_ns)
        print(watch.as_json(), flush=True)
        return 0
    # A camera that nobody feeds any more may keep its reader waiting: what ends this is standard input.
    looking = threading.Thread(target=lambda: _film(watch, options.device), daemon=True)
    looking.start()
    while given.read(1):
        pass
    print(watch.as_json(), flush=True)
    os._exit(0)


def _film(watch: Watch, device: str) -> None:
    for picture, seen_ns in filmed(device):
        watch(picture, seen_ns)


if __name__ == "__main__":
    sys.exit(main())
