"""A camera of PipeWire: the avatar as a webcam for programs that take theirs from PipeWire."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from avatar.errors import OutputError, VirtualCameraError
from avatar.records import U8, Frame
from avatar.tools import clock
from avatar.tools.signs import OFF, card
from avatar.tools.slot import Slot

NAME = "Livehead Camera"
"""As other programs show it."""
NODE = "livehead_camera"
"""What PipeWire calls it."""

_GSTREAMER = ("gst-launch-1.0", "gst-inspect-1.0")
_ELEMENTS = ("rawvideoparse", "pipewiresink")
_INSTALL = "sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-pipewire"
MOST_SAID = 10_000
"""Of what GStreamer said, so many bytes are looked at."""
CARDS = 6
"""Frames at the end: with the camera, PipeWire takes away what is still on its way to a reader."""
_SHORT_S = 2.0
_ASK_S = 10.0


def has_pipewire() -> bool:
    """Whether a PipeWire runs for this user."""
    return sys.platform.startswith("linux") and _socket().exists()


def missing_for_pipewire_camera() -> str | None:
    """Why there can be no camera of PipeWire here, and what to do; None if nothing is in the way."""
    if not has_pipewire():
        return "no PipeWire runs here"
    if any(shutil.which(program) is None for program in _GSTREAMER):
        return f"GStreamer is not installed: {_INSTALL}"
    for element in _ELEMENTS:
        # Not with --exists, which denies what is of no rank.
        try:
            asked = subprocess.run([_GSTREAMER[1], element], capture_output=True, timeout=_ASK_S)
        except (OSError, subprocess.SubprocessError) as error:
            return f"GStreamer does not answer: {error}"
        if asked.returncode:
            return f"GStreamer has no {element}: {_INSTALL}"
    return None


class PipeWireCamera:
    """Feeds a camera node of PipeWire through GStreamer. Never mirrored: others see what a camera would show.

    Only programs that take cameras from PipeWire list it: browsers that were told to, OBS, GNOME's own. A
    frame that GStreamer has no time for is replaced by the next one.

    Args:
        fps: frames a second, as told to PipeWire.
        size: (width, height), both even.

    Attributes:
        device: its name, as other programs show it.

    Raises:
        VirtualCameraError: it cannot be made here; the message says what is missing.
    """

    constant_rate = True

    def __init__(self, fps: float, size: tuple[int, int]) -> None:
        width, height = size
        if width % 2 or height % 2:
            raise VirtualCameraError(f"virtual cameras need an even width and height, got {width}x{height}")
        reason = missing_for_pipewire_camera()
        if reason is not None:
            raise VirtualCameraError(f"there can be no PipeWire camera: {reason}")
        self.size, self.device = size, NAME
        self.frames = 0
        """Frames handed over so far."""
        self._closed = False
        self._period_s = 1 / fps
        self._frames: Slot[U8] = Slot()
        self._said = tempfile.TemporaryFile()
        self._program = subprocess.Popen(
            _pipeline(fps, size),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            start_new_session=True,  # a Ctrl-C in the terminal is ours: the last frame is still to come
        )
        self._thread = threading.Thread(target=self._feed, name="PipeWire camera", daemon=True)
        self._thread.start()

    def __call__(self, frame: Frame) -> None:
        """Hand one frame over, at once.

        Raises:
            ValueError: the frame has another size than the camera was opened with.
            OutputError: PipeWire or GStreamer is gone, or this was closed.
        """
        height, width = frame.rgb.shape[:2]
        if (width, height) != self.size:
            raise ValueError(f"{NAME}: the frame is {width}x{height} != {self.size[0]}x{self.size[1]}")
        if self._closed:
            raise OutputError(f"{NAME}: is closed")
        if self._program.poll() is not None:
            raise OutputError(f"{NAME}: takes no more frames: {self._last_words()}")
        self._frames.put(frame.rgb)
        self.frames += 1

    def close(self) -> None:
        """Take the camera away. Its last frame is a card: what reads it may show that frame for long."""
        if self._closed:
            return
        self._closed = True
        last = card(self.size, OFF)
        for _ in range(CARDS):
            if self._program.poll() is None:
                self._frames.put(last)
                clock.sleep(self._period_s)
        self._frames.close()
        self._thread.join(_SHORT_S)
        try:
            self._program.wait(_SHORT_S)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.wait()
        self._thread.join(_SHORT_S)
        self._said.close()

    def _feed(self) -> None:
        into = self._program.stdin
        if into is None:
            return
        with suppress(OSError):  # it ended; whoever hands over the next frame is told why
            while not self._frames.finished:
                rgb = self._frames.get(0.5)
                if rgb is not None:
                    _write(into, rgb)
        with suppress(OSError):
            into.close()

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read(MOST_SAID).decode(errors="replace").strip().splitlines()
        return lines[0] if lines else f"GStreamer ended with {self._program.returncode}"


def _pipeline(fps: float, size: tuple[int, int]) -> list[str]:
    """The command line of a program that makes a camera of the frames on its standard input."""
    properties = (
        f"props,media.class=Video/Source,media.role=Camera,node.name={NODE},"
        f'node.description=\\"{NAME.replace(" ", chr(92) + " ")}\\",node.autoconnect=false'
    )
    return [
        *(_GSTREAMER[0], "-q", "--no-fault"),
        *("fdsrc", f"blocksize={2 * size[0] * size[1]}", "!"),
        *("rawvideoparse", "format=yuy2", f"width={size[0]}", f"height={size[1]}"),
        *(f"framerate={round(1000 * fps)}/1000", "colorimetry=bt601", "!"),
        # The sink of PipeWire 0.3 lends memory that crashes the elements before it.
        *("identity", "drop-allocation=true", "!"),
        *("pipewiresink", "sync=false", f"stream-properties={properties}"),
    ]


def _write(into: IO[bytes], rgb: U8) -> None:
    # YUY2 as webcams give it, so that all who take cameras take this one; BT.601, as they understand it.
    into.write(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_YUY2), np.uint8).data)
    into.flush()


def _socket() -> Path:
    folder = os.environ.get("PIPEWIRE_RUNTIME_DIR") or os.environ.get("XDG_RUNTIME_DIR") or "/nowhere"
    return Path(folder) / os.environ.get("PIPEWIRE_REMOTE", "pipewire-0")
