"""Who may ask a server of ours: Host, Origin, secrets, rates, and the headers of every answer.

A server of this computer, on its loopback address, too, is open to every page that the user has open: a
foreign page may send it requests, and by a name that it points here (DNS rebinding) even read the answers. So
what is asked passes these gates, and no answer ever carries a CORS header:

    Host             one of the names under which this server is known, port included
    Origin           this very server, wherever the browser names one; asked for where something changes
    Sec-Fetch-Site   where nothing from elsewhere is answered: not another site, and not another port
    secret           of this run, once in the address, from then on in a cookie that no script reads
"""

from __future__ import annotations

import hmac
import math
from collections import OrderedDict
from collections.abc import Collection, Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from avatar.tools import clock

SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that change nothing."""
QUERY = "token"
"""Name of the secret in an address."""
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob: mediastream:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "Server": "livehead",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""On every answer: nothing from elsewhere, no frame around us, no address of ours told, nothing kept."""
MOST_ADDRESSES = 1024
"""How many addresses `Rates` remembers; the one that was quiet longest is forgotten first."""


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put `HEADERS` on an answer; for `Application.on_response_prepare`, which sees refusals, too."""
    response.headers.update(HEADERS)


def only_hosts(hosts: Collection[str]) -> Middleware:
    """Refuse requests (421) whose Host is none of `hosts`, each NAME:PORT in small letters."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host.lower() not in hosts:
            raise web.HTTPMisdirectedRequest(text="This server has another name.\n")
        return await handler(request)

    return check_host


def only_own_pages(scheme: str, *, programs: bool) -> Middleware:
    """Refuse (403) what comes from pages of others. The Host has been looked at before.

    Args:
        scheme: http or https, of this server.
        programs: also answer programs, which send no Origin, and let links and pages of others lead here:
            they change nothing, and what they read without CORS no script of theirs gets. False: answer
            nobody but the browser that was sent here, and pages of this server.
    """

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        changes = request.method not in SAFE or hdrs.UPGRADE in request.headers
        if origin is None:
            foreign = changes and not programs
        else:
            foreign = (changes or not programs) and origin.lower() != f"{scheme}://{request.host.lower()}"
        site = request.headers.get("Sec-Fetch-Site", "none")
        if foreign or (not programs and site not in ("none", "same-origin")):
            raise web.HTTPForbidden(text="Only this server's own page may do that.\n")
        return await handler(request)

    return check_origin


def only_with_token(token: str, *, cookie: str, secure: bool) -> Middleware:
    """Refuse requests (403) that carry `token` neither in the address nor in a cookie.

    Out of the address, which is seen and remembered, it moves into the cookie at once.

    Args:
        token: the secret.
        cookie: the name of that one. Cookies do not know ports: it should name one.
        secure: whether the cookie is for HTTPS only.
    """

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.query.get(QUERY)
        if not _same(request.cookies.get(cookie, "") if given is None else given, token):
            raise web.HTTPForbidden(
                text="Open the page by the address that the program told when it started.\n"
            )
        if given is None:
            return await handler(request)
        query = [(name, value) for name, value in request.query.items() if name != QUERY]
        response = web.Response(status=303, headers={hdrs.LOCATION: str(request.rel_url.with_query(query))})
        response.set_cookie(cookie, token, httponly=True, samesite="Strict", secure=secure)
        return response

    return check_token


def _same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal; how long that takes tells nothing about them."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


class Rates:
    """How often each address may do something: `burst` times at once, then `per_minute`.

    Args:
        per_minute: how many times in the long run.
        burst: how many times at once.
    """

    def __init__(self, per_minute: float, burst: int) -> None:
        self._per_ns = per_minute / 60e9
        self._burst = burst
        self._left: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def take(self, address: str) -> None:
        """Count one try of `address`; raises 429 with Retry-After when it is one too many."""
        now = clock.now_ns()
        left, seen_ns = self._left.pop(address, (float(self._burst), now))
        left = min(self._burst, left + (now - seen_ns) * self._per_ns)
        self._left[address] = (left - 1 if left >= 1 else left, now)
        while len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        if left < 1:
            wait_s = math.ceil((1 - left) / self._per_ns / 1e9)
            raise web.HTTPTooManyRequests(
                headers={hdrs.RETRY_AFTER: str(wait_s)}, text="Too many tries; wait a little.\n"
            )
