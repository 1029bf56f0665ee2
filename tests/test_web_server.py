"""Who may ask a server of ours: Host, Origin, tokens, rates, connections that ask nothing, TLS."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ifaddr
import pytest
from aiohttp import web

from avatar.errors import ServerError
from avatar.tools import clock
from avatar.web import addresses, door, guard
from avatar.web.certificate import Certificate, make_certificate, read_certificate
from avatar.web.loop import LoopThread
from avatar.web.server import Place, Server


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def length(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@contextlib.contextmanager
def serving(*, certificate: Certificate | None = None, programs: bool = False) -> Iterator[Place]:
    sock = addresses.listen("127.0.0.1", 0)
    place = Place(("127.0.0.1", "localhost"), sock.getsockname()[1], certificate is not None)
    routes = [web.get("/", hello), web.post("/", length)]
    loop = LoopThread("server")
    server = Server(
        routes, place, sock, tls=certificate.context() if certificate else None, body_bytes=1000,
        programs=programs,
    )  # fmt: skip
    loop.run(server.start(), 5)
    try:
        yield place
    finally:
        loop.run(server.close(), 5)
        loop.close()


def ask(
    place: Place, method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=5)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, named)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def test_what_is_served_carries_headers_that_lock_the_page_up() -> None:
    with serving() as place:
        status, headers, text = ask(place)
        missing, refusal_headers, _ = ask(place, path="/nowhere")
    assert (status, text, missing) == (200, "hello", 404)
    for found in (headers, refusal_headers):
        assert "default-src 'none'" in found["Content-Security-Policy"]
        assert found["Referrer-Policy"] == "no-referrer"
        assert "aiohttp" not in found["Server"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused(host: str) -> None:
    with serving() as place:
        assert ask(place, Host=host.format(port=place.port))[0] == 421
        assert ask(place, Host=f"LOCALHOST:{place.port}")[0] == 200


def test_a_page_from_elsewhere_changes_nothing() -> None:
    with serving() as place:
        own = f"http://127.0.0.1:{place.port}"
        assert ask(place, "POST", body=b"12", Origin="https://evil.example")[0] == 403
        assert ask(place, "POST", body=b"12", Origin="null")[0] == 403
        assert ask(place, "POST", body=b"12", Origin=own.replace("http:", "https:"))[0] == 403
        assert ask(place, "POST", body=b"12")[0] == 403
        assert ask(place, "POST", body=b"12", Origin=own)[2] == "2"


def test_a_program_may_ask_where_that_is_allowed() -> None:
    with serving(programs=True) as place:
        assert ask(place, "POST", body=b"12")[2] == "2"
        assert ask(place, "POST", body=b"12", Origin="https://evil.example")[0] == 403
        assert ask(place, Origin="https://evil.example")[0] == 200, "reading is what CORS is for"
        assert ask(place, Sec_Fetch_Site="cross-site")[0] == 200, "a link in a message leads here"
        assert ask(place, Origin="https://evil.example", Upgrade="websocket", Connection="Upgrade")[0] == 403


def test_bodies_are_bounded() -> None:
    with serving(programs=True) as place:
        assert ask(place, "POST", body=b"x" * 1000)[2] == "1000"
        assert ask(place, "POST", body=b"x" * 1001)[0] == 413


def test_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0
    monkeypatch.setattr(clock, "now_ns", lambda: now)
    rates = guard.Rates(per_minute=6, burst=3)
    for _ in range(3):
        rates.take("a")
    with pytest.raises(web.HTTPTooManyRequests) as refused:
        rates.take("a")
    assert refused.value.headers["Retry-After"] == "10"
    rates.take("b")
    now = 10_100_000_000
    rates.take("a")
    with pytest.raises(web.HTTPTooManyRequests):
        rates.take("a")


def test_rates_remember_so_many_addresses_only() -> None:
    rates = guard.Rates(per_minute=6, burst=1)
    for number in range(3 * guard.MOST_ADDRESSES):
        rates.take(str(number))
    assert len(rates._left) == guard.MOST_ADDRESSES


def closed_after(connection: socket.socket, patience_s: float) -> float | None:
    """Seconds until the other side closes; None if it does not in time."""
    began = time.monotonic()
    connection.settimeout(patience_s)
    try:
        while connection.recv(4096):
            pass
    except TimeoutError:
        return None
    except ConnectionError:
        pass
    return time.monotonic() - began


def test_who_asks_nothing_is_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.Door.__init__, "__kwdefaults__", {"most": 4, "patience_s": 0.5})
    with serving() as place:
        silent = socket.create_connection(("127.0.0.1", place.port))
        slow = socket.create_connection(("127.0.0.1", place.port))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        kept = http.client.HTTPConnection("127.0.0.1", place.port, timeout=5)
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
        for connection in (silent, slow):
            assert (took := closed_after(connection, 5)) is not None and took < 2
            connection.close()
        kept.request("GET", "/")
        assert kept.getresponse().read() == b"hello"
        kept.close()


def test_connections_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.Door.__init__, "__kwdefaults__", {"most": 4, "patience_s": 20})
    with serving() as place:
        taken = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(4)]
        time.sleep(0.2)
        further = socket.create_connection(("127.0.0.1", place.port))
        assert closed_after(further, 3) is not None
        for connection in (*taken, further):
            connection.close()
        time.sleep(0.2)
        assert ask(place)[0] == 200


def test_who_never_gets_through_the_handshake_counts_and_is_put_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door.Door.__init__, "__kwdefaults__", {"most": 4, "patience_s": 2.0})
    certificate = make_certificate(["127.0.0.1"])
    trusting = ssl.create_default_context(cadata=certificate.chain.decode())
    with serving(certificate=certificate) as place:

        def ask_by_tls() -> bytes:
            connection = http.client.HTTPSConnection("127.0.0.1", place.port, timeout=5, context=trusting)
            try:
                connection.request("GET", "/")
                return connection.getresponse().read()
            finally:
                connection.close()

        assert ask_by_tls() == b"hello"
        silent = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(4)]
        with pytest.raises(OSError):
            ask_by_tls()
        for connection in silent:
            assert closed_after(connection, 8) is not None
            connection.close()
        nonsense = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(4)]
        for connection in nonsense:
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert closed_after(connection, 1.5) is not None, "at once: that is no handshake"
            connection.close()
        gone = [socket.create_connection(("127.0.0.1", place.port)) for _ in range(4)]
        for connection in gone:
            connection.close()
        ending = time.monotonic() + 1.5
        while True:
            try:
                assert ask_by_tls() == b"hello"
                return
            except OSError:
                assert time.monotonic() < ending, "those that are gone count no more"
                time.sleep(0.02)


def test_what_comes_right_behind_the_handshake_is_read() -> None:
    certificate = make_certificate(["127.0.0.1"])
    context = ssl.create_default_context(cadata=certificate.chain.decode())
    with serving(certificate=certificate) as place:
        question = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{place.port}\r\nConnection: close\r\n\r\n".encode()
        to_it, from_it = ssl.MemoryBIO(), ssl.MemoryBIO()
        side = context.wrap_bio(from_it, to_it, server_hostname="127.0.0.1")
        with socket.create_connection(("127.0.0.1", place.port), timeout=5) as connection:
            while True:
                try:
                    side.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    connection.sendall(to_it.read())
                    from_it.write(connection.recv(65536))
            side.write(question)
            connection.sendall(to_it.read())  # our end of the handshake, and the question, at once
            answer = b""
            while not answer.endswith(b"hello"):
                from_it.write(connection.recv(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    answer += side.read(65536)
    assert answer.startswith(b"HTTP/1.1 200")


def test_tls_with_a_certificate_of_our_own() -> None:
    certificate = make_certificate(["127.0.0.1", "box.example"])
    with serving(certificate=certificate) as place:
        trusting = ssl.create_default_context(cadata=certificate.chain.decode())
        connection = http.client.HTTPSConnection("127.0.0.1", place.port, timeout=5, context=trusting)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        shown: bytes | None = connection.sock.getpeercert(binary_form=True)
        connection.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            http.client.HTTPSConnection("127.0.0.1", place.port, timeout=5).request("GET", "/")
    assert shown is not None and ssl.DER_cert_to_PEM_cert(shown).encode().strip() == certificate.chain.strip()
    assert len(certificate.fingerprint.split(":")) == 32
    assert place.url("/x") == f"https://127.0.0.1:{place.port}/x"


def test_a_certificate_of_somebody_elses(tmp_path: Any) -> None:
    one, other = make_certificate(["a"]), make_certificate(["b"])
    (tmp_path / "cert.pem").write_bytes(one.chain)
    (tmp_path / "key.pem").write_bytes(other.key)
    with pytest.raises(ServerError, match="cannot be used"):
        read_certificate(tmp_path / "cert.pem", tmp_path / "key.pem").context()
    (tmp_path / "key.pem").write_bytes(one.key)
    read_certificate(tmp_path / "cert.pem", tmp_path / "key.pem").context()


def test_addresses() -> None:
    assert addresses.reachable_as("127.0.0.1") == ["127.0.0.1"]
    assert addresses.reachable_as("0.0.0.0")[-1] == "127.0.0.1"
    assert addresses.is_loopback("::1") and not addresses.is_loopback("0.0.0.0")
    with pytest.raises(ServerError, match="is no address"):
        addresses.listen("box", 0)
    with pytest.raises(ServerError, match=r"cannot listen on 203\.0\.113\.7"):
        addresses.listen("203.0.113.7", 0)
    with addresses.listen("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        with pytest.raises(ServerError, match=f"{port}: .*take another port"):
            addresses.listen("127.0.0.1", port)


def test_the_address_that_others_reach_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = {
        "docker0": "10.0.0.1",
        "wg0": "10.8.0.2",
        "lo": "127.0.0.1",
        "eth1": "172.16.0.9",
        "wlan0": "192.168.1.5",
    }
    adapters = [
        ifaddr.Adapter(
            name, name, [ifaddr.IP(address, 24, name), ifaddr.IP((f"fd00::{number}", 0, 0), 64, name)]
        )
        for number, (name, address) in enumerate(cards.items(), 1)
    ]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: adapters)
    routes = tmp_path / "route"
    routes.write_text("Iface\tDestination\tGateway\neth1\t0010AC0A\t0\nwlan0\t00000000\t0101A8C0\n")
    monkeypatch.setattr(addresses, "ROUTES", routes)
    found = addresses.own_addresses()
    assert found[:4] == ["192.168.1.5", "172.16.0.9", "10.0.0.1", "10.8.0.2"]
    assert found[4] == "fd00::5" and len(found) == 9
    monkeypatch.setattr(addresses, "ROUTES", tmp_path / "nothing")
    assert addresses.own_addresses()[:4] == ["172.16.0.9", "192.168.1.5", "10.0.0.1", "10.8.0.2"]


def test_place() -> None:
    place = Place(("box", "::1"), 443, tls=True)
    assert place.hosts == {"box:443", "box", "[::1]:443", "[::1]"}
    assert place.url("/a", "::1") == "https://[::1]:443/a"


def test_the_loop_ends_what_still_runs() -> None:
    loop = LoopThread("loop")
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(json.dumps("ended"))

    async def begin() -> None:
        ended.append("begun")
        loop.keep = asyncio.ensure_future(work())  # type: ignore[attr-defined]
        await asyncio.sleep(0)

    loop.run(begin())
    with pytest.raises(TimeoutError):
        loop.run(asyncio.sleep(60), 0.05)
    loop.close()
    assert ended == ["begun", '"ended"']
    loop.close()
    loop.soon(lambda: None)
