"""Calls with real parts, in networks of their own: `make test-calls`. What cannot be had here is skipped.

Figures are loose here, and limits on time grow with how slow the computer is, since other programs may keep
the processor busy: `python -m bench.call` takes figures.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from avatar.weights import resolve
from bench import call as bench_call
from bench.call_ends import JOINED
from bench.chromium import Chromium
from bench.netns import BAD_NEAR, NEAR, Networks, Weather
from calls.far_side import PLAYS, STATS, goes_on, happens, join
from calls.near_side import QUIET, avatar, calling

BACK_S = 5.0
"""A call that was lost is back after so long."""
FROZEN_S = 1.0
"""The most of a bad time of a network in which nothing moves."""


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
        page.wait(JOINED, 60)
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
    limit: Callable[[float], float], networks: Networks, browser: Chromium, me: str, clip: tuple[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    took = []
    with calling(networks, tmp_path / "words", me, *clip, "--listen", NEAR) as command:
        page = join(browser, command.links[0])
        for _ in range(3):
            began = time.monotonic()
            page.reload()
            page.wait(f"window.livehead && {JOINED} && {PLAYS}", 60)
            took.append(time.monotonic() - began)
        goes_on(page, 2, 10)
    assert max(took) < limit(BACK_S)


def test_a_program_that_was_killed_has_the_call_back_within_five_seconds(
    limit: Callable[[float], float], networks: Networks, browser: Chromium, me: str, clip: tuple[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    # Its models stay where they are; only links are kept elsewhere.
    shutil.copytree(resolve("face_landmarker").parent, tmp_path / "cache")
    surroundings = {"AVATAR_CACHE": str(tmp_path / "cache")}
    asked = (me, *clip, "--listen", NEAR)
    with calling(networks, tmp_path / "words", *asked, **surroundings) as command:
        page = join(browser, command.links[0])
        command.process.kill()
        command.process.wait()
        page.wait("document.getElementById('status').textContent.includes('again')", 60)
        with calling(networks, tmp_path / "again", *asked, "--again", **surroundings) as second:
            began = time.monotonic()
            assert second.links == command.links
            second.wait("the guest is here")
            page.wait(JOINED, 60)
            took = time.monotonic() - began
            goes_on(page, 2, 10)
    assert took < limit(BACK_S)


def test_a_network_that_comes_back_brings_the_call_back_within_five_seconds(
    limit: Callable[[float], float], bad_networks: Networks, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    networks = bad_networks
    assert networks.wire is not None
    with (
        calling(networks, tmp_path / "words", me, *clip, "--listen", BAD_NEAR) as command,
        Chromium(networks.inside(networks.far)) as browser,
    ):
        page = join(browser, command.links[0])
        networks.wire.weather = Weather(loss=1.0)
        page.wait("document.getElementById('status').textContent.includes('again')", 60)
        time.sleep(8)
        networks.wire.weather = Weather()
        began = time.monotonic()
        page.wait(f"{JOINED} && document.getElementById('status').textContent === 'Connected.'", 60)
        took = time.monotonic() - began
        goes_on(page, 2, 10)
    assert took < limit(BACK_S)


@pytest.mark.parametrize(
    "weather",
    [Weather(loss=0.02, delay_s=0.05), Weather(bits_per_s=600_000, delay_s=0.02)],
    ids=["2 % loss, 50 ms", "0.6 Mbit/s"],
)
def test_the_picture_goes_on_over_a_bad_network(
    weather: Weather, limit: Callable[[float], float], bad_networks: Networks, me: str, clip: tuple[str, str],
    tmp_path: Path,
) -> None:  # fmt: skip
    networks = bad_networks
    assert networks.wire is not None
    with (
        calling(networks, tmp_path / "words", me, *clip, "--listen", BAD_NEAR) as command,
        Chromium(networks.inside(networks.far)) as browser,
    ):
        page = join(browser, command.links[0])
        time.sleep(4)
        networks.wire.weather = weather
        found = [happens(page, 25)]
        if found[0]["frozen"] >= FROZEN_S:  # what else the computer does may have been the reason
            found.append(happens(page, 25))
        if weather.loss:
            assert networks.wire.lost > 20
    assert found[-1]["decoded"] > 250 / limit(1)
    assert found[-1]["frozen"] < limit(FROZEN_S), found
    assert "Traceback" not in command.said()


def test_a_browser_is_the_camera(limit: Callable[[float], float]) -> None:
    """Chromium with a camera file -> the program -> another Chromium, with time codes in the pictures."""
    options = argparse.Namespace(
        generator="warp", size=(512, 512), head=512, codec="vp8", quality="usual", seconds=8.0, loss=0.0,
        delay=0.0, kbit=None, portrait=None, both_ways=True,
    )  # fmt: skip
    found = bench_call.measure(options)["call"]
    slow = limit(1)
    assert found["decoded_fps"] > 8 / slow
    assert found["seen"] > 50 / slow
    assert found["glass_ms"]["p50"] < 400 * slow
    assert abs(found["sound_after_picture_ms"]["p50"]) < 150 * slow
    assert found["longest_gap_s"] < FROZEN_S * slow


def test_a_call_by_hand(
    networks: Networks, browser: Chromium, me: str, clip: tuple[str, str], tmp_path: Path
) -> None:
    """No server: a file goes to the guest, and a text comes back a minute later."""
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
        time.sleep(60)
        assert command.process.stdin is not None
        command.process.stdin.write(answer.encode() + b"\n")
        command.process.stdin.flush()
        command.wait("the guest is here")
        page.wait(PLAYS, 60)
        goes_on(page, 3, 10)
        assert page.errors() == []
