"""The door of a server: lets in so many connections, and closes those that come and ask nothing."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

PATIENCE_S = 10.0
"""How long a connection may take for its first whole request, and the handshake of TLS before it."""
MOST = 64
"""Connections at once."""


class Door:
    """Makes the protocols of connections for `asyncio`, each around one of aiohttp's.

    It stands before TLS: a connection counts from its first moment on, whether it ever gets through the
    handshake or not, which costs us much more than who begins it.

    Args:
        make: makes aiohttp's protocol.
        tls: for HTTPS; None for plain HTTP. asyncio's server is not told of it.
        most: connections at once; a further one is closed at once.
        patience_s: seconds until a connection that has asked nothing is closed.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        *,
        tls: ssl.SSLContext | None,
        most: int = MOST,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._make, self._tls, self._most, self._patience_s = make, tls, most, patience_s
        self._open: dict[asyncio.BaseTransport, asyncio.TimerHandle | None] = {}
        """Each with the end of our patience, until it has asked something."""

    def __call__(self) -> asyncio.Protocol:
        """The protocol of one connection."""
        return _Behind(self._make, self, self._tls)

    @property
    def count(self) -> int:
        """Connections that are open."""
        return len(self._open)

    def enter(self, transport: asyncio.Transport) -> bool:
        """A connection was made; False if it is one too many."""
        if len(self._open) >= self._most:
            return False
        self._open[transport] = asyncio.get_running_loop().call_later(self._patience_s, transport.abort)
        return True

    def goes_on_as(self, transport: asyncio.Transport, inside: asyncio.Transport) -> None:
        """What a connection carries is encrypted from now on, and `inside` stands for it."""
        self._open[inside] = self._open.pop(transport, None)

    def leave(self, transport: asyncio.BaseTransport) -> None:
        """A connection has ended."""
        self._has_asked(transport)
        self._open.pop(transport, None)

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
        timer = self._open.get(transport)
        if timer is not None:
            timer.cancel()
            self._open[transport] = None


class _Behind(asyncio.Protocol):
    """Hands everything on to aiohttp's protocol, out of TLS where there is some, and tells the door."""

    def __init__(self, make: Callable[[], asyncio.Protocol], door: Door, tls: ssl.SSLContext | None) -> None:
        self._make, self._door, self._tls = make, door, tls
        self._inner: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] = []
        """What came right behind the handshake, before we were told that it has ended."""
        self._shaking: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        made = cast(asyncio.Transport, transport)
        if not self._door.enter(made):
            made.abort()
        elif self._tls is None:
            self._begin(made)
        else:
            made.pause_reading()  # until the one reads who understands it
            self._shaking = asyncio.get_running_loop().create_task(self._shake_hands(made, self._tls))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._door.leave(self._transport)
        if self._inner is not None:
            self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._inner is None:
            self._early.append(data)
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._inner is None else self._inner.eof_received()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    async def _shake_hands(self, outside: asyncio.Transport, tls: ssl.SSLContext) -> None:
        """Begin TLS; who does not get through it is gone, and that is no error of ours."""
        inside: asyncio.Transport | None = None
        try:
            inside = await asyncio.get_running_loop().start_tls(outside, self, tls, server_side=True)
        except OSError:
            pass
        finally:
            if inside is None:  # lost, refused, or put out meanwhile
                self._door.leave(outside)
        if inside is not None:
            self._door.goes_on_as(outside, inside)
            self._begin(inside)

    def _begin(self, transport: asyncio.Transport) -> None:
        self._transport, self._inner = transport, self._make()
        self._inner.connection_made(transport)
        for data in self._early:
            self._inner.data_received(data)
        self._early.clear()
