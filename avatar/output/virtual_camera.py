"""A virtual camera: the avatar as a webcam of Zoom, Teams, Meet and the rest."""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Any

from avatar.errors import OutputError, VirtualCameraError
from avatar.output.loopback import Loopback
from avatar.output.pipewire_camera import has_pipewire
from avatar.output.virtual_devices import how_to_create, virtual_camera_devices
from avatar.records import Frame
from avatar.tools.signs import OFF, card

_PIXELS = "YU12"
"""How v4l2loopback calls what pyvirtualcam makes of RGB."""


class VirtualCamera:
    """Feeds a virtual camera device. Never mirrored: others see what a camera would show.

    It never waits: when a frame is due is decided by who calls.

    Args:
        fps: frames a second, as told to the device.
        size: (width, height), both even.
        device: "/dev/video10" on Linux, the name elsewhere; None takes the first that is free.
        backend: pyvirtualcam's name of the kind of device; None tries all of this system.

    Attributes:
        device: the one in use.

    Raises:
        VirtualCameraError: there is none; the message says how to make one. Or a program still takes frames
            of another size from it.
    """

    constant_rate = True

    def __init__(
        self, fps: float, size: tuple[int, int], device: str | None = None, *, backend: str | None = None
    ) -> None:
        width, height = size
        if width % 2 or height % 2:
            raise VirtualCameraError(f"virtual cameras need an even width and height, got {width}x{height}")
        if backend is None:
            _take_back(device)
        try:
            import pyvirtualcam

            self._camera: Any = pyvirtualcam.Camera(
                width=width,
                height=height,
                fps=fps,
                fmt=pyvirtualcam.PixelFormat.RGB,
                device=device,
                backend=backend,
            )
        except ImportError as error:
            raise VirtualCameraError(f"virtual cameras do not work here: {error}") from error
        except RuntimeError as error:
            raise VirtualCameraError(_why_not(device, error)) from error
        self.size = size
        self.device: str = self._camera.device
        self._loopback = Loopback(self.device) if self.device.startswith("/dev/video") else None
        form = self._loopback.form() if self._loopback else None
        if form not in (None, f"{_PIXELS}:{width}x{height}"):
            self._camera.close()
            raise VirtualCameraError(
                f"a program still takes frames of another kind from {self.device} ({form}): close that "
                f"program, or take its size ({width}x{height} was asked for)"
            )
        self.frames = 0
        """Frames handed over so far."""

    @property
    def wanted(self) -> bool:
        """Whether anybody takes the frames; True also where the system does not tell."""
        return self._loopback is None or self._loopback.others() != 0

    def __call__(self, frame: Frame) -> None:
        """Hand one frame to the device, at once.

        Raises:
            ValueError: the frame has another size than the device was opened with.
            OutputError: the device is gone, or this was closed.
        """
        height, width = frame.rgb.shape[:2]
        if (width, height) != self.size:
            raise ValueError(f"{self.device}: the frame is {width}x{height} != {self.size[0]}x{self.size[1]}")
        if self._camera is None:
            raise OutputError(f"{self.device}: is closed")
        try:
            self._camera.send(frame.rgb)
        except (RuntimeError, OSError) as error:
            raise OutputError(f"{self.device}: the virtual camera takes no more frames: {error}") from error
        self.frames += 1

    def close(self) -> None:
        """Let go of the device. Its last frame is a card: what reads it may show that frame for long."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        with closing(camera), suppress(RuntimeError, OSError):
            camera.send(card(self.size, OFF))
            if self._loopback is not None:
                self._loopback.give_back()


def _take_back(device: str | None) -> None:
    """Free the devices of a program that was killed: nobody has them open, and yet they take no frames."""
    for one in virtual_camera_devices():
        loopback = Loopback(one.device)
        if device not in (None, one.device) or loopback.open_here():
            continue
        if loopback.others() == 0 and loopback.takes_frames() is False:
            loopback.give_back()


def _why_not(device: str | None, error: RuntimeError) -> str:
    there = virtual_camera_devices()
    if device is not None and there:
        names = ", ".join(f"{one.device} ({one.name})" for one in there)
        return f"the virtual camera {device} cannot be used: {_last_words(error)}; found: {names}"
    if there:
        names = ", ".join(one.device for one in there)
        return f"the virtual camera ({names}) is in use by another program or refuses: {_last_words(error)}"
    what = f"there is no virtual camera {device}" if device else "there is no virtual camera"
    without = "; without one, programs that take cameras from PipeWire see --output pipewire"
    return f"{what}, to make one: {how_to_create()}{without if has_pipewire() else ''}"


def _last_words(error: RuntimeError) -> str:
    """The reason of the last backend tried, without pyvirtualcam's advice, which our own message gives."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].split(" Did you run")[0].rstrip(".")
