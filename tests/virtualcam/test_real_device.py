"""Our virtual camera on real devices of v4l2loopback, in an emulated machine: `make test-virtualcam`.

Debian's kernel and module, pyvirtualcam's own backend; what is watched with is OpenCV, PyAV and ffmpeg. An
emulated machine says nothing about speed.
"""

from __future__ import annotations

from typing import Any

import pytest

LEVELS = 3.0


def scene(facts: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = facts[name]
    print(name, found)
    assert "error" not in found, found["error"]
    return found


def test_the_devices_are_found(facts: dict[str, Any]) -> None:
    seen = scene(facts, "listed")
    assert seen["devices"] == [["/dev/video0", "Avatar"], ["/dev/video1", "Spare"], ["/dev/video2", "Shared"]]
    assert seen["exclusive"] == [True, True, False]


@pytest.mark.parametrize("by", ["opencv", "pyav", "ffmpeg"])
def test_every_frame_comes_with_the_right_colours(facts: dict[str, Any], by: str) -> None:
    seen = scene(facts, by)
    assert seen["lost"] == []
    assert seen["in_order"]
    assert seen["frames"] >= 15
    assert seen["off_by"] <= LEVELS


def test_the_last_frame_is_a_card_and_a_meeting_outlives_a_restart(facts: dict[str, Any]) -> None:
    seen = scene(facts, "last_frame")
    assert seen["from_card"] < LEVELS
    assert seen["seen_after_restart"]


def test_it_is_told_whether_somebody_watches(facts: dict[str, Any]) -> None:
    seen = scene(facts, "who_watches")
    assert (seen["before"], seen["meanwhile"], seen["after"]) == (False, True, False)


@pytest.mark.parametrize("device", ["exclusive", "shared"])
def test_who_watches_may_come_first(facts: dict[str, Any], device: str) -> None:
    assert scene(facts, "reader_first")[device]


def test_the_device_of_a_killed_program_works_again(facts: dict[str, Any]) -> None:
    seen = scene(facts, "killed")
    assert seen["fed"] == "fed"
    assert "/dev/video1" in seen["busy"]
    assert seen["works_again"]


def test_frames_of_another_size_are_refused_while_somebody_watches(facts: dict[str, Any]) -> None:
    seen = scene(facts, "another_size")
    assert "a program still takes frames of another kind from /dev/video0 (YU12:1280x720)" in seen["told"]
    assert seen["alone"] == [640, 480]


def test_the_program_rests_is_watched_and_ends_with_a_card(facts: dict[str, Any]) -> None:
    seen = scene(facts, "run")
    assert seen["rested"], seen["log"]
    assert seen["different"] >= 5, seen["log"]
    assert seen["from_card"] < LEVELS
    assert "Traceback" not in seen["log"]
    assert seen["status"] == 130
