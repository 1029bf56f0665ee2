"""Pictures encoded by us: more than aiortc's own encoder sends, and what tells it how much."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from call_fakes import Browser, calling, only_loopback, picture, run, url_of

from avatar.call import Call
from avatar.call.encoder import LEAST, MOST, Bitrate, Encoder
from avatar.records import Frame
from avatar.tools import clock

__all__ = ["only_loopback"]


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_high_quality_passes_the_cap_of_aiortc(codec: str) -> None:
    """Noise takes all that is allowed: more than 1.5 Mbit/s comes over, and can be decoded."""
    rates: list[float] = []
    noise = [np.random.default_rng(seed).integers(0, 255, (256, 256, 3), np.uint8) for seed in range(4)]

    async def go(call: Call) -> None:
        browser = Browser(url_of(call), sends=False)
        assert await browser.join() == 201
        began, before = 0.0, 0
        for index in range(150):
            call(Frame(noise[index % 4], index, clock.now_ns()))
            await asyncio.sleep(1 / 30)
            report = (await browser.connection.getStats()).values() if index in (60, 149) else ()
            for one in report:
                if one.type == "transport":
                    if began:
                        rates.append((one.bytesReceived - before) * 8 / (time.monotonic() - began))
                    began, before = time.monotonic(), one.bytesReceived
        assert len(browser.got.pictures) > 100
        assert browser.got.pictures[-1].std() > 20

    with calling(paint=False, quality="high", codec=codec) as call:
        run(go(call))
    assert rates and rates[-1] > 1_800_000


def test_high_quality_needs_a_receiver_of_its_codec() -> None:
    async def go(call: Call) -> str:
        browser = Browser(url_of(call))
        offer = await browser.offer()
        assert await browser.post(offer.replace("H264/90000", "X264/90000")) == 400
        return browser.text

    with calling(paint=False, quality="high", codec="h264") as call:
        assert "video" in run(go(call))


def test_the_bitrate_follows_what_the_receiver_reports() -> None:
    rate = Bitrate()
    for _ in range(40):
        rate.report(0.0, 0.03)
    assert rate.now == MOST
    for _ in range(5):
        rate.report(0.3, 0.03)
    assert rate.now < MOST / 2
    after_loss = rate.now
    rate.report(0.05, 0.03)
    assert rate.now == after_loss, "between few and many it stays"
    rate.report(0.0, 0.4)
    assert rate.now < after_loss, "packets wait somewhere"
    for _ in range(60):
        rate.report(0.9, None)
    assert rate.now == LEAST


def test_whole_pictures_come_by_the_clock_and_when_the_bitrate_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0
    monkeypatch.setattr(clock, "now_ns", lambda: now)
    rate = Bitrate()
    encode = Encoder("vp8", rate)
    whole = []
    for number in range(100):
        now = number * 33_000_000
        if number == 80:
            rate.now /= 2
        packet = encode(picture(60 + number), number * 3000)
        if packet is not None and packet.is_keyframe:
            whole.append(number)
    assert whole == [0, 61, 80]
