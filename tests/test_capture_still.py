"""A still picture in the place of a camera."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avatar.capture.still import StillImage
from avatar.errors import PictureError
from avatar.tools import clock


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A clock that moves when somebody sleeps, or by changing the one number in the list."""
    now = [1_000_000_000]
    monkeypatch.setattr(clock, "now_ns", lambda: now[0])
    monkeypatch.setattr(clock, "sleep", lambda s: now.__setitem__(0, now[0] + max(0, round(s * 1e9))))
    return now


def test_a_picture_is_repeated_at_its_rate(hands: list[int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    source = StillImage(rgb, 25)
    frames = [source() for _ in range(5)]
    assert [frame.index for frame in frames if frame] == [0, 1, 2, 3, 4]
    assert np.diff([frame.captured_ns for frame in frames if frame]).tolist() == [40_000_000] * 4
    assert all(frame is not None and np.array_equal(frame.rgb, rgb) for frame in frames)
    assert source.size == (30, 20)
    source.close()
    assert source() is None


def test_a_picture_file_is_read(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20), (1, 2, 3)).save(tmp_path / "x.png")
    source = StillImage(tmp_path / "x.png", paced=False)
    frame = source()
    assert frame is not None
    assert frame.rgb[5, 5].tolist() == [1, 2, 3]
    with pytest.raises(PictureError):
        StillImage(tmp_path / "y.png")


@pytest.mark.parametrize(("shape", "dtype"), [((4, 4), "u1"), ((4, 4, 3), "f4"), ((4, 4, 4), "u1")])
def test_what_is_no_picture(shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(ValueError, match="uint8"):
        StillImage(np.zeros(shape, dtype))


def test_a_reader_that_was_away_misses_pictures(hands: list[int]) -> None:
    source = StillImage(np.zeros((2, 2, 3), np.uint8), 25)
    source()
    hands[0] += 130_000_000
    frame = source()
    assert frame is not None
    assert (frame.index, source.dropped) == (3, 2)
    hands[0] += 60_000_000_000
    frame = source()
    assert frame is not None
    assert (frame.index, source.dropped) == (4, 2)  # after a long pause it goes on where it was
