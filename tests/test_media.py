"""Only files that hold their own pictures or sound are opened, whatever they are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest
from made_clips import SIZE, write_clip

from avatar.capture import VideoFile
from avatar.errors import VideoError
from avatar.output import VideoWriter
from avatar.tools.media import CONTAINERS, open_media

Use = Callable[[Path], object]


def as_sound(path: Path) -> object:
    return VideoWriter(path.with_name("out.mp4"), 30, SIZE, audio_from=path)


def play_list(folder: Path, kind: str) -> Path:
    """A play list that leads to a clip beside it, under a name that FFmpeg takes it for one by."""
    write_clip(folder / "other.ts", 5, sound_s=0.2)
    if kind == "concat":
        path = folder / "harmless.mp4"
        path.write_text("ffconcat version 1.0\nfile other.ts\n")
    else:
        path = folder / "harmless.m3u8"
        path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.ts\n#EXT-X-ENDLIST\n")
    with av.open(str(path)) as container:
        assert container.streams.video, "without the list of formats it opens"
    return path


@pytest.mark.parametrize("use", [open_media, VideoFile, as_sound])
@pytest.mark.parametrize("kind", ["concat", "hls"])
def test_play_lists_lead_nowhere(tmp_path: Path, kind: str, use: Use) -> None:
    path = play_list(tmp_path, kind)
    with pytest.raises(VideoError, match="leads to other files") as caught:
        use(path)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out.mp4").exists()


def test_numbered_pictures_are_no_video(tmp_path: Path) -> None:
    (tmp_path / "%03d.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(VideoError, match="not a video"):
        open_media(tmp_path / "%03d.png")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is a folder"):
        open_media(tmp_path)
    with pytest.raises(VideoError, match="there is no such file"):
        open_media(tmp_path / "x.mp4")


@pytest.mark.parametrize("name", ["a:b.mp4", "x.mkv", "x.avi", "x.mpg", "x.ts", "x.flv", "x.webm", "x.mov"])
def test_usual_containers(tmp_path: Path, name: str) -> None:
    codec = "libvpx" if name.endswith("webm") else "mpeg2video" if name.endswith("mpg") else "libx264"
    clip = write_clip(tmp_path / name.replace(":", "_"), 5, codec=codec)
    path = clip.rename(tmp_path / name)
    with open_media(path) as container:
        assert container.streams.video


def test_every_name_of_the_list_is_one_of_ffmpeg_s() -> None:
    known = {name for names in av.formats_available for name in names.split(",")}
    assert set(CONTAINERS) <= known
