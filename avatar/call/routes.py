"""The HTTP side of a call, in the shape of WHIP (RFC 9725) and WHEP.

    GET    /call/TOKEN            the page
    GET    /call/TOKEN/settings   what the page has to know, as JSON
    POST   /call/TOKEN            an offer, application/sdp -> 201 with the answer, Location and ETag
    DELETE /call/TOKEN/at/ID      the end of a connection (Location says where)
    GET    /page/NAME             style and script of the page

An offer may come from the page or from any WHIP or WHEP client: a link needs no more than itself. The secret
for coming back is a cookie that no script can read.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

from aiohttp import hdrs, web

from avatar.call.ice import Ice
from avatar.call.invitation import Invitation, Standing
from avatar.call.offers import MOST_BYTES
from avatar.errors import CallError
from avatar.web.guard import Rates

SDP = "application/sdp"
COOKIE = "livehead-call"
BODY_S = 5.0
"""How long an offer may take to arrive."""
OFFERS_PER_MINUTE, OFFERS_AT_ONCE = 30, 10
LOOKS_PER_MINUTE, LOOKS_AT_ONCE = 120, 40
"""Of the page, for each address; also what a guesser of links has."""
AT_ONCE = 3
"""Offers being worked on, of all links together."""
PAGE = {"call.css": "text/css", "call.js": "text/javascript", "signal.js": "text/javascript"}


class Rooms(Protocol):
    """Where connections are made and ended."""

    def find(self, token: str) -> Invitation | None:
        """The link with that token."""

    async def join(self, invitation: Invitation, offer: str) -> tuple[str, str]:
        """Make the connection that an offer asks for, in place of the link's last one.

        Gives its id and the answer; raises CallError.
        """

    async def leave(self, invitation: Invitation, connection: str) -> bool:
        """End a connection; False if there is none of that id."""

    def taken(self) -> None:
        """A link has got its owner: to be kept."""


@dataclass(frozen=True, slots=True)
class _Visit:
    """A request with a link that exists."""

    invitation: Invitation
    standing: Standing


class Routes:
    """The handlers.

    Args:
        rooms: where calls are.
        ice: told to browsers.
        tls: whether cookies are for HTTPS only.
    """

    def __init__(self, rooms: Rooms, ice: Ice, *, tls: bool) -> None:
        self._rooms, self._ice, self._tls = rooms, ice, tls
        self._offers = Rates(OFFERS_PER_MINUTE, OFFERS_AT_ONCE)
        self._looks = Rates(LOOKS_PER_MINUTE, LOOKS_AT_ONCE)
        self._working = 0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By the tokens of links that exist."""

    def all(self) -> Sequence[web.AbstractRouteDef]:
        """For aiohttp."""
        return [
            web.get("/call/{token}", self.page),
            web.get("/call/{token}/settings", self.settings),
            web.options("/call/{token}", self.options),
            web.post("/call/{token}", self.offer),
            web.delete("/call/{token}/at/{connection}", self.end),
            web.get("/page/{name}", self.part),
        ]

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The page, also for a link that is used up: it says so."""
        self._visit(request, self._looks)
        return web.Response(text=page_part("call.html"), content_type="text/html")

    async def part(self, request: web.Request) -> web.StreamResponse:
        """Style or script of the page."""
        name = request.match_info["name"]
        if name not in PAGE:
            raise web.HTTPNotFound(text="There is no such page.\n")
        return web.Response(text=page_part(name), content_type=PAGE[name])

    async def settings(self, request: web.Request) -> web.StreamResponse:
        """Role and ICE servers, for who may use the link."""
        visit = self._visit(request, self._looks)
        self._refuse_others(visit)
        return web.json_response(
            {"role": visit.invitation.role, "ice": self._ice.for_browsers(), "standing": visit.standing}
        )

    async def options(self, request: web.Request) -> web.StreamResponse:
        """What can be posted here."""
        self._visit(request, self._looks)
        return web.Response(status=204, headers={"Accept-Post": SDP, hdrs.ALLOW: "GET, POST, OPTIONS"})

    async def offer(self, request: web.Request) -> web.StreamResponse:
        """Make a connection."""
        visit = self._visit(request, self._offers)
        self._refuse_others(visit)
        if request.content_type != SDP:
            raise web.HTTPUnsupportedMediaType(headers={"Accept-Post": SDP}, text=f"Send {SDP}.\n")
        offer = await _read(request)
        if self._working >= AT_ONCE:
            raise web.HTTPServiceUnavailable(headers={hdrs.RETRY_AFTER: "1"}, text="Busy; try again.\n")
        self._working += 1
        try:
            # Two may come with one link at once: the second one finds it taken.
            async with self._locks[visit.invitation.token]:
                return await self._join(self._again(request, visit), offer)
        except CallError as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        finally:
            self._working -= 1

    async def _join(self, visit: _Visit, offer: str) -> web.StreamResponse:
        connection, answer = await self._rooms.join(visit.invitation, offer)
        token = visit.invitation.token
        response = web.Response(status=201, body=answer.encode(), content_type=SDP)
        response.headers[hdrs.LOCATION] = f"/call/{token}/at/{connection}"
        response.headers[hdrs.ETAG] = f'"{connection}"'
        for link in self._ice.links():
            response.headers.add(hdrs.LINK, link)
        if visit.standing is Standing.FREE:
            secret = visit.invitation.take()
            self._rooms.taken()
            response.set_cookie(
                COOKIE, secret, path=f"/call/{token}", httponly=True, samesite="Strict", secure=self._tls
            )
        return response

    async def end(self, request: web.Request) -> web.StreamResponse:
        """End a connection. Its id cannot be guessed either, so it is enough."""
        visit = self._visit(request, self._looks)
        if not await self._rooms.leave(visit.invitation, request.match_info["connection"]):
            raise web.HTTPNotFound(text="There is no such connection.\n")
        return web.Response(status=200)

    def _visit(self, request: web.Request, rates: Rates) -> _Visit:
        rates.take(request.remote or "")
        invitation = self._rooms.find(request.match_info["token"])
        if invitation is None:
            raise web.HTTPNotFound(text="There is no such call.\n")
        return _Visit(invitation, invitation.standing(request.cookies.get(COOKIE)))

    def _again(self, request: web.Request, visit: _Visit) -> _Visit:
        """The same visit, as things stand now."""
        standing = visit.invitation.standing(request.cookies.get(COOKIE))
        visit = _Visit(visit.invitation, standing)
        self._refuse_others(visit)
        return visit

    def _refuse_others(self, visit: _Visit) -> None:
        if visit.standing in (Standing.TAKEN, Standing.EXPIRED):
            told = "is in use by another browser" if visit.standing is Standing.TAKEN else "is too old"
            raise web.HTTPGone(text=f"This link {told}; ask for a new one.\n")


async def _read(request: web.Request) -> str:
    """The body, if it comes in time and is small enough."""
    if (request.content_length or 0) > MOST_BYTES:
        raise web.HTTPRequestEntityTooLarge(MOST_BYTES, request.content_length or 0)
    try:
        async with asyncio.timeout(BODY_S):
            return (await request.read()).decode("utf-8")
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The offer took too long.\n") from None
    except UnicodeDecodeError:
        raise web.HTTPBadRequest(text="The offer is not UTF-8.\n") from None


def page_part(name: str) -> str:
    """A file of the page."""
    return resources.files("avatar.call").joinpath("page", name).read_text(encoding="utf-8")
