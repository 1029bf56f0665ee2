"""Who is let in: each gate tried from a foreign page, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from aiohttp import web

from avatar.errors import PageError
from avatar.page.guard import Guard
from avatar.page.server import ServerThread, bind

TOKEN = "a-secret-of-this-run"


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Site:
    """A server with one value, which can be read and set."""

    def __init__(self) -> None:
        self.value = "before"
        listening = bind()
        self.port: int = listening.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = f"test-{self.port}"
        guard = Guard([self.host, f"localhost:{self.port}"], cookie=self.cookie, token=TOKEN)
        application = web.Application(middlewares=[guard.middleware])
        application.on_response_prepare.append(guard.on_prepare)
        application.router.add_get("/", self._read)
        application.router.add_post("/", self._write)
        application.router.add_get("/fails", self._fail)
        self.server = ServerThread(application, listening)

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response({"value": self.value, "thread": threading.current_thread().name})

    async def _write(self, request: web.Request) -> web.Response:
        self.value = await request.text()
        return web.json_response({})

    async def _fail(self, request: web.Request) -> web.Response:
        raise web.HTTPNotFound

    def asked(
        self,
        method: str = "GET",
        path: str = "/",
        body: str | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """The answer to a request with the right Host, Origin and cookie, unless told otherwise."""
        usual = {"Host": self.host, "Cookie": f"{self.cookie}={TOKEN}"}
        if method == "POST":
            usual["Origin"] = f"http://{self.host}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        for name, value in {**usual, **(headers or {})}.items():
            if value is not None:
                connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode() if body is not None else None)
        with contextlib.closing(connection), connection.getresponse() as answer:
            return Answer(answer.status, dict(answer.getheaders()), answer.read())


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    with site.server:
        yield site


def test_who_has_the_token_reads_and_writes(site: Site) -> None:
    answer = site.asked()
    assert answer.status == 200
    assert json.loads(answer.body) == {"value": "before", "thread": "page"}
    assert site.asked("POST", body="after").status == 200
    assert site.value == "after"
    assert site.asked(headers={"Host": f"localhost:{site.port}"}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": None},
        {"Cookie": "{cookie}=wrong"},
        {"Cookie": "other={token}"},
        {"Host": "evil.example:{port}"},
        {"Host": "127.0.0.1"},
        {"Host": None},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://localhost:{port}"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_foreign_page_is_not_answered(site: Site, method: str, headers: dict[str, str | None]) -> None:
    filled = {
        name: value and value.format(port=site.port, cookie=site.cookie, token=TOKEN)
        for name, value in headers.items()
    }
    body = "changed by a stranger" if method == "POST" else None
    answer = site.asked(method, body=body, headers=filled)
    assert answer.status in (400, 403), answer.status
    assert site.value == "before"
    assert b"before" not in answer.body
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_a_change_has_to_say_where_it_comes_from(site: Site) -> None:
    assert site.asked("POST", body="changed", headers={"Origin": None}).status == 403
    assert site.asked(headers={"Upgrade": "websocket", "Connection": "Upgrade"}).status == 403
    assert site.value == "before"


def test_the_token_goes_from_the_address_into_a_cookie(site: Site) -> None:
    answer = site.asked(path="/?token=a-secret-of-this-run&page=2", headers={"Cookie": None})
    assert answer.status == 303
    assert answer.headers["Location"] == "/?page=2"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert site.asked(headers={"Cookie": cookie.partition(";")[0]}).status == 200
    assert site.asked(path="/?token=wrong").status == 403


@pytest.mark.parametrize("path", ["/", "/fails", "/nowhere"])
def test_every_answer_forbids_to_embed_and_to_load_from_elsewhere(site: Site, path: str) -> None:
    answer = site.asked(path=path)
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_each_run_has_a_token_of_its_own() -> None:
    one, other = (Guard(["127.0.0.1:1"], cookie="test").token for _ in range(2))
    assert one != other
    assert len(one) >= 43


def test_only_this_machine_can_reach_it(site: Site) -> None:
    with bind() as listening:
        assert listening.getsockname()[0] == "127.0.0.1"
    if sys.platform != "linux":
        pytest.skip("only Linux has all of 127.0.0.0/8 for addresses of this machine")
    # By an address that is not the loopback's first one it would be reached if it listened on all.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", site.port), timeout=2)


def test_a_port_that_is_taken_is_told(site: Site) -> None:
    with pytest.raises(PageError, match=rf"port {site.port} cannot be used.*take another"):
        bind(site.port)


def test_the_end_frees_the_port_and_later_calls_do_nothing() -> None:
    site = Site()
    with site.server:
        called = threading.Event()
        site.server.call_soon(called.set)
        assert called.wait(5)
    bind(site.port).close()
    site.server.call_soon(called.clear)
    assert called.is_set()


def test_what_fails_at_the_start_is_raised_where_it_was_started() -> None:
    application = web.Application()

    async def broken(_: web.Application) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("no start")

    application.on_startup.append(broken)
    with pytest.raises(RuntimeError, match="no start"), ServerThread(application, bind()):
        pytest.fail("it did start")
