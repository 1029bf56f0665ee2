"""Publishing: our WHIP client against our own endpoint, and what a Janus server is asked."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiortc import RTCPeerConnection, RTCSessionDescription
from call_fakes import Painter, calling, only_loopback, url_of

from avatar.call import Ice, publish
from avatar.call.janus import Janus
from avatar.call.peer import Peer
from avatar.call.publish import Publisher
from avatar.call.whip import Whip
from avatar.errors import CallError
from avatar.web.addresses import listen
from avatar.web.loop import LoopThread

__all__ = ["only_loopback"]


def until(there: Callable[[], bool], patience_s: float = 15.0) -> None:
    end = time.monotonic() + patience_s
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextlib.contextmanager
def publishing(conference: Whip | Janus) -> Iterator[Publisher]:
    publisher = Publisher(conference, Ice(), "vp8")
    painter = Painter(publisher)
    try:
        yield publisher
    finally:
        painter.close()
        publisher.close()


@contextlib.contextmanager
def serving(*routes: web.AbstractRouteDef) -> Iterator[str]:
    """A server of the test; gives its address."""
    sock = listen("127.0.0.1", 0)
    loop = LoopThread("fake server")

    async def start() -> web.AppRunner:
        application = web.Application()
        application.add_routes(routes)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, sock).start()
        return runner

    runner = loop.run(start())
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        loop.run(runner.cleanup())
        loop.close()


def test_whip_to_our_own_endpoint_and_away_again() -> None:
    with calling(paint=False) as call:
        with publishing(Whip(url_of(call))):
            until(lambda: call.guest_picture() is not None)
            picture = call.guest_picture()
            assert picture is not None and (picture.width, picture.height) == (128, 128)
        until(lambda: not call._peers)
    assert not [thread for thread in threading.enumerate() if thread.name in ("publish", "call")]


def test_what_is_refused_is_told() -> None:
    with calling(paint=False, expires_s=-1) as call:
        with pytest.raises(CallError, match=r"refuses: 410 Gone This link is too old"):
            Publisher(Whip(url_of(call)), Ice(), "vp8")
        url = url_of(call)
    with pytest.raises(CallError, match="cannot be reached"):
        Publisher(Whip(url), Ice(), "vp8")
    assert not [thread for thread in threading.enumerate() if thread.name == "publish"]


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("ftp://x/y", None),
        ("nothing", None),
        ("http://", None),
        ("http://example.org/whip", "secret"),
        ("http://127.example.org/whip", "secret"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(url: str, token: str | None) -> None:
    with pytest.raises(CallError) as error:
        Whip(url, token)
    assert "secret" not in str(error.value)


async def answered(sdp: str, connections: list[RTCPeerConnection]) -> str:
    connection = RTCPeerConnection(Ice().configuration())
    connections.append(connection)
    await connection.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
    await connection.setLocalDescription()
    answer: str = connection.localDescription.sdp
    return answer


def test_the_token_goes_where_it_was_meant_for_only() -> None:
    asked: list[tuple[str, str, str | None]] = []
    connections: list[RTCPeerConnection] = []

    def note(request: web.Request) -> None:
        asked.append((request.method, request.path, request.headers.get("Authorization")))

    async def elsewhere(request: web.Request) -> web.Response:
        note(request)
        return web.Response()

    with serving(web.delete("/session", elsewhere)) as other:

        async def take(request: web.Request) -> web.Response:
            note(request)
            answer = await answered(await request.text(), connections)
            return web.Response(status=201, text=answer, headers={"Location": f"{other}/session"})

        with serving(web.post("/whip", take)) as url:
            with publishing(Whip(f"{url}/whip", "secret")):
                until(lambda: connections[0].connectionState == "connected")
            until(lambda: len(asked) == 2)
    assert asked == [("POST", "/whip", "Bearer secret"), ("DELETE", "/session", None)]


def test_a_connection_that_was_lost_is_made_again() -> None:
    """The endpoint goes away without a word, and comes back at the same address."""
    loops: list[asyncio.AbstractEventLoop] = []
    connections: list[RTCPeerConnection] = []
    times: list[float] = []

    async def take(request: web.Request) -> web.Response:
        times.append(time.monotonic())
        loops.append(asyncio.get_running_loop())
        if len(times) == 2:
            return web.Response(status=503, text="not yet")
        answer = await answered(await request.text(), connections)
        return web.Response(status=201, text=answer)

    with serving(web.post("/whip", take)) as url, publishing(Whip(f"{url}/whip")):
        until(lambda: connections[0].connectionState == "connected")
        lost = time.monotonic()
        asyncio.run_coroutine_threadsafe(connections[0].close(), loops[0]).result(5)
        until(lambda: len(connections) == 2 and connections[1].connectionState == "connected")
        assert time.monotonic() - lost < 5
        assert len(times) == 3, "a refusal on the way back is tried again"


def test_what_nobody_thought_of_is_told_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(publish, "PAUSES_S", (0.1,))
    connections: list[RTCPeerConnection] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def take(request: web.Request) -> web.Response:
        loops.append(asyncio.get_running_loop())
        return web.Response(status=201, text=await answered(await request.text(), connections))

    begin, tries = Whip.begin, 0

    async def odd(whip: Whip, peer: Peer) -> None:
        nonlocal tries
        tries += 1
        if tries == 2:
            raise RuntimeError("nobody thought of that")
        await begin(whip, peer)

    monkeypatch.setattr(Whip, "begin", odd)
    with serving(web.post("/whip", take)) as url, publishing(Whip(f"{url}/whip")):
        until(lambda: connections[0].connectionState == "connected")
        asyncio.run_coroutine_threadsafe(connections[0].close(), loops[0]).result(5)
        until(lambda: len(connections) == 2 and connections[1].connectionState == "connected")
    assert tries == 3 and "nobody thought of that" in caplog.text


class FakeJanus:
    """Answers as Janus' HTTP interface does."""

    def __init__(self, room: int = 1234) -> None:
        self.asked: list[dict[str, Any]] = []
        self.connections: list[RTCPeerConnection] = []
        self._room = room
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post("/janus", self.take),
            web.post("/janus/7", self.take),
            web.post("/janus/7/8", self.take),
            web.get("/janus/7", self.events),
        ]

    async def take(self, request: web.Request) -> web.Response:
        message = await request.json()
        self.asked.append(message)
        kind = message["janus"]
        if message.get("apisecret") != "hush":
            answer: dict[str, Any] = {"janus": "error", "error": {"code": 403, "reason": "Unauthorized"}}
        elif kind in ("create", "attach"):
            answer = {"janus": "success", "data": {"id": 7 if kind == "create" else 8}}
        elif kind == "message":
            answer = {"janus": "ack"}
            await self._say({"janus": "webrtcup", "sender": 8})
            await self._event(message)
        else:
            answer = {"janus": "success"}
        return web.json_response(answer)

    async def _event(self, message: dict[str, Any]) -> None:
        event: dict[str, Any] = {"janus": "event", "sender": 8}
        data: dict[str, Any] = {"videoroom": "event"}
        if message["body"]["request"] == "join" and message["body"]["room"] != self._room:
            data = {"error_code": 426, "error": "No such room"}
        if "jsep" in message:
            event["jsep"] = {
                "type": "answer",
                "sdp": await answered(message["jsep"]["sdp"], self.connections),
            }
        await self._say(event | {"plugindata": {"plugin": "janus.plugin.videoroom", "data": data}})

    async def _say(self, event: dict[str, Any]) -> None:
        await self._events.put(event)

    async def events(self, request: web.Request) -> web.Response:
        return web.Response(text=json.dumps([await self._events.get()]), content_type="application/json")


def test_janus_is_asked_as_it_wants_it() -> None:
    janus = FakeJanus()
    with serving(*janus.routes()) as url:
        with publishing(Janus(f"{url}/janus/", 1234, name="Ada", secret="hush", pin="11")):
            until(lambda: janus.connections[0].connectionState == "connected")
        until(lambda: janus.asked[-1]["janus"] == "destroy")
    kinds = [message["janus"] for message in janus.asked]
    assert kinds == ["create", "attach", "message", "message", "destroy"]
    assert janus.asked[2]["body"] == {
        "request": "join", "ptype": "publisher", "room": 1234, "display": "Ada", "pin": "11"
    }  # fmt: skip
    assert all(message["transaction"] and message["apisecret"] == "hush" for message in janus.asked)


@pytest.mark.parametrize(
    ("room", "secret", "told"), [(9, "hush", "No such room"), (1234, "wrong", "Unauthorized")]
)
def test_what_janus_refuses_is_told(room: int, secret: str, told: str) -> None:
    with serving(*FakeJanus().routes()) as url, pytest.raises(CallError, match=told):
        Publisher(Janus(f"{url}/janus", room, secret=secret), Ice(), "vp8")


@pytest.mark.parametrize("text", ["[1, 2]", "<html>Bad gateway</html>", '{"janus": "error", "error": "no"}'])
def test_what_is_no_janus_is_told(text: str) -> None:
    async def other(request: web.Request) -> web.Response:
        return web.Response(text=text)

    with serving(web.post("/janus", other)) as url, pytest.raises(CallError, match="than Janus would"):
        Publisher(Janus(f"{url}/janus", 1), Ice(), "vp8")
    with pytest.raises(CallError, match="is no address of Janus"):
        Janus("janus", 1)
