"""The newest picture for those who look: nothing is encoded for nobody, and once for all who do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from avatar.tools import clock

T = TypeVar("T")
Wake = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Packed:
    """An item as bytes."""

    number: int
    """How many were put before it, and itself."""
    put_ns: int
    """When it was put."""
    content: bytes


class Feed(Generic[T]):
    """Keeps the newest item and packs it when it is asked for.

    Args:
        pack: makes bytes of an item.
    """

    def __init__(self, pack: Callable[[T], bytes]) -> None:
        self.number = 0
        """How many items were put."""
        self._pack = pack
        self._item: T | None = None
        self._wakes: tuple[Wake, ...] = ()
        self._lock = threading.Lock()
        self._packing = threading.Lock()
        """Apart from the other one: who puts must not wait for who packs."""
        self._put_ns = 0
        self._packed: Packed | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody looks."""
        return bool(self._wakes)

    @property
    def newest(self) -> T | None:
        """The item itself; None before the first one."""
        return self._item

    def put(self, item: T) -> None:
        """Lay a new item in, and tell who looks."""
        with self._lock:
            self._item, self._put_ns = item, clock.now_ns()
            self.number += 1
        for wake in self._wakes:
            wake()

    def watch(self, wake: Wake) -> None:
        """Look: `wake` is called, in any thread, whenever there is a new item."""
        self._wakes = (*self._wakes, wake)

    def leave(self, wake: Wake) -> None:
        """Look no more; no error without `watch`."""
        self._wakes = tuple(one for one in self._wakes if one != wake)

    def packed(self) -> Packed | None:
        """The newest item as bytes; None before the first one. From any thread."""
        with self._packing:
            with self._lock:
                number, item, put_ns = self.number, self._item, self._put_ns
            if item is None:
                return None
            if self._packed is None or self._packed.number != number:
                self._packed = Packed(number, put_ns, self._pack(item))
            return self._packed
