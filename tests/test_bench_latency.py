"""The bench's document, table and verdict; and a short run of all of it where the models are."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.live import Summary
from avatar.records import Frame
from bench import latency, machine, soak

KEYS = [
    "fps",
    "age_ms",
    "motion_lag_ms",
    "stages_ms",
    "dropped",
    "repeated",
    "frames",
    "size",
    "head",
    "generator",
    "runtime",
    "memory_mb",
    "first_frame_s",
    "machine",
]
SUMMARY = Summary(
    fps=29.98765,
    age_ms={"p50": 31.0, "p95": 44.5, "p99": 50.25},
    motion_lag_ms=12.345,
    stages_ms={"track": {"p50": 11.0, "p95": 14.0}},
    dropped={"source": 1, "camera->tracker": 2, "tracker->generator": 0, "generator->output": 0},
    repeated=4,
    frames=600,
    no_face=0,
    idle=0,
    seconds=20.0,
)


def test_the_document_has_exactly_these_keys() -> None:
    document = latency.report(SUMMARY, size=(1280, 720), head=512, generator="warp")
    assert list(document) == KEYS
    assert json.loads(json.dumps(document)) == document
    assert (document["fps"], document["motion_lag_ms"], document["dropped"]) == (29.99, 12.3, 3)
    assert document["size"] == "1280x720"
    assert document["age_ms"] == {"p50": 31.0, "p95": 44.5, "p99": 50.25}


def test_an_unpaced_clip_has_no_age() -> None:
    document = latency.report(SUMMARY, size=(640, 360), head=512, generator="warp", unpaced=True)
    assert list(document) == KEYS
    assert document["age_ms"] == {"p50": None, "p95": None, "p99": None}
    assert "age at hand-over             -" in latency.table(document)


def test_the_table_shows_what_the_document_says() -> None:
    text = latency.table(latency.report(SUMMARY, size=(1280, 720), head=512, generator="warp"))
    assert "600 frames of 1280x720" in text and "30.0 fps" in text
    assert "3 dropped, 4 repeated" in text
    rows = {line.strip().split("  ")[0]: line.split() for line in text.splitlines()}
    assert rows["age at hand-over"][-3:] == ["31.0", "44.5", "50.2"]
    assert rows["motion lag"][-1] == "12.3"
    assert rows["track"][-2:] == ["11.0", "14.0"]


def test_the_plot_shows_what_is_known(tmp_path: Path) -> None:
    document = latency.report(SUMMARY, size=(1280, 720), head=512, generator="warp", unpaced=True)
    latency.draw(document, tmp_path / "latency.png")
    with Image.open(tmp_path / "latency.png") as drawn:
        assert drawn.size[0] > 600


@pytest.mark.parametrize(("name", "told"), [("plot.txt", "is no picture"), ("no/plot.png", "does not exist")])
def test_a_plot_that_cannot_be_is_told_before_anything_runs(
    name: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.main(["--plot", str(tmp_path / name), "--source", "nothing-here.mp4"]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert told in error


def test_a_plot_without_matplotlib_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert latency.main(["--plot", str(tmp_path / "latency.png")]) == 1
    assert "livehead[bench]" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell")
def test_the_age_of_a_process_is_told() -> None:
    code = "import time; time.sleep(0.3); from bench.machine import since_start_s; print(since_start_s())"
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.28 < float(done.stdout) < time.perf_counter() - begin + 0.02


def test_the_first_frame_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    ages = iter([1.5, 9.0])
    monkeypatch.setattr(machine, "since_start_s", lambda: next(ages))
    first = latency.FirstFrame()
    assert first.seconds is None
    for index in range(2):
        first(Frame(np.zeros((2, 2, 3), np.uint8), index, 0))
    assert first.seconds == 1.5


def test_a_figure_comes_with_its_machine() -> None:
    about = machine.describe()
    assert about["cpu"] and about["cores"] >= 1
    assert "numpy" in about["packages"]
    assert about["command"].startswith("python")
    json.dumps(about)


@pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path")
def test_a_source_that_is_not_there_is_one_line_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["--source", "nothing-here.mp4"]) == 1
    (error,) = capsys.readouterr().err.splitlines()[-1:]
    assert error.startswith("bench.latency: error:") and "nothing-here.mp4" in error


@pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path", "carphone_path")
def test_a_short_run_of_the_whole_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert latency.main(["--seconds", "3", "--size", "640x360", "--head", "256"]) == 0
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert list(document) == KEYS
    assert document["frames"] > 20
    assert document["first_frame_s"] is None or document["first_frame_s"] > 0
    assert document["age_ms"]["p50"] > 0
    assert {"track", "retarget", "warp", "generate", "composite", "output"} <= set(document["stages_ms"])
    # The clip's man talks: his mouth moves, and the avatar's moves with it.
    assert document["motion_lag_ms"] is not None and -10 < document["motion_lag_ms"] < 120


ROWS = [
    soak.Row(minute=m, fps=30.0, age_p50_ms=30.0 + m % 2, rss_mib=500.0 + m % 3, threads=20, files=9)
    for m in range(1, 11)
]


def test_a_steady_soak_passes() -> None:
    assert soak.complaints(ROWS) == []


@pytest.mark.parametrize(
    ("field", "by", "word"),
    [
        ("rss_mib", 5.0, "memory"),
        ("age_p50_ms", 2.0, "age"),
        ("threads", 1, "threads"),
        ("files", 1, "files"),
        ("fps", -0.2, "frame rate"),
    ],
)
def test_a_soak_with_growth_fails(field: str, by: float, word: str) -> None:
    rows = [replace(row, **{field: getattr(row, field) + by * i}) for i, row in enumerate(ROWS)]
    (only,) = soak.complaints(rows)
    assert word in only


def test_threads_that_come_and_go_are_no_growth() -> None:
    rows = [replace(row, threads=22 if i in (1, 7, 8, 9) else 20) for i, row in enumerate(ROWS)]
    assert soak.complaints(rows) == []


def test_a_soak_of_two_rows_tells_nothing() -> None:
    assert "too short" in soak.complaints(ROWS[:2])[0]


def test_what_the_system_does_not_tell_is_left_out() -> None:
    rows = [replace(row, rss_mib=None, files=None) for row in ROWS]
    assert soak.complaints(rows) == []
    assert set(soak.growth(rows)) == {"age_p50_ms", "threads", "fps"}
    assert " - " in soak.as_line(rows[0])


def test_the_sampler_takes_a_row_per_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    from avatar.tools import clock

    now = 0
    monkeypatch.setattr(clock, "now_ns", lambda: now)
    sampler = soak.Sampler(every_s=1.0)
    for index in range(1, 91):
        now = round(index / 30 * 1e9)
        sampler(Frame(np.zeros((2, 2, 3), np.uint8), index, now - 25_000_000))
    assert [row.fps for row in sampler.rows] == [30.0, 30.0, 30.0]
    assert [row.age_p50_ms for row in sampler.rows] == [25.0, 25.0, 25.0]
    assert sampler.rows[0].threads >= 1
