"""Publishing into a room of Janus' videoroom, by Janus' HTTP interface."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from avatar.call.peer import Peer
from avatar.errors import CallError
from avatar.web.addresses import is_loopback

PLUGIN = "janus.plugin.videoroom"
ANSWER_S = 15.0
POLL_S = 60.0
"""A question for events is answered after 30 s at the latest; it also tells Janus that we are still there."""


class Janus:
    """A room of a Janus server.

    Args:
        url: of Janus' HTTP interface, as http://HOST:8088/janus.
        room: number of the room, which has to exist.
        name: shown to the others.
        secret: Janus' "apisecret" or the room's token, if it has one.
        pin: the room's, if it has one.

    Raises:
        CallError: `url` is no address of the web, or would send secret or PIN unprotected.
    """

    def __init__(
        self, url: str, room: int, *, name: str = "avatar", secret: str | None = None, pin: str | None = None
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CallError(f"{url!r} is no address of Janus; it looks like http://HOST:8088/janus")
        if (secret or pin) and parts.scheme == "http" and not is_loopback(parts.hostname):
            raise CallError("a secret or PIN is not sent by http://, where everybody on the way can read it")
        self.told = f"room {room} of the Janus server at {parts.hostname}"
        self._url, self._room, self._name = url.rstrip("/"), room, name
        self._secret, self._pin = secret, pin
        self._http: aiohttp.ClientSession | None = None
        self._session: int | None = None
        self._handle: int | None = None

    async def begin(self, peer: Peer) -> None:
        """Enter the room and publish what `peer` sends; raises CallError."""
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=POLL_S))
        try:
            async with asyncio.timeout(ANSWER_S):
                self._session = (await self._ask({"janus": "create"}))["data"]["id"]
                self._handle = (await self._ask({"janus": "attach", "plugin": PLUGIN}))["data"]["id"]
                join = {"request": "join", "ptype": "publisher", "room": self._room, "display": self._name}
                if self._pin is not None:
                    join["pin"] = self._pin
                await self._request(join)
                offer = {"type": "offer", "sdp": await peer.offer(receive=False)}
                answer = await self._request({"request": "publish", "audio": True, "video": True}, offer)
                await peer.accept(answer["jsep"]["sdp"])
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise CallError(f"{self.told} cannot be reached: {type(error).__name__} {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CallError(f"{self.told} answers something else than Janus would") from error

    async def hold(self) -> None:
        """Ask for events, until cancelled; returns when Janus has put us out, or is gone itself."""
        with contextlib.suppress(CallError, aiohttp.ClientError, ValueError, OSError):
            while True:
                event = await self._event()
                if event.get("janus") in ("hangup", "detached", "timeout"):
                    return

    async def end(self) -> None:
        """Leave the room; that nobody listens any more is no error."""
        if self._http is None:
            return
        with contextlib.suppress(CallError, aiohttp.ClientError, ValueError, OSError):
            async with asyncio.timeout(3.0):
                if self._session is not None:
                    await self._ask({"janus": "destroy"})
        await self._http.close()
        self._http = self._session = self._handle = None

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Post one message; gives the answer, raises CallError if it is a refusal."""
        assert self._http is not None
        path = self._url
        if self._session is not None:
            path += f"/{self._session}"
            if message["janus"] == "message":
                path += f"/{self._handle}"
        message = {**message, "transaction": secrets.token_hex(8)}
        if self._secret is not None:
            message["apisecret"] = self._secret
        async with self._http.post(path, json=message) as response:
            return self._checked(await response.json(content_type=None))

    async def _request(self, body: dict[str, Any], offer: dict[str, str] | None = None) -> dict[str, Any]:
        """Ask the room for something; its answer comes as an event, which is waited for."""
        message: dict[str, Any] = {"janus": "message", "body": body}
        if offer is not None:
            message["jsep"] = offer
        await self._ask(message)
        while True:
            event = await self._event()
            if event.get("janus") == "event" and event.get("sender") == self._handle:
                data = event["plugindata"]["data"]
                if "error" in data:
                    raise CallError(f"{self.told} refuses: {data['error']}")
                if offer is None or "jsep" in event:
                    return event

    async def _event(self) -> dict[str, Any]:
        assert self._http is not None
        query = {"maxev": "1"} | ({"apisecret": self._secret} if self._secret is not None else {})
        async with self._http.get(f"{self._url}/{self._session}", params=query) as response:
            event = await response.json(content_type=None)
        return self._checked(event[0] if isinstance(event, list) and event else event)

    def _checked(self, answer: Any) -> dict[str, Any]:
        if not isinstance(answer, dict) or not isinstance(answer.get("error", {}), dict):
            raise CallError(f"{self.told} answers something else than Janus would")
        if answer.get("janus") == "error":
            raise CallError(f"{self.told} refuses: {answer.get('error', {}).get('reason')}")
        return answer
