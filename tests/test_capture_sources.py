"""Which source a word on the command line means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_clips import write_clip
from PIL import Image

from avatar.capture import Recording, StillImage, VideoFile, names_file, open_source, sources
from avatar.capture.motion_file import write_motion
from avatar.errors import AvatarError, MotionFileError, PictureError, VideoError
from avatar.records import Face


class CameraCall(Exception):
    """Raised in place of opening a camera, with what was asked for."""


@pytest.fixture(autouse=True)
def no_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    def camera(source: str, **options: Any) -> None:
        raise CameraCall(source, options)

    monkeypatch.setattr(sources, "Camera", camera)


@pytest.mark.parametrize("spec", ["0", "12", "/dev/video2", "HD Webcam", "Logitech C920", "facetime"])
def test_cameras(spec: str) -> None:
    assert not names_file(spec)
    with pytest.raises(CameraCall) as caught:
        open_source(spec, backend="v4l2", size=(640, 480), fps=30)
    assert caught.value.args == (spec, {"backend": "v4l2", "size": (640, 480), "fps": 30})


def test_videos(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 4)
    source = open_source(str(path), size=(80, 60), fps=10, paced=False, loop=True)
    assert isinstance(source, VideoFile)
    assert (source.size, source.fps) == ((80, 60), 10)
    source.close()


def test_a_video_without_a_suffix(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mp4", 4).rename(tmp_path / "clip")
    source = open_source(str(path))
    assert isinstance(source, VideoFile)
    source.close()


def test_pictures(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "X.PNG")
    source = open_source(str(tmp_path / "X.PNG"), fps=12)
    assert isinstance(source, StillImage)
    assert source.fps == 12


def test_recordings(tmp_path: Path) -> None:
    pose = np.eye(4, dtype=np.float32)
    face = Face(np.ones((478, 3), np.float32), np.zeros(52, np.float32), pose, (64, 48))
    write_motion(tmp_path / "x.motion", [face], 25)
    source = open_source(str(tmp_path / "x.motion"), paced=False, loop=False)
    assert isinstance(source, Recording)
    assert source() is not None
    assert source() is None


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("clip.mp4", VideoError),
        ("clips/talk", VideoError),
        ("me.jpg", PictureError),
        ("me.heic", PictureError),
        ("talk.motion", MotionFileError),
        ("rtsp://camera/stream", VideoError),
        ("https://example.org/me.jpg", VideoError),
    ],
)
def test_what_is_not_there_is_not_taken_for_a_camera(
    spec: str, error: type[AvatarError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert names_file(spec) == ("://" not in spec)
    with pytest.raises(error, match=spec):
        open_source(spec)
