"""The PipeWire camera with a stand-in for GStreamer that keeps what it is fed; a real one: tests/pipewire."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_clips import SIZE, frame, number_in

from avatar.errors import OutputError, VirtualCameraError
from avatar.output.pipewire_camera import CARDS, PipeWireCamera, has_pipewire, missing_for_pipewire_camera
from avatar.records import U8
from avatar.tools import clock
from avatar.tools.signs import OFF, card

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PipeWire is of Linux")
WIDTH, HEIGHT = SIZE


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that gets the bytes a GStreamer would get; its neighbour gets the command line."""
    (tmp_path / "pipewire-0").touch()
    fed = tmp_path / "fed"
    program(tmp_path, "gst-inspect-1.0", "exit 0")
    program(tmp_path, "gst-launch-1.0", f'echo "$@" > {tmp_path}/words; exec /bin/cat > {fed}')
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for name in ("PIPEWIRE_RUNTIME_DIR", "PIPEWIRE_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    return fed


def pictures(fed: Path) -> list[U8]:
    packed = np.fromfile(fed, np.uint8).reshape(-1, HEIGHT, WIDTH, 2)
    return [np.asarray(cv2.cvtColor(one, cv2.COLOR_YUV2RGB_YUY2), np.uint8) for one in packed]


def test_frames_arrive_in_their_colours_and_a_card_comes_last(stand_in: Path) -> None:
    camera = PipeWireCamera(60, SIZE)
    for number in range(5):
        camera(frame(number))
        clock.sleep(0.05)  # the newest wins: too fast, and one is left out
    assert camera.frames == 5
    camera.close()
    camera.close()
    seen = pictures(stand_in)
    assert [number_in(one) for one in seen[:5]] == [0, 1, 2, 3, 4]
    assert np.abs(seen[3][5, 5].astype(int) - frame(3).rgb[5, 5]).max() <= 3
    assert 1 <= len(seen[5:]) <= CARDS
    assert all(np.abs(one.astype(int) - card(SIZE, OFF)).mean() < 3 for one in seen[5:])
    words = (stand_in.parent / "words").read_text()
    assert "width=160 height=120 framerate=60000/1000" in words
    assert "media.class=Video/Source" in words
    with pytest.raises(OutputError, match="Livehead Camera: is closed"):
        camera(frame(0))


def test_a_gstreamer_that_takes_nothing_holds_nobody_up(stand_in: Path) -> None:
    program(stand_in.parent, "gst-launch-1.0", "exec /bin/sleep 60")
    camera = PipeWireCamera(30, SIZE)
    began = clock.now_ns()
    for number in range(200):
        camera(frame(number))
    assert clock.now_ns() - began < 1e9
    camera.close()
    assert clock.now_ns() - began < 8e9


def test_why_it_ended_is_told(stand_in: Path) -> None:
    program(stand_in.parent, "gst-launch-1.0", "echo 'ERROR: no server' >&2; exit 1")
    camera = PipeWireCamera(30, SIZE)
    camera._program.wait()
    with pytest.raises(OutputError, match=r"takes no more frames: ERROR: no server$"):
        camera(frame(0))
    camera.close()


def test_another_size_is_a_mistake(stand_in: Path) -> None:
    with pytest.raises(VirtualCameraError, match="even width and height, got 161x120"):
        PipeWireCamera(30, (161, 120))
    camera = PipeWireCamera(30, SIZE)
    with pytest.raises(ValueError, match="100x120 != 160x120"):
        camera(frame(0, (100, 120)))
    camera.close()


def test_what_is_missing_is_told(stand_in: Path) -> None:
    assert has_pipewire()
    assert missing_for_pipewire_camera() is None
    program(stand_in.parent, "gst-inspect-1.0", "exit 255")
    assert "GStreamer has no rawvideoparse: sudo apt install" in (missing_for_pipewire_camera() or "")
    (stand_in.parent / "gst-launch-1.0").unlink()
    assert "GStreamer is not installed: sudo apt install" in (missing_for_pipewire_camera() or "")
    (stand_in.parent / "pipewire-0").unlink()
    assert not has_pipewire()
    with pytest.raises(VirtualCameraError, match="there can be no PipeWire camera: no PipeWire runs here"):
        PipeWireCamera(30, SIZE)
