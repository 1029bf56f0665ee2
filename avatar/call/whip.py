"""The sending side of WHIP (RFC 9725): one POST begins, one DELETE ends."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp import hdrs

from avatar.call.offers import MOST_BYTES
from avatar.call.peer import Peer
from avatar.errors import CallError
from avatar.web.addresses import is_loopback

ANSWER_S = 15.0
_MOST_TOLD = 200


class Whip:
    """An endpoint that takes one picture and one sound.

    Args:
        url: of the endpoint.
        token: sent as "Authorization: Bearer", if the endpoint wants one. Only to where `url` itself leads.

    Raises:
        CallError: `url` is no address of the web, or would send the token unprotected.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CallError(f"{url!r} is no WHIP address; it begins with https://")
        if token and parts.scheme == "http" and not is_loopback(parts.hostname):
            raise CallError("a token is not sent by http://, where everybody on the way can read it")
        self.told = f"the WHIP endpoint at {parts.hostname}"
        self._url, self._token = url, token
        self._session: str | None = None

    async def begin(self, peer: Peer) -> None:
        """Send the offer of `peer` and give it the answer; raises CallError."""
        offer = await peer.offer(receive=False)
        async with self._http() as http:
            try:
                answer = await self._post(http, offer)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise CallError(f"{self.told} cannot be reached: {type(error).__name__} {error}") from error
        await peer.accept(answer)

    async def hold(self) -> None:
        """Nothing has to be done to stay, and nothing here says that it is over."""
        await asyncio.Event().wait()

    async def end(self) -> None:
        """Say goodbye; that nobody listens any more is no error."""
        session, self._session = self._session, None
        if session is None:
            return
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with self._http() as http, http.delete(session, headers=self._headers(session)):
                pass

    async def _post(self, http: aiohttp.ClientSession, offer: str) -> str:
        headers = {**self._headers(self._url), hdrs.CONTENT_TYPE: "application/sdp"}
        async with http.post(self._url, data=offer.encode(), headers=headers) as response:
            text = (await response.content.read(MOST_BYTES + 1)).decode(errors="replace")
            if response.status != 201:
                told = " ".join(text.split())[:_MOST_TOLD]
                raise CallError(f"{self.told} refuses: {response.status} {response.reason} {told}".rstrip())
            location = response.headers.get(hdrs.LOCATION)
            if location is not None:
                self._session = urljoin(str(response.url), location)
            return text

    def _headers(self, url: str) -> dict[str, str]:
        """The token, for who it was meant for only: the end of a session may lie elsewhere."""
        here = urlsplit(url)[:2] == urlsplit(self._url)[:2]
        return {hdrs.AUTHORIZATION: f"Bearer {self._token}"} if self._token and here else {}

    def _http(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
