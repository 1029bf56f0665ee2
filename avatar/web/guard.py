"""Who may ask a server of ours, as middlewares for aiohttp: Host, Origin, tokens, rates, headers.

A page on another site can make a browser send requests to this computer, also to its loopback address. What
stops it: the Host has to be one of our names (or a name of the attacker's could be pointed at us), a request
that changes something has to come from our own page, and what matters needs a secret besides.
"""

from __future__ import annotations

import hmac
import math
from collections import OrderedDict
from collections.abc import Collection

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from avatar.tools import clock

SAFE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD, hdrs.METH_OPTIONS})
"""Methods that change nothing."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob: mediastream:; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "livehead",
}
"""Sent with every answer: nothing from elsewhere, no frame around us, no address of ours told to others."""
MOST_ADDRESSES = 1024
"""How many addresses `Rates` remembers; the one that was quiet longest is forgotten first."""


def only_hosts(hosts: Collection[str]) -> Middleware:
    """Refuse requests (421) whose Host is none of `hosts`, each NAME:PORT in small letters."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host.lower() not in hosts:
            raise web.HTTPMisdirectedRequest(text="This server has another name.\n")
        return await handler(request)

    return check_host


def only_own_pages(origins: Collection[str], *, needed: bool) -> Middleware:
    """Refuse (403) what a page of another origin asks to be changed.

    Args:
        origins: scheme://NAME:PORT of our own pages, in small letters.
        needed: also refuse what changes something and comes from no page, as programs send it.
    """

    @web.middleware
    async def check_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        foreign = needed if origin is None else origin.lower() not in origins
        if request.method not in SAFE and foreign:
            raise web.HTTPForbidden(text="Only this server's own page may do that.\n")
        return await handler(request)

    return check_origin


def only_with_token(token: str, *, cookie: str, free: Collection[str] = ()) -> Middleware:
    """Refuse (401) requests that do not carry `token`, but for the paths in `free`; see `carries`."""

    @web.middleware
    async def check_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in free and not carries(request, token, cookie=cookie):
            raise web.HTTPUnauthorized(text="The link's secret is missing.\n")
        return await handler(request)

    return check_token


def carries(request: web.Request, secret: str, *, cookie: str) -> bool:
    """Whether a request carries `secret`, as "Authorization: Bearer" or in a cookie of that name."""
    scheme, _, bearer = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    given = bearer.strip() if scheme.lower() == "bearer" else request.cookies.get(cookie, "")
    return same(given, secret)


def same(given: str, wanted: str) -> bool:
    """Whether two secrets are equal; how long that takes tells nothing about them."""
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())


@web.middleware
async def with_headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Send `HEADERS` with every answer, refusals included."""
    try:
        answer = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(HEADERS)
        raise
    answer.headers.update(HEADERS)
    return answer


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
