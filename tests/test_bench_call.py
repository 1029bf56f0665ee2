"""The bench of calls, as far as it needs no browser: what it works out, and its camera file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bench import call, netns, timecode
from bench.call_ends import write_camera
from bench.call_figures import (
    arrived,
    differences,
    glass,
    held_ms,
    left_over,
    longest_gap_s,
    of_clip,
    shares,
    sync,
)
from bench.netns import Weather


def test_each_code_is_timed_from_its_last_showing_before() -> None:
    camera: list[list[Any]] = [[1, 1000.0, 990.0], [2, 1033.0, None], [1, 41_000.0, 40_990.0]]
    guest = [[1, 1100.0, None], [1, 1133.0, None], [2, 1150.0, None], [7, 1200.0, None], [1, 41_090.0, None]]
    assert glass(camera, guest) == [110.0, 117.0, 100.0]


def test_codes_of_a_clip_are_times() -> None:
    rows = [[10_000, 101_050.0, None], [10_000, 101_080.0, None], [10_333, 101_090.0, None]]
    assert of_clip(100.0, rows) == pytest.approx([50.0, 56.7])
    # After 28 minutes the code begins anew.
    later = [[10_000, 101_050.0 + 2**24 / 10, None]]
    assert of_clip(100.0, later) == pytest.approx([50.0], abs=0.01)
    came = [[10_000, 101_050.0, None, 101_020.0], [10_333, 101_090.0, None, None]]
    assert arrived(100.0, came) == pytest.approx([20.0]), "when it came, not when it was shown"


def test_beeps_belong_to_the_nearest_flash() -> None:
    assert sync([1000.0, 2000.0, 3000.0], [1020.0, 1990.0, 3600.0]) == [20.0, -10.0]
    assert sync([], [1.0]) == []


def test_small_figures() -> None:
    assert shares([1.0, 2.0, 3.0])["p50"] == 2.0 and shares([])["p95"] is None
    assert longest_gap_s([[1, 0.0, 0], [2, 33.0, 0], [3, 533.0, 0]]) == 0.5
    assert longest_gap_s([]) == float("inf")
    counted = differences(
        {"held_s": 1.0, "held": 10, "plis": None}, {"held_s": 2.0, "held": 30, "plis": None}
    )
    assert held_ms(counted) == 50.0


def test_what_calls_leave_behind_is_told() -> None:
    looks: list[dict[str, float | None]]
    looks = [{"rss_mib": 300.0 + n, "threads": 20, "files": 40, "calls": 1} for n in range(9)]
    assert left_over(looks) == []
    for n, look in enumerate(looks):
        look["files"] = 40 + n
    assert left_over(looks) == ["files grew from 41 to 47 in 9 calls"]
    looks = [{"rss_mib": 300.0 + 9 * n, "threads": 20, "files": None, "calls": 1} for n in range(9)]
    assert [one.split()[0] for one in left_over(looks)] == ["rss_mib"]


def test_the_camera_file_shows_its_codes(carphone_path: Path, tmp_path: Path) -> None:
    write_camera(tmp_path / "camera.mjpeg", 1.0)
    with av.open(str(tmp_path / "camera.mjpeg")) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert [timecode.read(np.asarray(one, np.uint8)) for one in pictures] == list(range(30))


def test_the_script_of_the_page_reads_the_same_code() -> None:
    """As far as constants go; `make test-calls` has Chromium read it."""
    script = (Path(call.__file__).parent / "call_page.js").read_text(encoding="utf-8")
    assert f"BLOCK = {timecode.BLOCK}, COLUMNS = {timecode.COLUMNS}, ROWS = {timecode.ROWS}" in script
    assert f"CHECK = {timecode.CHECK_BITS}n" in script


@pytest.mark.skipif(sys.platform != "linux", reason="networks of our own are Linux'")
def test_a_bad_wire_loses_delays_and_narrows() -> None:
    if reason := netns.missing(bad=True):
        pytest.skip(reason)
    with netns.Networks(Weather()) as networks:
        assert networks.wire is not None
        networks.cut()

        def ping(count: int) -> str:
            import subprocess

            command = ["python3", "-c", _ECHO, netns.BAD_NEAR, str(count)]
            server = subprocess.Popen([*networks.inside(networks.near), *command, "serve"])
            try:
                return subprocess.run(
                    [*networks.inside(networks.far), *command], capture_output=True, text=True, check=True
                ).stdout
            finally:
                server.kill()
                server.wait()

        came, took = map(float, ping(100).split())
        assert came == 100 and took < 40
        networks.wire.weather = Weather(loss=0.3, delay_s=0.05)
        came, took = map(float, ping(200).split())
        assert 40 < came < 160 and 95 < took < 200


_ECHO = """
import socket, sys, time
address, count = (sys.argv[1], 7777), int(sys.argv[2])
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
if len(sys.argv) > 3:
    end.bind(address)
    while True:
        end.sendto(*end.recvfrom(2000))
time.sleep(0.5)
end.settimeout(0.3)
came, took = 0, []
for number in range(count):
    began = time.monotonic()
    end.sendto(str(number).encode(), address)
    try:
        while end.recv(2000) != str(number).encode():
            pass
    except TimeoutError:
        continue
    came += 1
    took.append(1e3 * (time.monotonic() - began))
print(came, sorted(took)[len(took) // 2])
"""
