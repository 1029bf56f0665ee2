"""Calls with real parts, in networks of their own: `make test-calls`. What cannot be had here is skipped.

Figures are loose here, since other programs may keep the processor busy: `python -m bench.call` takes them.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from near_side import QUIET, ROOM, avatar, calling, coturn, janus, started

from avatar.cli.main import main
from avatar.demo import demo_portrait
from avatar.web.certificate import make_certificate
from avatar.weights import resolve
from bench import call as bench_call
from bench import netns
from bench.call_ends import JOINED
from bench.chromium import Chromium, Page
from bench.chromium import missing as no_chromium
from bench.netns import BAD_NEAR, NEAR, Networks, Weather

PLAYS = "document.getElementById('theirs')?.currentTime > 0"
STATS = """(async () => { for (const one of (await livehead.connection.getStats()).values())
  if (one.type === 'inbound-rtp' && one.kind === 'video')
    return {decoded: one.framesDecoded, frozen: one.totalFreezesDuration, freezes: one.freezeCount,
            width: one.frameWidth, lost: one.packetsLost}; return {decoded: 0}; })()"""
PAIR = """(async () => { const all = [...(await livehead.connection.getStats()).values()];
  const pair = all.find((one) => one.type === 'candidate-pair' && one.nominated && one.state === 'succeeded');
  return all.find((one) => one.id === pair.localCandidateId).candidateType; })()"""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="session", autouse=True)
def _what_is_needed() -> None:
    for reason in (no_chromium(), netns.missing()):
        if reason:
            pytest.skip(reason)


@pytest.fixture(scope="session")
def me(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The astronaut, enrolled."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("me")
    Image.fromarray(demo_portrait()).save(folder / "me.png")
    assert main(["enroll", str(folder / "me.png"), "-o", str(folder / "me.avatar")]) == 0
    return str(folder / "me.avatar")


@pytest.fixture(scope="session")
def clip() -> tuple[str, str]:
    """Options that make a clip the camera."""
    return "--camera", str(resolve("carphone_clip"))


@pytest.fixture
def networks() -> Iterator[Networks]:
    with Networks() as made:
        yield made


@pytest.fixture
def bad_networks() -> Iterator[Networks]:
    if reason := netns.missing(bad=True):
        pytest.skip(reason)
    with Networks(Weather()) as made:
        made.cut()
        yield made


@pytest.fixture
def browser(networks: Networks) -> Iterator[Chromium]:
    with Chromium(networks.inside(networks.far)) as made:
        yield made


def join(browser: Chromium, link: str) -> Page:
    page = browser.page(link)
    page.wait("document.body.dataset.state === 'ready'")
    page.run("document.getElementById('join').click()")
    page.wait(JOINED, 40)
    page.wait(PLAYS)
    return page


def goes_on(page: Page, seconds: float, least_fps: float) -> dict[str, Any]:
    """What happens in so many seconds of a call."""
    before = page.run(STATS)
    time.sleep(seconds)
    after = page.run(STATS)
    found = {name: after[name] - (before.get(name) or 0) for name in ("decoded", "frozen", "freezes", "lost")}
    assert found["decoded"] > least_fps * seconds, (found, page.text())
    return found


def test_chromium_sees_the_avatar_and_is_seen(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    with calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR) as command:
        page = join(browser, command.links[0])
        goes_on(page, 6, 15)
        assert page.run(STATS)["width"] == 512
        assert page.errors() == []
        assert "Connected" in page.text()
        other = browser.page(command.links[0])
        assert other.run("fetch(location.pathname + '/settings').then((one) => one.status)") == 200, (
            "same jar"
        )
        page.run("document.getElementById('leave').click()")
        command.wait("the guest hung up")
        assert "You left the call" in page.text()
        said = command.end()
    assert said.count("the guest is here") == 1
    assert "Traceback" not in said


def test_another_browser_cannot_use_a_link_that_was_taken(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    with calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR) as command:
        join(browser, command.links[0])
        with Chromium(networks.inside(networks.far)) as stranger:
            page = stranger.page(command.links[0])
            page.wait("document.body.dataset.state === 'over'")
            assert "in use by another browser" in page.text()


def test_the_page_needs_no_mouse(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    with calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR) as command:
        page = browser.page(command.links[0])
        page.wait("document.body.dataset.state === 'ready'")

        def press(key: str, text: str = "") -> None:
            for kind in ("keyDown", "keyUp"):
                page.call(
                    "Input.dispatchKeyEvent", {"type": kind, "key": key, "code": key, "text": text,
                     "windowsVirtualKeyCode": {"Tab": 9, "Enter": 13, " ": 32}[key]},
                )  # fmt: skip

        for _ in range(3):
            press("Tab")
        assert page.run("document.activeElement.id") == "join"
        press("Enter", "\r")
        page.wait(JOINED, 40)
        page.wait("document.activeElement.id === 'sound'")
        press(" ", " ")
        page.wait("document.getElementById('sound').getAttribute('aria-pressed') === 'false'")
        assert page.run("livehead.stream.getAudioTracks()[0].enabled") is False
        named = page.run(
            "[...document.querySelectorAll('button:not([hidden]), video, input, textarea')].every((one) =>"
            " one.innerText || one.getAttribute('aria-label') || one.closest('label')?.innerText.trim())"
        )
        assert named, "everything that can be used has a name"
        for dark, phone in ((False, False), (True, False), (False, True), (True, True)):
            page.look((390, 844) if phone else (1280, 800), dark=dark, phone=phone)
            assert page.run("document.documentElement.scrollWidth <= innerWidth"), "nothing sticks out"


def test_a_page_that_is_loaded_again_is_back_within_five_seconds(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    with calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR) as command:
        page = join(browser, command.links[0])
        for _ in range(3):
            began = time.monotonic()
            page.reload()
            page.wait(f"window.livehead && {JOINED} && {PLAYS}")
            assert time.monotonic() - began < 5
        goes_on(page, 2, 10)


def test_a_program_that_was_killed_has_the_call_back_within_five_seconds(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    # Its models stay where they are; only links are kept elsewhere.
    shutil.copytree(resolve("face_landmarker").parent, tmp_path / "cache")
    surroundings = {"AVATAR_CACHE": str(tmp_path / "cache")}
    asked = (me, *clip, "--listen", NEAR)
    with calling(networks, tmp_path / "words", *asked, **surroundings) as command:
        page = join(browser, command.links[0])
        command.process.kill()
        command.process.wait()
        time.sleep(3)
        assert "again" in page.text() or "reached" in page.text()
        with calling(networks, tmp_path / "again", *asked, "--again", **surroundings) as second:
            began = time.monotonic()
            assert second.links == command.links
            second.wait("the guest is here", 10)
            page.wait(JOINED)
            assert time.monotonic() - began < 5
            goes_on(page, 2, 10)


def test_a_network_that_comes_back_brings_the_call_back_within_five_seconds(
    bad_networks: Networks, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    networks = bad_networks
    assert networks.wire is not None
    with (
        calling(networks, tmp_path / "words", me, *clip, "--listen", BAD_NEAR) as command,
        Chromium(networks.inside(networks.far)) as browser,
    ):
        page = join(browser, command.links[0])
        networks.wire.weather = Weather(loss=1.0)
        time.sleep(12)
        assert "again" in page.text()
        networks.wire.weather = Weather()
        began = time.monotonic()
        page.wait(f"{JOINED} && document.getElementById('status').textContent === 'Connected.'", 20)
        assert time.monotonic() - began < 5
        goes_on(page, 2, 10)


@pytest.mark.parametrize(
    "weather",
    [Weather(loss=0.02, delay_s=0.05), Weather(bits_per_s=600_000, delay_s=0.02)],
    ids=["2 % loss, 50 ms", "0.6 Mbit/s"],
)
def test_the_picture_goes_on_over_a_bad_network(
    weather: Weather, bad_networks: Networks, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    networks = bad_networks
    assert networks.wire is not None
    with (
        calling(networks, tmp_path / "words", me, *clip, "--listen", BAD_NEAR) as command,
        Chromium(networks.inside(networks.far)) as browser,
    ):
        page = join(browser, command.links[0])
        time.sleep(4)
        networks.wire.weather = weather
        found = goes_on(page, 25, 10)
        assert found["frozen"] < 1, found
        if weather.loss:
            assert networks.wire.lost > 20
    assert "Traceback" not in command.said()


def test_a_browser_is_the_camera(networks: Networks, tmp_path: Path) -> None:
    """Chromium with a camera file -> the program -> another Chromium, with time codes in the pictures."""
    options = argparse.Namespace(
        generator="warp", size=(512, 512), head=512, codec="vp8", quality="usual", seconds=8.0, loss=0.0,
        delay=0.0, kbit=None, portrait=None, both_ways=True,
    )  # fmt: skip
    networks.close()  # the bench makes its own
    found = bench_call.measure(options)["call"]
    assert found["decoded_fps"] > 8
    assert found["seen"] > 50
    assert found["glass_ms"]["p50"] < 400
    assert abs(found["sound_after_picture_ms"]["p50"]) < 150
    assert found["video"]["freezes"] == 0


def test_a_call_by_hand(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    """No server: a file goes to the guest, and a text comes back half a minute later."""
    page_file = tmp_path / "invitation.html"
    quiet = ("--speaker", "none", "--no-window", *QUIET)
    arguments = ("call", me, *clip, "--paste", str(page_file), *quiet)
    with avatar(networks, tmp_path / "words", *arguments, to="") as command:
        command.wait("Paste that text here")
        page = browser.page(f"file://{page_file}")
        page.run("document.getElementById('join').click()")
        page.wait("document.getElementById('answer').value.startsWith('avatar1:')")
        answer = page.run("document.getElementById('answer').value")
        assert len(answer) < 4000, "a terminal takes no longer lines"
        time.sleep(30)
        assert command.process.stdin is not None
        command.process.stdin.write(answer.encode() + b"\n")
        command.process.stdin.flush()
        command.wait("the guest is here")
        page.wait(PLAYS)
        goes_on(page, 3, 10)
        assert page.errors() == []


def test_whip_by_the_fetch_of_a_browser(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    """No script of ours: what any WHEP or WHIP client does, step by step."""
    script = """(async () => {
        const pc = new RTCPeerConnection();
        pc.addTransceiver('video', {direction: 'recvonly'});
        pc.addTransceiver('audio', {direction: 'recvonly'});
        await pc.setLocalDescription();
        const asked = await fetch(location.pathname, {method: 'POST', body: pc.localDescription.sdp,
                                                      headers: {'Content-Type': 'application/sdp'}});
        await pc.setRemoteDescription({type: 'answer', sdp: await asked.text()});
        let decoded = 0;
        for (let n = 0; n < 100 && decoded < 30; n++) {
            await new Promise((r) => setTimeout(r, 100));
            for (const one of (await pc.getStats()).values())
                if (one.type === 'inbound-rtp' && one.kind === 'video') decoded = one.framesDecoded;
        }
        const at = asked.headers.get('Location');
        const ended = await fetch(at, {method: 'DELETE'});
        const twice = await fetch(at, {method: 'DELETE'});
        return [asked.status, asked.headers.get('ETag'), asked.headers.get('Content-Type'), decoded,
                ended.status, twice.status];
    })()"""
    with calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR) as command:
        page = browser.page(command.links[0])
        status, tag, kind, decoded, ended, twice = page.run(script)
        assert (status, kind, ended, twice) == (201, "application/sdp", 200, 404)
        assert tag and decoded >= 30
        command.wait("the guest hung up")


@needs("janus")
def test_a_room_of_janus(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    """The avatar is published, and Chromium, as a subscriber of that room, decodes it."""
    subscribe = f"""(async (server) => {{
        const ask = async (path, body) => (await fetch(server + path, {{method: 'POST',
            body: JSON.stringify({{transaction: String(Math.random()), ...body}})}})).json();
        const session = '/' + (await ask('', {{janus: 'create'}})).data.id;
        const attach = {{janus: 'attach', plugin: 'janus.plugin.videoroom'}};
        const handle = session + '/' + (await ask(session, attach)).data.id;
        const event = async () => {{ for (;;) {{
            const one = await (await fetch(server + session + '?rid=' + Date.now())).json();
            if (one.janus === 'event') return one; }} }};
        const send = (body, jsep) => ask(handle, {{janus: 'message', body, jsep}});
        let feed;
        for (let n = 0; n < 50 && !feed; n++) {{
            const list = await send({{request: 'listparticipants', room: {ROOM}}});
            feed = list.plugindata.data.participants.find((one) => one.publisher)?.id;
            await new Promise((r) => setTimeout(r, 100));
        }}
        await send({{request: 'join', ptype: 'subscriber', room: {ROOM}, streams: [{{feed}}]}});
        const offer = (await event()).jsep;
        const pc = new RTCPeerConnection();
        await pc.setRemoteDescription(offer);
        await pc.setLocalDescription();
        await new Promise((r) => setTimeout(r, 500));
        await send({{request: 'start'}}, pc.localDescription.toJSON());
        let found = {{}};
        for (let n = 0; n < 150 && !(found.framesDecoded > 60); n++) {{
            await new Promise((r) => setTimeout(r, 100));
            for (const one of (await pc.getStats()).values())
                if (one.type === 'inbound-rtp' && one.kind === 'video') found = one;
        }}
        return [found.framesDecoded, found.frameWidth];
    }})"""
    with janus(networks, tmp_path) as url:
        arguments = ("publish", me, *clip, *QUIET, "--janus", url, "--room", str(ROOM))
        with avatar(networks, tmp_path / "words", *arguments) as command:
            command.wait("shows the avatar")
            page = browser.page(f"{url}/info")
            decoded, width = page.run(f"{subscribe}({json.dumps(url)})")
            assert decoded > 60 and width == 512
        wrong = ("publish", me, *clip, *QUIET, "--janus", url, "--room", "99")
        with avatar(networks, tmp_path / "wrong", *wrong) as command:
            command.process.wait(60)
            assert "No such room" in command.said()


@needs("turnserver")
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_relayed_by_coturn(
    transport: str, networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    ice = f"turn:ada:secret@{NEAR}:3478?transport={transport}"
    relayed = ("--ice", ice, "--relay-only")
    with (
        coturn(networks, tmp_path),
        calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR, *relayed) as command,
    ):
        page = join(browser, command.links[0])
        goes_on(page, 4, 10)
        assert page.run(PAIR) == "relay"


@needs("turnserver")
def test_relayed_by_coturn_over_tls(
    networks: Networks, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    """Chromium takes no TURN certificate that nobody vouches for, so a Python of ours is the guest."""
    certificate = make_certificate([NEAR])
    (tmp_path / "both.pem").write_bytes(certificate.chain + certificate.key)
    trusted = {"SSL_CERT_FILE": str(tmp_path / "both.pem")}
    ice = f"turns:ada:secret@{NEAR}:5349"
    guest = (sys.executable, str(Path(__file__).with_name("relayed_guest.py")), ice)
    with (
        coturn(networks, tmp_path, tmp_path / "both.pem"),
        calling(
            networks, tmp_path / "words", me, *clip, "--listen", NEAR, "--ice", ice, "--relay-only", **trusted
        ) as command,
        started(networks, tmp_path / "guest", *guest, command.links[0], **trusted) as other,
    ):
        found = json.loads(other.wait(r"\{.*\}")[0])
    assert found == {"pictures": 60, "kinds": ["relay"]}


@needs("turnserver")
def test_a_turn_server_that_refuses_is_told(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    ice = f"turn:ada:wrong@{NEAR}:3478"
    with (
        coturn(networks, tmp_path),
        calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR, "--ice", ice) as command,
    ):
        join(browser, command.links[0])
        command.wait("the TURN server gives no relay")
        assert "Traceback" not in command.said()
