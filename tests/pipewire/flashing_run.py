"""`avatar run` itself, watched: says on standard output when it saw a flash, and when it handed it over.

Run as a program. A line is `soon`, when a flash comes with the next but one frame, or
`flash CAPTURED_NS HANDED_OVER_NS`. A flash is a white square in the upper left corner of the picture;
the avatar's picture of that moment is the one with the same number.

The camera is a slow one, so that there is something to be in step with: it gives its frames some frames late,
and more so from the middle on.
"""

from __future__ import annotations

import sys
from collections import deque
from typing import Any

import avatar.capture
import avatar.output
from avatar.cli.main import main
from avatar.records import Frame
from avatar.tools import clock

EVERY = 24
"""Frames from flash to flash."""
CORNER = 24
"""Sides of the square [px]."""

DEPTHS = (3, 6)
"""Frames that the camera is late by, in the first and in the second part;"""
CHANGE_AT = 15 * 30
"""and the frame that begins the second one."""

flashes: set[int] = set()


class WatchedSource:
    """A camera whose flashes are noted; for the rest, the one it stands for."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._waiting: deque[Frame] = deque()

    def __call__(self) -> Frame | None:
        while True:
            frame: Frame | None = self._source()
            if frame is None:
                return None
            self._note(frame)
            self._waiting.append(frame)
            if len(self._waiting) > DEPTHS[frame.index >= CHANGE_AT]:
                return self._waiting.popleft()

    def _note(self, frame: Frame) -> None:
        if frame.rgb[:CORNER, :CORNER].mean() > 200:
            flashes.add(frame.index)
        if frame.index % EVERY == EVERY - 2:
            print("soon", flush=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class WatchedOutput:
    """An output that says when it got the picture of a flash; for the rest, the one it stands for."""

    def __init__(self, output: Any) -> None:
        self._output = output

    def __call__(self, frame: Frame) -> None:
        now = clock.now_ns()
        if frame.index in flashes:
            flashes.discard(frame.index)
            print("flash", frame.captured_ns, now, flush=True)
        self._output(frame)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)


if __name__ == "__main__":
    open_source, open_output = avatar.capture.open_source, avatar.output.open_output
    avatar.capture.open_source = lambda *words, **more: WatchedSource(open_source(*words, **more))  # type: ignore[assignment]
    avatar.output.open_output = lambda *words, **more: WatchedOutput(open_output(*words, **more))  # type: ignore[assignment]
    sys.exit(main(sys.argv[1:]))
