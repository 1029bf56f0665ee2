"""What the command does about a mistake of its own."""

from __future__ import annotations

import pytest

from avatar import weights
from avatar.cli import main

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no such\n  thing")

    monkeypatch.setattr(weights, "manifest", fail)


def test_an_error_nobody_thought_of_is_one_line(capsys: Capture) -> None:
    assert main.main(["fetch-models"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("avatar: internal error: RuntimeError: ")
    assert captured.err.endswith(" (--verbose shows where)\n")
    assert captured.err.count("\n") == 1


def test_verbose_shows_where_it_came_from(capsys: Capture) -> None:
    assert main.main(["fetch-models", "--verbose"]) == 1
    trace, last = capsys.readouterr().err.rstrip().rsplit("\n", 1)
    assert trace.startswith("Traceback ")
    assert "in fail" in trace
    assert last.startswith("avatar: internal error: RuntimeError: ")
    assert "--verbose" not in last
