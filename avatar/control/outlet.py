"""A virtual camera that may be switched on and off while a run goes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from avatar.errors import OutputError
from avatar.records import Frame


class Device(Protocol):
    """What frames are handed to; `output.VirtualCamera` is one."""

    @property
    def wanted(self) -> bool:
        """Whether anybody takes the frames, as far as it can be told."""

    def __call__(self, frame: Frame) -> None:
        """Hand over one frame."""

    def close(self) -> None:
        """Let go of it."""


class Outlet:
    """An output of a run that leads into a device, or nowhere.

    It repeats no frame that is late: mostly it leads nowhere, and repeats and drops that nobody sees would be
    counted. While no camera frame comes the run makes frames of its own, after a quarter of a second.

    Args:
        open_device: opens one by its name.
        on_failure: called with the reason when the device takes no more frames.

    Attributes:
        device: the name of the one in use; None if there is none.
    """

    constant_rate = False

    def __init__(
        self, open_device: Callable[[str], Device], *, on_failure: Callable[[str], None] = lambda reason: None
    ) -> None:
        self.device: str | None = None
        self._open = open_device
        self._on_failure = on_failure
        self._used: Device | None = None
        self._closed = False
        self._lock = threading.Lock()

    def use(self, device: str | None) -> None:
        """Lead into that device from now on, or nowhere; from any thread.

        Raises:
            OutputError: it cannot be opened, or the run has ended; then it leads nowhere.
        """
        self._lead_into(None, None)
        if device is None:
            return
        # Without the lock: a driver may hang, and frames and the end must not wait for it.
        opened = self._open(device)
        if not self._lead_into(opened, device):
            opened.close()
            raise OutputError(f"{device} is not used: the run has ended")

    @property
    def wanted(self) -> bool:
        """Whether there is a device, and somebody who takes its frames, as far as it tells."""
        used = self._used
        return used is not None and used.wanted

    def __call__(self, frame: Frame) -> None:
        """Hand over one frame, if there is a device. One that fails is let go, and the run goes on."""
        if self._used is None:
            return
        try:
            with self._lock:
                if self._used is not None:
                    self._used(frame)
        except OutputError as error:
            self.use(None)
            self._on_failure(str(error))

    def close(self) -> None:
        """Let go of the device, for good."""
        self._closed = True
        self._lead_into(None, None)

    def _lead_into(self, opened: Device | None, device: str | None) -> bool:
        """Let go of the device in use and take another one, unless this was closed; whether it was taken."""
        with self._lock:
            used, self._used, self.device = self._used, None, None
            if used is not None:
                used.close()
            if not self._closed:
                self._used, self.device = opened, device
            return not self._closed
