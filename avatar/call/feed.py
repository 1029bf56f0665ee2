"""The avatar's newest frame, on its way from the thread of an output to the tracks of calls."""

from __future__ import annotations

import asyncio

from avatar.records import Frame
from avatar.tools import clock
from avatar.web.loop import LoopThread

SHARE = 0.05
"""How much a new frame counts in the age that is told."""


class Feed:
    """An output of the live loop. Keeps the newest frame only; any number of tracks may take it.

    Args:
        loop: where the tracks are.
    """

    constant_rate = False

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._frame: Frame | None = None
        self._version = 0
        self._changed = asyncio.Event()
        self.age_ns = 0.0
        """How old frames are when they come here, on average over the last second."""

    def __call__(self, frame: Frame) -> None:
        """Take a frame, in the thread of the output; never waits."""
        age = clock.now_ns() - frame.captured_ns
        self.age_ns = age if not self._version else self.age_ns + SHARE * (age - self.age_ns)
        self._frame = frame
        self._version += 1
        self._loop.soon(self._wake)

    async def after(self, version: int, patience_s: float) -> tuple[int, Frame]:
        """Wait for a frame newer than `version`, in the event loop.

        After `patience_s` seconds the last one is given once more, if there is one at all.
        """
        while self._version <= version or self._frame is None:
            changed = self._changed
            try:
                async with asyncio.timeout(patience_s):
                    await changed.wait()
            except TimeoutError:
                if self._frame is not None:
                    break
        return self._version, self._frame

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
