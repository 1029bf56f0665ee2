"""Calls without a server, and what is shown of the guest."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from av.video.frame import VideoFrame
from call_fakes import Camera, Painter, only_loopback, picture, run, until

from avatar.call.by_hand import CallByHand
from avatar.call.guest import GuestWindow, with_inset
from avatar.call.ice import Ice
from avatar.call.paste import invitation_page, pack, read_answer, unpack
from avatar.errors import CallError
from avatar.records import Frame

__all__ = ["only_loopback"]


def test_a_call_by_hand_needs_no_server() -> None:
    from aiortc import RTCPeerConnection, RTCSessionDescription

    call = CallByHand(Ice(), "vp8")
    painter = Painter(call)
    offer = call.offer()
    page = invitation_page(offer, Ice())
    assert "/page/" not in page and "fetch" in page and "a=fingerprint" in page
    assert "export " not in page and "\nimport " not in page

    async def go() -> None:
        connection = RTCPeerConnection(Ice().configuration())
        connection.addTrack(Camera())
        seen: list[Any] = []
        connection.on("track", lambda track: seen.append(track))
        await connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
        await connection.setLocalDescription()
        text = pack({"type": "answer", "sdp": connection.localDescription.sdp})
        lines = ["some words before it\n", *(text[at : at + 60] + "\n" for at in range(0, len(text), 60))]
        await asyncio.to_thread(call.accept, read_answer(lines))
        await until(lambda: call.guest_picture() is not None)
        track = next(track for track in seen if track.kind == "video")
        assert isinstance(await track.recv(), VideoFrame)
        await connection.close()

    run(go())
    assert call.ended.wait(5)
    painter.close()
    call.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello\n",
        "avatar1:AAAA.",
        "avatar1:!!!!.",
        pack({"type": "offer", "sdp": ""}),
        pack({"type": "answer"}),
    ],
)
def test_an_answer_that_is_none_is_told(text: str) -> None:
    with pytest.raises(CallError):
        read_answer([text])


def test_a_packed_answer_cannot_fill_the_memory() -> None:
    bomb = pack({"type": "answer", "sdp": "x" * 50_000_000})
    assert len(bomb) < 100_000
    with pytest.raises(CallError, match="damaged"):
        unpack(bomb)
    with pytest.raises(CallError, match="too long"):
        read_answer(["avatar1:" + "A" * 200_000])


def test_the_guest_is_shown_with_the_own_avatar_in_a_corner() -> None:
    shown: list[Frame] = []

    class Shown:
        closed = False

        def __call__(self, frame: Frame) -> None:
            shown.append(frame)

        def close(self) -> None:
            self.closed = True

    newest: list[VideoFrame | None] = [None, VideoFrame.from_ndarray(picture(100), format="rgb24")]
    window = GuestWindow(Shown(), lambda: newest.pop(0))
    for index in range(2):
        window(Frame(picture(180), index, 0))
    assert shown[0].rgb[:90].max() < 40, "nobody there"
    assert shown[1].rgb[50, 100].mean() == pytest.approx(100, abs=3)
    assert shown[1].rgb[120, 120].mean() == pytest.approx(180, abs=3)
    window.close()
    assert window.closed
    assert with_inset(picture(1, 64), picture(2, 32)).shape == (64, 64, 3)


def test_no_name_of_an_outside_server_is_in_the_page() -> None:
    folder = Path(__file__).resolve().parents[1] / "avatar" / "call" / "page"
    for path in folder.iterdir():
        assert "://" not in path.read_text(encoding="utf-8"), path
