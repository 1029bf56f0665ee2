"""The voice in step with the picture, without any sound server: the delay line and what decides about it."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any

import numpy as np
import pytest

from avatar.audio.delay_line import I16, DelayLine
from avatar.audio.in_step import FOLLOW_MS, InStep
from avatar.cli import audible
from avatar.cli.main import main
from avatar.live import Status
from avatar.tools import clock

PIECE = 480
RATE = 48_000


def tone(pieces: int, hertz: float = 440.0) -> I16:
    """(pieces * PIECE,)"""
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(pieces * PIECE) / RATE)
    return np.asarray(np.rint(32767 * wave), np.int16)


def passed(line: DelayLine, sound: I16, delays: list[int]) -> I16:
    pieces = sound.reshape(-1, PIECE)
    return np.concatenate([line(piece, delay) for piece, delay in zip(pieces, delays, strict=True)])


@pytest.mark.parametrize("delay", [0, 1, 479, 480, 3333, 9600])
def test_sound_comes_out_later_by_the_delay_and_is_the_same(delay: int) -> None:
    sound = tone(60)
    given = passed(DelayLine(PIECE, 9600), sound, [delay] * 60)
    # the first piece may fade over; then all is as it was
    np.testing.assert_array_equal(given[delay + PIECE :], sound[PIECE : len(sound) - delay])


def test_a_changed_delay_makes_no_click() -> None:
    sound = tone(80)
    steepest = np.abs(np.diff(sound.astype(np.int32))).max()
    delays = [0] * 20 + [1700] * 20 + [400] * 20 + [9600] * 20
    given = passed(DelayLine(PIECE, 9600), sound, delays)
    # within a fade the tone may move from one phase to another, but not jump
    assert np.abs(np.diff(given.astype(np.int32))).max() < 1.5 * steepest
    # a line that jumped would do so by far more
    jump = np.concatenate([sound[: 20 * PIECE], sound[20 * PIECE - 1700 :]])
    assert np.abs(np.diff(jump.astype(np.int32))).max() > 5 * steepest


def test_what_is_left_out_makes_no_click() -> None:
    sound = tone(80)
    line = DelayLine(PIECE, 9600)
    given = []
    for number, piece in enumerate(sound.reshape(-1, PIECE)):
        if 30 <= number < 37:
            line.skip(piece)
        else:
            given.append(line(piece, 0))
    assert len(given) == 73
    np.testing.assert_array_equal(given[-1], sound[-PIECE:])
    assert line.delay == 0
    steepest = np.abs(np.diff(sound.astype(np.int32))).max()
    assert np.abs(np.diff(np.concatenate(given).astype(np.int32))).max() < 1.5 * steepest


def test_what_is_kept_does_not_grow_and_the_delay_is_held_in_its_limits() -> None:
    line = DelayLine(PIECE, 1000)
    for piece in tone(500).reshape(-1, PIECE):
        line(piece, 50_000)
    assert line.delay == 1000
    assert len(line._kept) == 1000 + PIECE
    line(np.zeros(PIECE, np.int16), -5)
    assert line.delay == 0
    with pytest.raises(ValueError, match=r"a piece is \(480,\) samples, got \(481,\)"):
        line(np.zeros(481, np.int16), 0)


def decided(in_step: InStep, age_ms: float | None, path_ms: float, pieces: int = 200) -> float:
    """After 2 s of pieces that are 2 ms more or less on their way."""
    hold = 0.0
    for number in range(pieces):
        hold = in_step(age_ms, path_ms + 2 * (number % 3 - 1))
    return hold


def test_sound_is_held_back_for_what_it_is_not_on_its_way_anyway() -> None:
    in_step = InStep()
    assert decided(in_step, None, 45) == 0
    assert decided(in_step, 120, 45) == pytest.approx(75, abs=2)
    assert in_step.to_leave_out_ms() == 0


def test_it_follows_more_than_15_ms_and_leaves_less_alone() -> None:
    in_step = InStep()
    first = decided(in_step, 120, 45)
    assert decided(in_step, 120 + FOLLOW_MS - 1, 45) == first
    assert decided(in_step, 120 - FOLLOW_MS + 1, 45) == first
    assert decided(in_step, 136, 45) == pytest.approx(91, abs=2)
    assert decided(in_step, 200, 45) == pytest.approx(155, abs=2)
    # the way of the sound itself counts as well
    assert decided(in_step, 200, 80) == pytest.approx(120, abs=2)


def test_a_sound_that_is_too_late_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0]
    monkeypatch.setattr(clock, "now_ns", lambda: now[0])
    in_step = InStep()
    assert decided(in_step, 30, 90) == 0
    assert in_step.to_leave_out_ms() == 0  # it may yet come right by itself
    tried = []
    for second in range(60):
        now[0] = second * 1_000_000_000
        if left_out := in_step.to_leave_out_ms():
            tried.append(second)
            assert left_out == pytest.approx(60, abs=3)
    # it did not help: less and less often
    assert tried == [3, 9, 21, 45]
    # now it did: the next time it is tried as soon as at first
    assert decided(in_step, 30, 20) == pytest.approx(10, abs=2)
    now[0] = 47 * 1_000_000_000
    assert in_step.to_leave_out_ms() == 0
    assert decided(in_step, 30, 90) == 0
    now[0] = 48 * 1_000_000_000
    assert in_step.to_leave_out_ms() > 0
    assert decided(in_step, 30, 20) == pytest.approx(10, abs=2)
    now[0] = 500 * 1_000_000_000
    assert in_step.to_leave_out_ms() == 0
    assert decided(in_step, 30, 90) == 0
    now[0] += 4 * 1_000_000_000
    assert in_step.to_leave_out_ms() > 0


def test_one_slow_piece_changes_nothing() -> None:
    in_step = InStep()
    before = decided(in_step, 150, 40)
    assert decided(in_step, 150, 400, pieces=10) == before


def status(seconds: float, age_ms: float | None) -> Status:
    return Status(seconds, 30.0, age_ms, face=True, camera=True, dropped=0, slowest=None)


def test_elsewhere_the_delay_to_set_is_told_and_told_again_when_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    advice = audible.Advice()
    with caplog.at_level(logging.INFO, "avatar.audio"):
        for seconds, age in ((1, 300), (6, None), (7, 63), (8, 70), (9, 80), (10, 79)):
            advice(status(seconds, age))
    assert [record.getMessage() for record in caplog.records] == [
        "your voice is earlier than the picture: delay the microphone by 60 ms to be in step",
        "your voice is earlier than the picture: delay the microphone by 80 ms to be in step",
    ]


def test_the_page_is_told_of_our_microphone_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(**options: bool) -> str:
        return audible.microphone(argparse.Namespace(**options))

    monkeypatch.setattr(sys, "platform", "linux")
    assert named(audio=True) == "Livehead Microphone"
    assert named(audio=False) == named() == ""
    monkeypatch.setattr(sys, "platform", "darwin")
    assert named(audio=True) == ""


def test_a_microphone_without_audio_is_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    picture = tmp_path / "me.png"
    picture.touch()
    assert main(["run", str(picture), "--output", "null", "--no-page", "--microphone", "x"]) == 1
    assert "--microphone is for --audio" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="the message is that of Linux")
def test_without_a_sound_server_the_reason_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    from avatar.audio import Carrier
    from avatar.errors import AudioError

    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", f"unix:{tmp_path}/nothing")
    with pytest.raises(AudioError, match="there is no PipeWire or PulseAudio"):
        Carrier()
