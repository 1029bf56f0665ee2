"""The only way an item travels from thread to thread: room for one, and the newest wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class Slot(Generic[T]):
    """Room for one item between a thread that puts and a thread that takes.

    `put` never waits: an item nobody took in time is replaced and counted in `dropped`. `offer` is for work
    that must not lose anything: it waits until the last item was taken. After `close` nothing more goes in,
    and what lies in it can still be taken.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._full = False
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items were replaced before anybody took them."""
        return self._dropped

    @property
    def finished(self) -> bool:
        """Closed and empty: nothing will ever come out again."""
        with self._changed:
            return self._closed and not self._full

    def put(self, item: T) -> bool:
        """Lay `item` in and replace what lies there. False when the slot is closed."""
        with self._changed:
            if self._closed:
                return False
            self._dropped += self._full
            self._fill(item)
            return True

    def offer(self, item: T, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds (None: for ever) for an empty slot, then lay `item` in.

        False when the slot is closed, or is still full after `timeout`; the item is then not in.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or not self._full, timeout) or self._closed:
                return False
            self._fill(item)
            return True

    def get(self, timeout: float | None = None) -> T | None:
        """Wait up to `timeout` seconds (None: for ever) for an item and take it.

        None when none came in time or the slot is `finished`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._full or self._closed, timeout) or not self._full:
                return None
            item, self._item, self._full = self._item, None, False
            self._changed.notify_all()
            return item

    def wait_for_room(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds (None: for ever) until nothing lies in the slot, or it is closed.

        False when something still lies there.
        """
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or not self._full, timeout)

    def close(self) -> None:
        """Take nothing more in and wake everybody who waits. Closing twice is no error."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _fill(self, item: T) -> None:
        self._item, self._full = item, True
        self._changed.notify_all()
