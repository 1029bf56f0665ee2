"""Keys for a run without a window: a letter and Enter in the terminal."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self, TextIO

LOOK_S = 0.2
"""How often it is looked for input, and how long the end may take."""


class Keys:
    """Calls an action for each line that is its letter, in a thread of its own, while inside `with`.

    Only a terminal is read, and only while this program is in its foreground: elsewhere input is data for
    somebody else, and reading would stop a background job.

    Args:
        actions: what to call, by letter; an action may be called from any thread.
        stream: where the lines come from; standard input unless told.

    Attributes:
        active: whether there is a terminal to read from.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]], stream: TextIO | None = None) -> None:
        self._actions = actions
        self._descriptor = _terminal(sys.stdin if stream is None else stream)
        self.active = self._descriptor is not None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="keys", daemon=True)

    def __enter__(self) -> Self:
        if self.active:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self.active:
            self._thread.join(2 * LOOK_S)

    def _listen(self) -> None:
        assert self._descriptor is not None
        line = ""
        for text in _typed(self._descriptor, self._ending):
            *lines, line = (line + text).replace("\r", "\n").split("\n")
            for done in lines:
                action = self._actions.get(done.strip().lower())
                if action is not None:
                    action()


def _terminal(stream: TextIO | None) -> int | None:
    """The descriptor of `stream` if it is a terminal. A program without one may have no stream at all."""
    try:
        return stream.fileno() if stream is not None and stream.isatty() else None
    except (OSError, ValueError):
        return None


if sys.platform == "win32":
    import msvcrt

    def _typed(descriptor: int, ending: threading.Event) -> Iterator[str]:
        """What is typed, letter by letter, until `ending` is set."""
        while not ending.wait(LOOK_S):
            while msvcrt.kbhit():
                yield msvcrt.getwche()

else:
    import select

    def _typed(descriptor: int, ending: threading.Event) -> Iterator[str]:
        """What is typed, line by line, until `ending` is set or the terminal goes away."""
        # Blocked, a read from the background fails with an error instead of stopping the whole program.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN})
        while not ending.is_set():
            if not _in_foreground(descriptor):
                ending.wait(LOOK_S)
                continue
            # Not through the stream: a thread that waits in there would hold up the end of the interpreter.
            if not select.select([descriptor], [], [], LOOK_S)[0]:
                continue
            try:
                text = os.read(descriptor, 1024)
            except OSError:  # in the background by now
                ending.wait(LOOK_S)
                continue
            if not text:
                return
            yield text.decode(errors="replace")

    def _in_foreground(descriptor: int) -> bool:
        try:
            return os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError:
            # Not the terminal that controls this program, so it stops nobody.
            return True
