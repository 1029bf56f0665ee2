"""A beep and a flash at once before the real program: the beep has to leave with the flash's picture."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from avatar.records import U8
from pipewire.flashing_run import CHANGE_AT, CORNER, DEPTHS, EVERY
from pipewire.listening import Ear, Speaker

SECONDS = 33
SETTLING_S = 7.0
"""Until the age of the pictures is known, and what was before is forgotten."""
NEAR_MS = 20.0
HERE = Path(__file__).parent
SIZE = (352, 288)


@pytest.fixture
def flashing_clip(carphone_frames: list[U8], tmp_path: Path) -> Path:
    """A man who talks, there and back again, and a corner that flashes."""
    path = tmp_path / "flashes.mp4"
    there_and_back = [*carphone_frames, *carphone_frames[::-1]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "18", "preset": "veryfast"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for number in range(30 * SECONDS):
            rgb = np.asarray(cv2.resize(there_and_back[number % len(there_and_back)], SIZE), np.uint8)
            rgb[: 2 * CORNER, : 2 * CORNER] = 255 if number % EVERY == 0 else 0
            container.mux(stream.encode(VideoFrame.from_ndarray(rgb)))
        container.mux(stream.encode(None))
    return path


def test_beep_and_flash_leave_together(
    desk_microphone: str, flashing_clip: Path, astronaut: U8, tmp_path: Path
) -> None:
    portrait = tmp_path / "portrait.png"
    Image.fromarray(astronaut).save(portrait)
    command = [sys.executable, str(HERE / "flashing_run.py"), "run", str(portrait)]
    command += ["--camera", str(flashing_clip), "--output", "null", "--no-page", "--generator", "warp"]
    command += ["--audio", "--microphone", desk_microphone]
    told = tmp_path / "told.txt"
    flashes: list[tuple[int, int]] = []
    with (
        closing(Speaker("desk")) as speaker,
        closing(Ear(desk_microphone)) as real,
        told.open("w") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ) as run,
    ):
        assert run.stdout is not None
        virtual: Ear | None = None
        for line in run.stdout:
            if line == "soon\n":
                speaker.beep()
                virtual = virtual or Ear("livehead_microphone")
            elif line.startswith("flash "):
                _, captured, handed_over = line.split()
                flashes.append((int(captured), int(handed_over)))
        assert virtual is not None, told.read_text()
        virtual.close()
    assert run.returncode == 0, told.read_text()
    assert "choose the microphone 'Livehead Microphone' in your meeting" in told.read_text()
    there = subprocess.run(["pactl", "list", "short"], check=True, capture_output=True, text=True).stdout
    assert "desk_microphone" in there and "livehead" not in there
    began = flashes[0][0]
    change = began + round(CHANGE_AT / 30 * 1e9)
    for depth, begin, end in ((DEPTHS[0], began, change), (DEPTHS[1], change, flashes[-1][0])):
        part = [flash for flash in flashes if begin + SETTLING_S * 1e9 < flash[0] < end]
        assert len(part) >= 5
        age_ms, off_ms = measured(part, real.heard_ns, virtual.heard_ns)
        assert age_ms > 33 * depth
        assert off_ms == pytest.approx(0, abs=NEAR_MS)


def measured(flashes: list[tuple[int, int]], said: list[int], heard: list[int]) -> tuple[float, float]:
    """The age of the picture at hand-over, and by how much the beep is later than it [ms]."""
    ages, delays = [], []
    for captured, handed_over in flashes:
        # Beep and flash were not quite at once; what lies between them is no fault of the program.
        beep = min(said, key=lambda moment: abs(moment - captured))
        ages.append((handed_over - captured) / 1e6)
        delays.append((min((moment for moment in heard if moment > beep), default=0) - beep) / 1e6)
    off = np.subtract(delays, ages)
    print(f"\n{len(ages)} flashes [ms]:")
    for what, found in (("picture's age", ages), ("sound's delay", delays), ("beep after flash", off)):
        print(f"  {what}: median {np.median(found):.1f}, {min(found):.1f} to {max(found):.1f}")
    # On a busy computer single pictures are older than most, which no sound can follow.
    return float(np.median(ages)), float(np.median(delays) - np.median(ages))
