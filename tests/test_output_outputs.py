"""Which output a word on the command line means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from made_clips import SIZE, frame

from avatar.errors import OutputError
from avatar.output import Null, VideoWriter, open_output, outputs


def test_null_counts() -> None:
    output = open_output("null", fps=30, size=SIZE)
    assert isinstance(output, Null)
    for number in range(3):
        output(frame(number))
    output.close()
    assert output.frames == 3


@pytest.mark.parametrize("name", ["x.mp4", "X.MP4"])
def test_files(tmp_path: Path, name: str) -> None:
    output = open_output(str(tmp_path / name), fps=24, size=SIZE)
    assert isinstance(output, VideoWriter)
    assert (output.fps, output.size) == (24, SIZE)
    output.close()


def test_devices_and_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(outputs, "VirtualCamera", lambda *args: calls.append(("virtualcam", *args)))
    monkeypatch.setattr(outputs, "Window", lambda **options: calls.append(("window", options)))
    open_output("virtualcam", fps=30, size=SIZE)
    open_output("virtualcam:/dev/video3", fps=30, size=SIZE)
    open_output("window", fps=30, size=SIZE)
    open_output("window", fps=30, size=SIZE, mirror=False)
    assert calls == [
        ("virtualcam", 30, SIZE),
        ("virtualcam", 30, SIZE, "/dev/video3"),
        ("window", {"mirror": True}),
        ("window", {"mirror": False}),
    ]


@pytest.mark.parametrize("spec", ["", "x.avi", "out.webm", "webcam", "virtual", "folder/"])
def test_what_means_nothing(spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="take virtualcam, pipewire, window, null, or a file"):
        open_output(spec, fps=30, size=SIZE)
    assert list(tmp_path.iterdir()) == []


def test_what_the_live_loop_is_told() -> None:
    from avatar.output import VirtualCamera, Window

    rates = {kind: kind.constant_rate for kind in (VideoWriter, VirtualCamera, Window, Null)}
    assert rates == {VideoWriter: True, VirtualCamera: True, Window: False, Null: False}
    assert Window.main_thread
