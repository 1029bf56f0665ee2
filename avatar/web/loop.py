"""An event loop in a thread of its own, for what speaks with the network while the live loop runs."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)
END_S = 5.0
"""How long what still runs may take to end."""


class LoopThread:
    """Runs coroutines for other threads.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_note)
        # A daemon: what hangs in a system call must not keep the program from ending.
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run `work` in the loop and wait for what it gives or raises; TimeoutError after `timeout` [s]."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except (concurrent.futures.TimeoutError, KeyboardInterrupt):
            future.cancel()
            raise

    def soon(self, call: Callable[[], object]) -> None:
        """Have `call` called in the loop; nothing happens once it is closed."""
        if not self._loop.is_closed():
            try:
                self._loop.call_soon_threadsafe(call)
            except RuntimeError:  # closed in between
                return

    def close(self) -> None:
        """End what still runs, then the thread."""
        if self._loop.is_closed():
            return
        try:
            self.run(_end_all(), END_S)
        except TimeoutError:
            _log.debug("work in the event loop did not end")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(END_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _end_all() -> None:
    mine = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not mine]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
    await asyncio.get_running_loop().shutdown_default_executor()


def _note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What nobody waits for may fail: a peer that sends nonsense must not fill the terminal."""
    _log.debug("in the event loop: %s: %r", context.get("message"), context.get("exception"))
