"""An aiohttp application on a socket of ours, in an event loop that runs elsewhere."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from avatar.web import guard
from avatar.web.addresses import in_url
from avatar.web.door import Door

KEEP_ALIVE_S = 15.0
SHUTDOWN_S = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server can be reached."""

    names: tuple[str, ...]
    """Addresses or names, the one to be shown first."""
    port: int
    tls: bool

    @property
    def scheme(self) -> str:
        """Its first part: http or https."""
        return "https" if self.tls else "http"

    @property
    def hosts(self) -> frozenset[str]:
        """NAME:PORT, as browsers send them in Host."""
        usual = self.port == (443 if self.tls else 80)
        written = [in_url(name).lower() for name in self.names]
        return frozenset([f"{name}:{self.port}" for name in written] + (written if usual else []))

    def url(self, path: str, name: str | None = None) -> str:
        """The link to `path`, by one of the names; the first if none is given."""
        return f"{self.scheme}://{in_url(name or self.names[0])}:{self.port}{path}"


class Server:
    """Serves an application that is guarded: connections, Host and Origin are looked at first.

    Args:
        routes: what is served.
        place: under which names.
        sock: a listening socket, which is closed with the server.
        tls: for HTTPS; None for plain HTTP.
        body_bytes: the largest body that is read.
        programs: whether programs and links of others may ask, too, see `guard.only_own_pages`.
        middlewares: what looks at requests after that.
    """

    def __init__(
        self,
        routes: Sequence[web.AbstractRouteDef],
        place: Place,
        sock: socket.socket,
        *,
        tls: ssl.SSLContext | None = None,
        body_bytes: int = 64 * 1024,
        programs: bool = False,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        self.place = place
        self._routes, self._sock, self._tls = routes, sock, tls
        self._body_bytes, self._programs, self._middlewares = body_bytes, programs, middlewares
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer, in the running event loop."""
        door = Door(self._protocol, tls=self._tls)
        application = web.Application(
            client_max_size=self._body_bytes,
            middlewares=[
                door.middleware,
                _tell_faults,
                guard.only_hosts(self.place.hosts),
                guard.only_own_pages(self.place.scheme, programs=self._programs),
                *self._middlewares,
            ],
        )
        application.on_response_prepare.append(guard.add_headers)
        application.add_routes(self._routes)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=SHUTDOWN_S
        )
        await self._runner.setup()
        self._server = await asyncio.get_running_loop().create_server(door, sock=self._sock)

    async def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._sock.close()

    def _protocol(self) -> asyncio.Protocol:
        assert self._runner is not None and self._runner.server is not None
        return self._runner.server()


@web.middleware
async def _tell_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log faults of ours, with a traceback and without the secrets of an address.

    In calls aiohttp's own log is silent: it tells each oddity of who asks.
    """
    try:
        return await handler(request)
    except (web.HTTPException, ConnectionError):
        raise
    except Exception:
        resource = request.match_info.route.resource
        _log.exception("%s %s: cannot be answered", request.method, resource.canonical if resource else "?")
        raise web.HTTPInternalServerError from None
