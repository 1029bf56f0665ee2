"""The HTTP side of a call: links that are used once and expire, WHIP's shape, limits, nonsense."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from pathlib import Path

import pytest
from aiortc import RTCPeerConnection
from call_fakes import Browser, calling, only_loopback, run, url_of

from avatar.call import BrowserCamera, Call, CallOptions, Ice, invitation, parse_ice
from avatar.call.invitation import Standing, invite
from avatar.call.offers import MOST_BYTES, check_sdp
from avatar.errors import CallError

__all__ = ["only_loopback"]


async def an_offer() -> str:
    """What a browser that only watches offers."""
    connection = RTCPeerConnection(Ice().configuration())
    connection.addTransceiver("video", "recvonly")
    await connection.setLocalDescription()
    sdp: str = connection.localDescription.sdp
    await connection.close()
    return sdp


def test_offer_and_answer_have_the_shape_of_whip() -> None:
    async def go(call: Call) -> None:
        browser = Browser(url_of(call))
        assert await browser.join() == 201
        token = url_of(call).rsplit("/", 1)[1]
        assert browser.headers["Content-Type"] == "application/sdp"
        assert re.fullmatch(rf"/call/{token}/at/[\w-]{{32}}", browser.headers["Location"])
        assert re.fullmatch(r'"[\w-]{32}"', browser.headers["ETag"])
        cookie = browser.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and f"Path=/call/{token}" in cookie
        async with browser.http.options(browser.url) as response:
            assert response.status == 204 and response.headers["Accept-Post"] == "application/sdp"
        async with browser.http.patch(browser.url + "/at/x", data="a=x") as response:
            assert response.status in (404, 405)
        assert await browser.hang_up() == 200
        assert await browser.hang_up() == 404

    with calling(paint=False) as call:
        run(go(call))


def test_ice_servers_are_told_and_nothing_is_asked_by_itself() -> None:
    assert Ice().configuration().iceServers == []
    ice = parse_ice("stun:stun.example.org, turn:me:p%40ss@turn.example.org:3479?transport=tcp")
    assert [one.url for one in ice.servers] == [
        "stun:stun.example.org", "turn:turn.example.org:3479?transport=tcp"
    ]  # fmt: skip
    assert ice.servers[1].password == "p@ss"
    assert ice.links()[1] == (
        '<turn:turn.example.org:3479?transport=tcp>; rel="ice-server"; username="me"; credential="p%40ss"; '
        'credential-type="password"'
    )
    assert ice.for_browsers()["iceServers"][1]["credential"] == "p@ss"
    assert Ice().for_browsers() == {"iceServers": [], "iceTransportPolicy": "all"}
    assert parse_ice("turn:a:b@[::1]:3478", relay_only=True).for_browsers()["iceTransportPolicy"] == "relay"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stun.example.org", "is no server"),
        ("http://example.org", "is no server"),
        ("turn:turn.example.org", "needs a name and a password"),
        ("stun:a,stun:b", "one STUN server"),
        ("turn:u:p@a,turns:u:p@b", "one TURN server"),
        ("stun:a?transport=tcp", "neither passwords nor a transport"),
        ("stun:a:70000", "is no server"),
        ("turns:u:p@a?transport=udp", "over tcp"),
    ],
)
def test_ice_that_cannot_be_used_is_told(text: str, told: str) -> None:
    with pytest.raises(CallError, match=told):
        parse_ice(text)


def test_a_password_is_not_told_again() -> None:
    with pytest.raises(CallError) as error:
        parse_ice("turns:user:geheim@a?transport=udp")
    assert "geheim" not in str(error.value)
    with pytest.raises(CallError, match="--relay-only"):
        parse_ice("stun:a", relay_only=True)


def test_a_link_is_for_one_browser() -> None:
    async def go(call: Call) -> None:
        first, other = Browser(url_of(call)), Browser(url_of(call))
        async with other.http.get(url_of(call)) as response:
            assert response.status == 200, "a preview of the link does not use it up"
        assert await first.join() == 201
        assert await other.join() == 410
        assert "another browser" in other.text
        async with other.http.get(url_of(call) + "/settings") as response:
            assert response.status == 410
        again = Browser(url_of(call), cookies=first.http.cookie_jar)
        assert await again.join() == 201
        await again.wait_for(pictures=5)

    with calling() as call:
        run(go(call))


def test_two_at_once_are_not_let_in_both() -> None:
    async def go(call: Call) -> list[int]:
        both = [Browser(url_of(call)) for _ in range(2)]
        found = await asyncio.gather(*(browser.join() for browser in both))
        return sorted(found)

    with calling(paint=False) as call:
        assert run(go(call)) == [201, 410]


def test_a_link_expires_unless_it_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = invite("guest", 60), invite("guest", 60)
    assert one.token != other.token and len(one.token) == 32
    secret = other.take()
    later = time.time() + 61
    monkeypatch.setattr("avatar.call.invitation.time.time", lambda: later)
    assert one.standing(None) is Standing.EXPIRED
    assert other.standing(secret) is Standing.MINE
    assert other.standing("wrong") is Standing.TAKEN


def test_an_expired_link_says_so() -> None:
    async def go(call: Call) -> None:
        browser = Browser(url_of(call))
        assert await browser.post(await an_offer()) == 410
        assert "too old" in browser.text

    with calling(paint=False, expires_s=-1) as call:
        run(go(call))


def test_a_link_that_is_guessed_is_none() -> None:
    async def go(call: Call) -> list[int]:
        browser = Browser(url_of(call)[:-1] + "~")
        found = [await browser.post(await an_offer()) for _ in range(12)]
        return found

    with calling(paint=False) as call:
        found = run(go(call))
    assert found[0] == 404 and found[-1] == 429


def test_a_flood_of_offers_is_slowed_down_and_frees_all() -> None:
    async def go(call: Call) -> list[int]:
        browsers = [Browser(url_of(call)) for _ in range(20)]
        offers = [await browser.offer() for browser in browsers]
        found = await asyncio.gather(*(one.post(offer) for one, offer in zip(browsers, offers, strict=True)))
        return found

    with calling(paint=False) as call:
        found = run(go(call))
        assert found.count(201) == 1
        assert found.count(429) >= 10
        assert set(found) <= {201, 410, 429, 503}


def hostile(offer: str) -> dict[str, str | bytes]:
    """Offers that no honest browser sends."""
    media = offer[offer.index("m=video") :]
    return {
        "empty": "",
        "no SDP": "hello",
        "binary": b"\xff\xfe\x00v=0",
        "header alone": "v=0\r\n",
        "large": offer + "a=x:" + "y" * MOST_BYTES,
        "a long line": offer + "a=x:" + "y" * 5000 + "\r\n",
        "many media": offer + media * 5,
        "a kind that is none": offer.replace("m=video", "m=teapot"),
        "a port that is none": re.sub(r"m=video \d+", "m=video nine", offer),
        "a fingerprint of nothing": re.sub(r"a=fingerprint:.*", "a=fingerprint:sha-256 00", offer),
        "a fingerprint in a foreign hash": re.sub(r"a=fingerprint:sha-\d+", "a=fingerprint:md5", offer),
        "no fingerprint": re.sub(r"a=fingerprint:.*\r\n", "", offer),
        "no password": re.sub(r"a=ice-pwd:.*\r\n", "", offer),
        "unknown codecs": re.sub(r"a=rtpmap:(\d+) \w+/", r"a=rtpmap:\1 X9/", offer),
        "candidates without end": offer + "a=candidate:1 1 udp 1 10.0.0.1 9 typ host\r\n" * 300,
        "a candidate that is none": offer + "a=candidate:what\r\n",
        "a group of strangers": offer.replace("a=group:BUNDLE 0", "a=group:BUNDLE 7 8 9"),
        "setup that is none": re.sub(r"a=setup:\w+", "a=setup:sideways", offer),
        "an SCTP port that is none": offer
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:x\r\n",
        "nothing that is equal": offer.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"),
    }


@pytest.mark.parametrize("name", list(hostile("m=video\r\n")))
def test_a_hostile_offer_does_no_harm(name: str, caplog: pytest.LogCaptureFixture) -> None:
    async def go(call: Call) -> int:
        browser = Browser(url_of(call))
        found = await browser.post(hostile(await an_offer())[name])
        await asyncio.sleep(0.3)
        good = Browser(url_of(call), cookies=browser.http.cookie_jar)
        assert await good.join() == 201, "the link is as good as before"
        await good.wait_for(pictures=3)
        return found

    caplog.set_level(logging.INFO)
    with calling() as call:
        found = run(go(call))
        assert found in (201, 400, 413), found
        told = [record for record in caplog.records if "was not understood" in record.message]
    assert len(told) == (found == 400 and name != "binary"), "one line, unless it is not even text"
    assert not [record for record in caplog.records if record.name.startswith(("aiortc", "aioice"))]


def test_a_slow_offer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar.call.routes.BODY_S", 0.4)

    async def go(call: Call) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", call.place.port)
        path = "/" + url_of(call).split("/", 3)[3]
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{call.place.port}\r\n"
        writer.write(f"{head}Content-Type: application/sdp\r\nContent-Length: 900\r\n\r\nv=0".encode())
        answer = await asyncio.wait_for(reader.readline(), 5)
        writer.close()
        return answer

    with calling(paint=False) as call:
        assert b" 408 " in run(go(call))


def test_only_sdp_is_taken_and_only_from_our_own_page() -> None:
    async def go(call: Call) -> None:
        browser = Browser(url_of(call))
        offer = await an_offer()
        assert await browser.post(offer, kind="application/json") == 415
        headers = {"Content-Type": "application/sdp", "Origin": "https://evil.example"}
        async with browser.http.post(url_of(call), data=offer, headers=headers) as response:
            assert response.status == 403

    with calling(paint=False) as call:
        run(go(call))


def test_who_wants_the_picture_alone_gets_it() -> None:
    async def go(call: Call) -> str:
        browser = Browser(url_of(call))
        assert check_sdp(offer := await an_offer()) == {"video"}
        assert await browser.post(offer) == 201
        return browser.text

    with calling(paint=False) as call:
        answer = run(go(call))
    assert "m=video" in answer and "m=audio" not in answer


def test_links_are_kept_for_a_run_after_a_crash(tmp_path: Path) -> None:
    state = tmp_path / "calls" / "call.json"
    with calling(paint=False, state=state) as call:
        before = call.links()
    assert state.stat().st_mode & 0o777 == 0o600
    with calling(paint=False, state=state, again=True) as call:
        assert call.links() == before
    kept = json.loads(state.read_text(encoding="utf-8"))
    for damage in ({"links": [{"role": "guest"}]}, {"port": None}, {"key": "alone"}):
        state.write_text(json.dumps(kept | damage), encoding="utf-8")
        with pytest.raises(CallError, match="damaged"):
            Call(CallOptions(state=state, again=True))
    with pytest.raises(CallError, match="no earlier call"):
        Call(CallOptions(state=tmp_path / "nothing.json", again=True))


def test_links_go_on_only_where_they_lead(tmp_path: Path) -> None:
    state = tmp_path / "call.json"
    with calling(paint=False, state=state):
        pass
    with pytest.raises(CallError, match=r"links are at 127\.0\.0\.1: add --listen 127\.0\.0\.1"):
        Call(CallOptions(state=state, again=True, listen="0.0.0.0"))


def test_a_link_that_a_call_has_no_use_for_is_kept_for_the_next(tmp_path: Path) -> None:
    state = tmp_path / "call.json"
    with calling(paint=False, state=state, camera=BrowserCamera()) as call:
        before = call.links()
    assert {link.role for link in before} == {"guest", "camera"}
    with calling(paint=False, state=state, again=True) as call:
        assert [link.role for link in call.links()] == ["guest"]
    with calling(paint=False, state=state, again=True, camera=BrowserCamera()) as call:
        assert call.links() == before


def test_an_earlier_call_goes_on_with_the_links_that_are_needed_now() -> None:
    guest, camera = invite("guest", 60), invite("camera", -5)
    assert camera.standing(None) is Standing.EXPIRED
    (one,) = invitation.go_on([guest, camera], ["guest"], 600)
    assert one is guest and one.expires_at > time.time() + 500
    for kept in ([guest], [guest, camera]):
        same, new = invitation.go_on(kept, ["guest", "camera"], 60)
        assert same is guest
        assert new.role == "camera" and new.token not in (guest.token, camera.token), (
            "what is void stays void"
        )
    secret = guest.take()
    assert invitation.go_on([guest], ["guest"], 60)[0].standing(secret) is Standing.MINE


def test_what_is_kept_holds_no_secret_of_who_took_a_link(tmp_path: Path) -> None:
    one = invite("guest", 60)
    secret = one.take()
    invitation.save(tmp_path / "call.json", [one], {"port": 1})
    text = (tmp_path / "call.json").read_text(encoding="utf-8")
    assert secret not in text
    assert invitation.load(tmp_path / "call.json")[0][0].standing(secret) is Standing.MINE


def test_beyond_this_computer_there_is_tls_unless_it_is_refused() -> None:
    async def go(call: Call) -> int:
        browser = Browser(url_of(call).replace(call.place.names[0], "127.0.0.1"))
        found = await browser.join()
        cookie = browser.headers["Set-Cookie"]
        assert ("Secure" in cookie) == call.place.tls
        return found

    with calling(paint=False, listen="0.0.0.0") as call:
        assert call.certificate is not None and url_of(call).startswith("https://")
        assert run(go(call)) == 201
    with calling(paint=False, listen="0.0.0.0", plain=True) as call:
        assert call.certificate is None and url_of(call).startswith("http://")
        assert run(go(call)) == 201
