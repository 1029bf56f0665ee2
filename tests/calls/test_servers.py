"""Calls by way of servers that are not ours, or with clients that are not: WHIP, Janus, coturn."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from avatar.web.certificate import make_certificate
from bench.chromium import Chromium
from bench.netns import NEAR, Networks
from calls.far_side import goes_on, join
from calls.near_side import QUIET, ROOM, avatar, calling, coturn, janus, started

PAIR = """(async () => { const all = [...(await livehead.connection.getStats()).values()];
  const pair = all.find((one) => one.type === 'candidate-pair' && one.nominated && one.state === 'succeeded');
  return all.find((one) => one.id === pair.localCandidateId).candidateType; })()"""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


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
            command.process.wait(120)
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
