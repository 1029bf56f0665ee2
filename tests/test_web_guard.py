"""Who is let in: each gate tried from a foreign page, over real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest
from aiohttp import web

from avatar.web import guard
from avatar.web.addresses import listen
from avatar.web.loop import LoopThread
from avatar.web.server import Place, Server

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
        sock = listen("127.0.0.1", 0)
        place = Place(("127.0.0.1", "localhost"), sock.getsockname()[1], tls=False)
        self.port = place.port
        self.host = f"127.0.0.1:{self.port}"
        self.cookie = f"test-{self.port}"
        routes = [web.get("/", self._read), web.post("/", self._write), web.get("/fails", self._fail)]
        with_token = guard.only_with_token(TOKEN, cookie=self.cookie, secure=False)
        self._server = Server(routes, place, sock, middlewares=[with_token])
        self._loop = LoopThread("site")
        self._loop.run(self._server.start(), 10)

    def close(self) -> None:
        self._loop.run(self._server.close(), 10)
        self._loop.close()

    async def _read(self, request: web.Request) -> web.Response:
        return web.json_response({"value": self.value})

    async def _write(self, request: web.Request) -> web.Response:
        self.value = await request.text()
        return web.json_response({})

    async def _fail(self, request: web.Request) -> web.Response:
        raise RuntimeError("a fault of the program")

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
    yield site
    site.close()


def test_who_has_the_token_reads_and_writes(site: Site) -> None:
    answer = site.asked()
    assert answer.status == 200
    assert json.loads(answer.body) == {"value": "before"}
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
    assert answer.status in (400, 403, 421), answer.status
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
    assert answer.status == {"/": 200, "/fails": 500, "/nowhere": 404}[path]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Frame-Options"] == "DENY"
