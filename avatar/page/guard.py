"""Who is let in: the browser that was given this run's address, from pages of this server, and nobody else.

A server on the loopback interface is open to every page that the user has open: a foreign page may send it
requests, and by a name that it points at 127.0.0.1 (DNS rebinding) even read the answers. So each request
passes four gates, and no answer ever carries a CORS header:

    Host             one of the names under which this server was told, port included
    Origin           this very server, wherever the browser names one; asked for where something changes
    Sec-Fetch-Site   where the browser says it: not from another site, and not from another port
    token            a secret of this run, once in the address, from then on in a cookie that no script reads
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

HARMLESS = ("GET", "HEAD")
QUERY = "token"
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer: nothing is loaded from elsewhere, and nobody may embed or keep what is answered."""


class Guard:
    """Checks every request of a server; `middleware` goes into its application.

    Args:
        hosts: the values of the Host header under which the server is known, such as "127.0.0.1:8000".
        cookie: name of the cookie that keeps the token. Cookies do not know ports: it should name one.
        token: the secret; a new one unless told.
        scheme: of the server's own addresses.
    """

    def __init__(
        self, hosts: Iterable[str], *, cookie: str, token: str | None = None, scheme: str = "http"
    ) -> None:
        self.token = token or secrets.token_urlsafe(32)
        self._hosts = frozenset(hosts)
        self._cookie = cookie
        self._scheme = scheme

    @property
    def middleware(self) -> Middleware:
        """For `aiohttp.web.Application(middlewares=[...])`."""

        @web.middleware
        async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if refusal := self.refusal(request):
                raise web.HTTPForbidden(text=refusal)
            if QUERY in request.query:
                return self._introduced(request)
            return await handler(request)

        return guarded

    async def on_prepare(self, request: web.Request, response: web.StreamResponse) -> None:
        """For `application.on_response_prepare`: puts `HEADERS` on every answer."""
        response.headers.update(HEADERS)

    def refusal(self, request: web.Request) -> str | None:
        """Why the request is not answered; None if it is."""
        host = request.headers.get("Host", "")
        if host not in self._hosts:
            return "This server is not known under that name."
        origin = request.headers.get("Origin")
        changes = request.method not in HARMLESS or "Upgrade" in request.headers
        if origin is None and changes:
            return "A request that changes something has to say where it comes from."
        if origin is not None and origin != f"{self._scheme}://{host}":
            return "Requests of other pages are not answered."
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            return "Requests of other pages are not answered."
        given = request.query.get(QUERY, request.cookies.get(self._cookie, ""))
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            return "Open the page by the address that the program told when it started."
        return None

    def _introduced(self, request: web.Request) -> web.StreamResponse:
        """Keep the token in a cookie, and take it out of the address, which is seen and remembered."""
        query = [(name, value) for name, value in request.query.items() if name != QUERY]
        location = str(request.rel_url.with_query(query))
        response = web.Response(status=303, headers={"Location": location})
        response.set_cookie(
            self._cookie, self.token, httponly=True, samesite="Strict", secure=self._scheme == "https"
        )
        return response
