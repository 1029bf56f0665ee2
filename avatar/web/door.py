"""The door of a server: lets in so many connections, and closes those that come and ask nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

PATIENCE_S = 10.0
"""How long a connection may take for its first whole request."""
MOST = 64
"""Connections at once."""


class Door:
    """Makes the protocols of connections for `asyncio`, each around one of aiohttp's.

    Args:
        make: makes aiohttp's protocol.
        most: connections at once; a further one is closed at once.
        patience_s: seconds until a connection that has asked nothing is closed.
    """

    def __init__(
        self, make: Callable[[], asyncio.Protocol], *, most: int = MOST, patience_s: float = PATIENCE_S
    ) -> None:
        self._make, self._most, self._patience_s = make, most, patience_s
        self._silent: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}
        self._open: set[asyncio.BaseTransport] = set()

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one connection."""
        return _Behind(self._make(), self)

    @property
    def count(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def enter(self, transport: asyncio.Transport) -> None:
        """A connection was made."""
        if len(self._open) >= self._most:
            transport.abort()
        self._open.add(transport)
        timer = asyncio.get_running_loop().call_later(self._patience_s, transport.abort)
        self._silent[transport] = timer

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """A connection has ended."""
        self._open.discard(transport)
        self._has_asked(transport)

    @property
    def middleware(self) -> Middleware:
        """Notes that a connection has asked something. To be the application's first middleware."""

        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.transport is not None:
                self._has_asked(request.transport)
            return await handler(request)

        return note

    def _has_asked(self, transport: asyncio.BaseTransport) -> None:
        timer = self._silent.pop(transport, None)
        if timer is not None:
            timer.cancel()


class _Behind(asyncio.Protocol):
    """Hands everything on to aiohttp's protocol and tells the door of begin and end."""

    def __init__(self, inner: asyncio.Protocol, door: Door) -> None:
        self._inner, self._door = inner, door
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._inner.connection_made(transport)
        self._door.enter(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._door.leave(self._transport)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()
