"""A server in a thread of its own, with an event loop of its own: it never waits for the live loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from avatar.errors import PageError

LOOPBACK = "127.0.0.1"
END_S = 2.0
"""How long the end may take; requests under way are cut off after half of it."""


def bind(port: int = 0, host: str = LOOPBACK) -> socket.socket:
    """A listening socket that only this machine can reach; port 0 takes any that is free.

    Raises:
        PageError: the port is taken, or may not be used.
    """
    try:
        return socket.create_server((host, port))
    except (OSError, OverflowError) as error:
        told = getattr(error, "strerror", None) or error
        raise PageError(f"port {port} cannot be used for the page: {told}; take another one") from error


class ServerThread:
    """Serves an application while inside `with`.

    Args:
        application: what is served; its handlers run in this thread.
        listening: of `bind`; it is closed at the end.
        name: of the thread.
    """

    def __init__(self, application: web.Application, listening: socket.socket, name: str = "page") -> None:
        self._application = application
        self._listening = listening
        self._loop = asyncio.new_event_loop()
        self._ending = asyncio.Event()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call_soon(self._ending.set)
        self._thread.join(END_S)

    def call_soon(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Let the event loop call something; from any thread, and without effect once it has ended."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(call, *arguments)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._served())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()
            self._listening.close()
            self._loop.close()

    async def _served(self) -> None:
        runner = web.AppRunner(self._application, access_log=None, shutdown_timeout=END_S / 2)
        await runner.setup()
        try:
            await web.SockSite(runner, self._listening).start()
            self._ready.set()
            await self._ending.wait()
        finally:
            await runner.cleanup()
