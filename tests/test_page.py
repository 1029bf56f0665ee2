"""The control page as a browser asks for it, over real sockets; and as a foreign page would."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import ClientSession, WSCloseCode, WSMsgType
from control_fakes import Rig, status
from PIL import Image
from yarl import URL

from avatar.control import GUEST
from avatar.errors import ServerError
from avatar.page import Page, has_browser, uploads
from avatar.records import U8, Frame, Identity

FILES = {file.name: file for file in resources.files("avatar.page").joinpath("static").iterdir()}


class Open:
    """A page that is served, and a browser that has opened it."""

    def __init__(self, page: Page, rig: Rig) -> None:
        self.rig = rig
        self.address = URL(page.address)
        self.origin = str(self.address.origin())

    def visit(self, do: Callable[[ClientSession], Awaitable[None]], **headers: str) -> None:
        """Open the page, then `do` something from it; other headers than its own may be given."""

        async def visited() -> None:
            jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of addresses without a name
            async with ClientSession(self.origin, cookie_jar=jar) as session:
                async with session.get(self.address) as answer:
                    assert answer.status == 200
                session.headers.update({"Origin": self.origin, "Sec-Fetch-Site": "same-origin", **headers})
                await do(session)

        asyncio.run(visited())


@pytest.fixture
def opened(tmp_path: Path, astronaut_identity: Identity) -> Iterator[Open]:
    rig = Rig(tmp_path, astronaut_identity)
    with Page(rig.control) as page:
        yield Open(page, rig)
    rig.control.close()


async def said(session: ClientSession, method: str, path: str, content: Any = None, ok: bool = True) -> Any:
    """The JSON answer to a request."""
    async with session.request(method, path, json=content) as answer:
        assert (answer.status < 400) == ok, f"{answer.status}: {await answer.text()}"
        return await answer.json()


def form(*files: tuple[str, bytes], **fields: str) -> aiohttp.FormData:
    made = aiohttp.FormData()
    for name, value in fields.items():
        made.add_field(name, value)
    for name, content in files:
        made.add_field("picture", content, filename=name)
    return made


def png(picture: U8) -> bytes:
    packed = io.BytesIO()
    Image.fromarray(picture).save(packed, "PNG")
    return packed.getvalue()


# The files


def test_the_page_asks_for_nothing_from_elsewhere() -> None:
    for name, file in FILES.items():
        text = file.read_text(encoding="utf-8")
        addresses = re.findall(r"(?:https?:)?//[\w.-]+\.[a-z]{2,}[^\s\"']*", text)
        assert [one for one in addresses if "www.w3.org" not in one] == [], name
        assert "style=" not in text, "the content policy forbids it"
        assert "innerHTML" not in text, "names of avatars are text and never code"


def test_every_text_of_the_page_is_in_the_file_of_strings() -> None:
    strings = FILES["strings.js"].read_text(encoding="utf-8")
    known = set(re.findall(r"^  (\w+):", strings, re.MULTILINE))
    html = FILES["index.html"].read_text(encoding="utf-8")
    used = set(re.findall(r'data-(?:text|label)="(\w+)"', html))
    for name, file in FILES.items():
        if name.endswith(".js"):
            used |= set(re.findall(r"\bstrings\.(\w+)", file.read_text(encoding="utf-8")))
    assert used - {"js"} == known
    body = re.sub(r"<script.*?</script>|<title>.*?</title>|<[^>]+>", " ", html, flags=re.DOTALL)
    assert set(body.split()) <= {"livehead", "–"}


def test_the_files_are_served_and_packed_with_the_program(opened: Open) -> None:
    async def look(session: ClientSession) -> None:
        for name in FILES:
            async with session.get("/" if name == "index.html" else f"/{name}") as answer:
                assert answer.status == 200
                assert answer.content_type in ("text/html", "text/css", "text/javascript", "image/svg+xml")
        async with session.get("/../api.py") as answer:
            assert answer.status == 404

    opened.visit(look)


# Changes


def test_what_the_page_may_change(opened: Open) -> None:
    rig = opened.rig

    async def change(session: ClientSession) -> None:
        await said(session, "POST", "/api/settings", {"strength": 0.5, "badge": False})
        assert rig.control.settings.strength == 0.5
        await said(session, "POST", "/api/pause", {"paused": True})
        assert rig.stage.paused
        await said(session, "POST", "/api/neutral")
        begun = await said(session, "POST", "/api/record", {"recording": True})
        rig.frame()
        assert await said(session, "POST", "/api/record", {"recording": False}) == begun
        assert Path(begun["video"]).is_file()
        assert await said(session, "GET", "/api/cameras") == []
        assert await said(session, "GET", "/api/devices") == []
        await said(session, "POST", "/api/output", {"device": None})
        kept = await said(session, "POST", "/api/keep")
        renamed = await said(session, "PATCH", f"/api/avatars/{kept['id']}", {"name": "me"})
        assert renamed == {"id": kept["id"], "name": "me", "kept": True}
        async with session.get(f"/api/avatars/{kept['id']}/picture") as answer:
            assert Image.open(io.BytesIO(await answer.read())).size == (256, 256)
        refused = await said(session, "DELETE", f"/api/avatars/{kept['id']}", ok=False)
        assert "plays now" in refused["error"]
        await said(session, "POST", "/api/end")
        assert rig.ended.is_set()

    opened.visit(change)


def test_an_avatar_of_uploaded_pictures(opened: Open, astronaut: U8) -> None:
    async def enroll(session: ClientSession) -> None:
        made = form(("C:\\photos\\one.png", png(astronaut)), name="Eileen")
        async with session.post("/api/avatars", data=made) as answer:
            entry = await answer.json()
            assert (answer.status, entry["name"]) == (200, "Eileen")
        await said(session, "POST", f"/api/avatars/{entry['id']}/play")
        assert opened.rig.control.state()["avatar"] == entry["id"]
        two = png(np.concatenate([astronaut, astronaut], axis=1))
        async with session.post("/api/avatars", data=form(("two.png", two))) as answer:
            assert answer.status == 422
            assert (await answer.json())["faces"] == 2
        async with session.post("/api/avatars", data=form(("two.png", two), face="2")) as answer:
            assert (await answer.json())["name"] == "two"

    opened.visit(enroll)


def test_pictures_for_the_background_and_of_the_camera(opened: Open, astronaut: U8) -> None:
    async def look(session: ClientSession) -> None:
        refused = await said(session, "GET", "/api/snapshot", ok=False)
        assert refused["error"] == "no camera is in use"
        opened.rig.view.frame = Frame(astronaut, 0, 0)
        async with session.get("/api/snapshot") as answer:
            assert Image.open(io.BytesIO(await answer.read())).size == (512, 512)
        refused = await said(session, "POST", "/api/room", ok=False)
        assert "shows a face" in refused["error"]
        async with session.post("/api/background", data=form(("b.png", png(astronaut[:50])))) as answer:
            assert answer.status == 200
        assert opened.rig.control.settings.background == "picture"

    opened.visit(look)


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/api/settings", {"strength": 9}),
        ("/api/settings", {"nonsense": 1}),
        ("/api/settings", [1]),
        ("/api/pause", {"paused": "yes"}),
        ("/api/pause", {}),
        ("/api/record", {"recording": 1}),
        ("/api/camera", {"camera": "../../etc/passwd"}),
        ("/api/camera", {"camera": -1}),
        ("/api/output", {"device": "/etc/passwd"}),
        ("/api/output", {"device": 3}),
        ("/api/avatars", {}),
        ("/api/background", {}),
        ("/api/avatars/nobody/play", None),
        ("/api/avatars/..%2f..%2fsecret/play", None),
    ],
)
def test_nonsense_is_refused_in_words(opened: Open, path: str, content: Any) -> None:
    async def send(session: ClientSession) -> None:
        refused = await said(session, "POST", path, content, ok=False)
        assert refused["error"]

    before = opened.rig.control.state()
    opened.visit(send)
    assert opened.rig.control.state() == before


# Limits


def bomb() -> bytes:
    """A small file that unpacks to 400 megapixels."""
    packed = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(packed, "PNG")
    return packed.getvalue()


def test_uploads_are_bounded_in_size_and_pixels(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "FILE_MAX", 1_000_000)

    async def send(session: ClientSession) -> None:
        async def refused(made: aiohttp.FormData, status: int, words: str) -> None:
            async with session.post("/api/avatars", data=made) as answer:
                assert (answer.status, words in (await answer.json())["error"]) == (status, True)

        await refused(form(("big.png", bytes(1_000_001))), 413, "at most")
        await refused(form(*[("one.png", b"x")] * 33), 413, "at most 32 pictures")
        await refused(form(("one.png", b"x"), name="n" * 2_001), 413, "at most")
        assert len(bomb()) < 1_000_000
        await refused(form(("bomb.png", bomb())), 422, "the picture is huge")
        await refused(form(("empty.png", b"")), 422, "the file is empty")
        async with session.post("/api/settings", data=b'{"colour": "' + b"x" * 20_000) as answer:
            assert answer.status == 413
        async with session.post("/api/settings", data=_slowly(b"x" * 20_000)) as answer:
            assert answer.status == 413

    opened.visit(send)


async def _slowly(content: bytes) -> Any:
    """In pieces, without a length told in advance."""
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


# Foreigners

CHANGES = [
    ("POST", "/api/settings"),
    ("POST", "/api/pause"),
    ("POST", "/api/neutral"),
    ("POST", "/api/record"),
    ("POST", "/api/avatars"),
    ("POST", "/api/keep"),
    ("POST", f"/api/avatars/{GUEST}/play"),
    ("PATCH", f"/api/avatars/{GUEST}"),
    ("DELETE", f"/api/avatars/{GUEST}"),
    ("POST", "/api/background"),
    ("POST", "/api/room"),
    ("POST", "/api/camera"),
    ("POST", "/api/output"),
    ("POST", "/api/end"),
]
READS = [
    "/",
    "/main.js",
    "/api/cameras",
    "/api/devices",
    "/api/snapshot",
    f"/api/avatars/{GUEST}/picture",
    "/api/socket",
]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},
        {"Cookie": "nothing=known"},
    ],
    ids=str,
)
def test_a_foreign_page_changes_and_reads_nothing(opened: Open, headers: dict[str, str]) -> None:
    before = opened.rig.control.state()

    async def try_all() -> None:
        # The user's browser sends his cookie along, unless that is what is tried.
        jar = aiohttp.CookieJar(unsafe=True)
        async with ClientSession(opened.origin, cookie_jar=jar) as session:
            await (await session.get(opened.address)).read()
            if "Cookie" in headers:
                jar.clear()
            usual = {"Origin": opened.origin, "Sec-Fetch-Site": "same-origin", **headers}
            for method, path in [*CHANGES, *(("GET", path) for path in READS), ("OPTIONS", "/api/end")]:
                async with session.request(method, path, headers=usual, json={}) as answer:
                    assert answer.status in (400, 403, 421), (method, path)
                    assert not [name for name in answer.headers if name.startswith("Access-Control")]
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect("/api/socket", headers=usual)

    asyncio.run(try_all())
    assert opened.rig.control.state() == before
    assert not opened.rig.ended.is_set()


# The connection of a page


class Heard:
    """A page's connection, and what came over it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.texts: list[dict[str, Any]] = []
        self.pictures: list[tuple[int, int, bytes]] = []

    async def hear(self, seconds: float = 0.3) -> None:
        """Take what comes until nothing came for so long."""
        while True:
            try:
                message = await self.socket.receive(seconds)
            except TimeoutError:
                return
            if message.type is WSMsgType.TEXT:
                self.texts.append(json.loads(message.data))
            elif message.type is WSMsgType.BINARY:
                head, content = message.data[:5], message.data[5:]
                self.pictures.append((head[0], int.from_bytes(head[1:], "little"), content))
            else:
                return

    async def watch(self, *kinds: str) -> None:
        await self.socket.send_json({"watch": list(kinds)})

    async def draw(self) -> None:
        kind, number, _ = self.pictures[-1]
        await self.socket.send_json({"seen": [("avatar", "driver")[kind], number]})


def test_state_and_status_come_at_once_and_when_they_change(opened: Open) -> None:
    async def listen(session: ClientSession) -> None:
        opened.rig.control.noted(status())
        async with session.ws_connect("/api/socket") as socket, session.ws_connect("/api/socket") as second:
            one, other = Heard(socket), Heard(second)
            await one.hear()
            await other.hear()
            for heard in (one, other):
                assert {text["type"] for text in heard.texts} == {"state", "status"}
            await said(session, "POST", "/api/pause", {"paused": True})
            opened.rig.control.noted(status(fps=12.5))
            await one.hear()
            await other.hear()
            for heard in (one, other):
                assert [text["paused"] for text in heard.texts if text["type"] == "state"] == [False, True]
                assert heard.texts[-1]["fps"] == 12.5 or heard.texts[-2]["fps"] == 12.5

    opened.visit(listen)


def test_pictures_come_one_by_one_and_only_to_who_watches(opened: Open) -> None:
    rig = opened.rig

    async def watch(session: ClientSession) -> None:
        async with session.ws_connect("/api/socket") as socket:
            heard = Heard(socket)
            rig.frame(0)
            await heard.hear()
            assert heard.pictures == []
            assert not rig.control.preview.feed.watched
            await heard.watch("avatar")
            await heard.hear()
            assert len(heard.pictures) == 1
            assert Image.open(io.BytesIO(heard.pictures[0][2])).size == (320, 180)
            for index in range(1, 6):
                rig.frame(index)
            await heard.hear()
            assert len(heard.pictures) == 1, "it has not drawn the first one yet"
            await heard.draw()
            await heard.hear()
            assert [number for _, number, _ in heard.pictures] == [1, 6], "the newest, and none between"
            await heard.draw()
            await heard.watch()
            await heard.hear()
            rig.frame(7)
            await heard.hear()
            assert len(heard.pictures) == 2
            assert not rig.control.preview.feed.watched
            await heard.watch("driver")
            rig.view.feed.put((Frame(np.zeros((48, 64, 3), np.uint8), 0, 0), None))
            await heard.hear()
            assert heard.pictures[-1][0] == 1
        for _ in range(50):
            if not rig.view.feed.watched:
                return
            await asyncio.sleep(0.05)
        pytest.fail("a page that has gone is still watching")

    opened.visit(watch)


def test_what_fails_in_here_is_logged_and_the_page_connects_anew(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(frame: Frame) -> bytes:
        raise ValueError("this frame cannot be packed")

    async def watch(session: ClientSession) -> None:
        async with session.ws_connect("/api/socket") as socket:
            await Heard(socket).watch("avatar")
            opened.rig.frame(0)
            while (await socket.receive(10)).type is not WSMsgType.CLOSE:
                pass
            assert socket.close_code == WSCloseCode.INTERNAL_ERROR
        assert not opened.rig.control.preview.feed.watched

    monkeypatch.setattr(opened.rig.control.preview.feed, "_pack", broken)
    opened.visit(watch)
    assert "this frame cannot be packed" in caplog.text
    assert "Traceback" in caplog.text


def test_a_fault_of_the_program_is_not_blamed_on_who_asked(
    opened: Open, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(paused: bool) -> None:
        raise ValueError("shapes do not fit")

    async def pause(session: ClientSession) -> None:
        async with session.post("/api/pause", json={"paused": True}) as answer:
            assert answer.status == 500

    monkeypatch.setattr(opened.rig.control, "pause", broken)
    # As calls leave it.
    monkeypatch.setattr(logging.getLogger("aiohttp.server"), "level", logging.CRITICAL)
    opened.visit(pause)
    assert "POST /api/pause: cannot be answered" in caplog.text
    assert "Traceback" in caplog.text and "shapes do not fit" in caplog.text


def test_while_nobody_looks_it_costs_next_to_nothing(opened: Open) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
    parts, control = opened.rig.parts, opened.rig.control

    async def hide(session: ClientSession) -> None:
        async with session.ws_connect("/api/socket") as socket:
            await Heard(socket).hear()
            begun_s, spent_s = time.perf_counter(), time.process_time()
            for index in range(90):
                parts.preview(Frame(picture, index, 0))
                parts.view.feed.put((Frame(picture, index, 0), None))
                if index % 15 == 0:
                    control.noted(status(fps=float(index)))
                await asyncio.sleep(1 / 30)
            share = (time.process_time() - spent_s) / (time.perf_counter() - begun_s)
            assert share < 0.05, "of one core, for page and browser together"

    opened.visit(hide)


@pytest.mark.parametrize(
    "text", ["{", "[]", "1", '{"watch": 1}', '{"seen": 1}', '{"seen": ["avatar"]}', "[" * 1900, "x" * 2001]
)
def test_a_page_that_talks_nonsense_is_hung_up_on(opened: Open, text: str) -> None:
    async def talk(session: ClientSession) -> None:
        async with session.ws_connect("/api/socket") as socket:
            await socket.send_str(text)
            async for _ in socket:
                pass
            assert socket.closed

    opened.visit(talk)


def test_pages_are_told_that_the_run_has_ended(tmp_path: Path, astronaut_identity: Identity) -> None:
    rig = Rig(tmp_path, astronaut_identity)
    page = Page(rig.control)
    page.__enter__()
    opened = Open(page, rig)

    async def listen(session: ClientSession) -> None:
        async with session.ws_connect("/api/socket") as socket:
            ending = asyncio.create_task(asyncio.to_thread(page.__exit__, None, None, None))
            async for _ in socket:
                pass
            await ending
            assert socket.close_code == 1001

    opened.visit(listen)
    rig.control.close()


def test_each_run_has_a_secret_of_its_own_and_its_port_alone(opened: Open) -> None:
    with pytest.raises(ServerError, match=rf":{opened.address.port}: .*take another port"):
        Page(opened.rig.control, opened.address.port or 0)
    with Page(opened.rig.control) as other:
        assert URL(other.address).query["token"] != opened.address.query["token"]
        assert len(URL(other.address).query["token"]) >= 43
    with Page(opened.rig.control, URL(other.address).port or 0):  # the end has freed it
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 for this machine")
def test_only_this_machine_can_reach_it(opened: Open) -> None:
    # By an address that is not the loopback's first one it would be reached if it listened on all.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", opened.address.port), timeout=2)


def test_no_browser_is_opened_for_a_script(monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert not has_browser()


def test_the_browser_is_opened_for_a_person(monkeypatch: pytest.MonkeyPatch, opened: Open) -> None:
    seen: list[str] = []
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("webbrowser.open", seen.append)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_browser(), "there is no screen"
    monkeypatch.setenv("DISPLAY", ":0")
    page = Page(opened.rig.control)
    with page:
        assert page.open()
        for _ in range(100):
            if seen:
                break
            asyncio.run(asyncio.sleep(0.02))
    assert seen == [page.address]
