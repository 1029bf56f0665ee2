"""A source of frames that can be exchanged for another while a run goes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from avatar.errors import CameraLostError
from avatar.records import Frame, Observation


class Closable(Protocol):
    """What is fetched from, and closed at the end."""

    def __call__(self) -> Frame | Observation | None:
        """The next item; None at the end."""

    def close(self) -> None:
        """End it."""


class SwitchedSource:
    """Stands for a source of a run; numbers of frames go on over an exchange.

    Args:
        source: the first one. Whichever is in use is closed here.
        on_recorded: called with each item that is an observation already, and no picture.
    """

    def __init__(
        self, source: Closable, *, on_recorded: Callable[[Observation], None] = lambda observation: None
    ) -> None:
        self._source = source
        self._on_recorded = on_recorded
        self._next: Closable | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._first = 0
        self._index = -1
        self._dropped = 0

    @property
    def camera(self) -> int | None:
        """Number of the camera that is in use, or will be at the next call; None if it is none."""
        with self._lock:
            return getattr(self._next or self._source, "index", None)

    @property
    def dropped(self) -> int:
        """Frames that nobody fetched in time, of all sources so far."""
        return self._dropped + _dropped(self._source)

    def exchange(self, source: Closable) -> None:
        """Fetch from `source` from the next call on; once this is closed, `source` is closed, too."""
        with self._lock:
            unused, self._next = (source, None) if self._closed else (self._next, source)
        if unused is not None:
            unused.close()

    def __call__(self) -> Frame | Observation | None:
        """The next item; None when the source has ended and no other one waits."""
        self._take_next()
        item = self._source()
        if item is None and self._take_next():
            item = self._source()
        if item is None:
            return None
        if isinstance(item, Observation):
            self._on_recorded(item)
        self._index = self._first + item.index
        return replace(item, index=self._index)

    def reopen(self) -> None:
        """Open a lost camera again, or take the next source.

        Raises:
            CameraError: it is not back.
        """
        if self._take_next():
            return
        reopen: Callable[[], None] | None = getattr(self._source, "reopen", None)
        if reopen is None:
            raise CameraLostError("the source cannot be opened again")
        reopen()

    def close(self) -> None:
        """Close what is in use, and what waits."""
        with self._lock:
            waiting, self._next, self._closed = self._next, None, True
        if waiting is not None:
            waiting.close()
        self._source.close()

    def _take_next(self) -> bool:
        with self._lock:
            if self._next is None:
                return False
            old, self._source, self._next = self._source, self._next, None
            self._dropped += _dropped(old)
            self._first = self._index + 1
        old.close()
        return True


def _dropped(source: Closable) -> int:
    dropped: int = getattr(source, "dropped", 0)
    return dropped
