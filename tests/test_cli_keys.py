"""Keys in the terminal: letters with Enter, and nothing where no terminal is."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

import pytest

from avatar.cli.keys import Keys

if sys.platform == "win32":
    pytest.skip("Windows has no pseudo-terminals", allow_module_level=True)


@pytest.fixture
def terminal() -> Iterator[tuple[int, TextIO]]:
    """What a person types into, and the program's side of it."""
    master, slave = os.openpty()
    with os.fdopen(slave, encoding="utf-8") as stream:
        yield master, stream
    os.close(master)


def test_a_letter_and_enter_calls_its_action(terminal: tuple[int, TextIO]) -> None:
    master, stream = terminal
    pressed: list[str] = []
    ended = threading.Event()
    with Keys({"n": lambda: pressed.append("n"), "q": ended.set}, stream) as keys:
        assert keys.active
        os.write(master, b"n\nnn\nx\n\n N \nq\n")
        assert ended.wait(10)
    assert pressed == ["n", "n"]
    assert "keys" not in {thread.name for thread in threading.enumerate()}


def test_the_end_of_input_ends_it(terminal: tuple[int, TextIO]) -> None:
    master, stream = terminal
    with Keys({}, stream) as keys:
        os.write(master, b"\x04")  # Ctrl-D
        keys._thread.join(10)
        assert not keys._thread.is_alive()


def test_what_is_no_terminal_is_not_touched() -> None:
    ends = os.pipe()
    os.write(ends[1], b"q\n")
    with (
        os.fdopen(ends[0], encoding="utf-8") as stream,
        Keys({"q": lambda: pytest.fail("read")}, stream) as keys,
    ):
        assert not keys.active
        assert stream.readline() == "q\n"
    os.close(ends[1])
    closed = io.StringIO()
    closed.close()
    assert not Keys({}, closed).active


def test_a_program_without_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with Keys({}) as keys:
        assert not keys.active


BACKGROUND = """
import os, pty, sys, time

pid, master = pty.fork()
if pid == 0:
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)  # as a shell does for `avatar run ... &`
        from avatar.cli import keys
        if "blind" in sys.argv:
            keys._in_foreground = lambda descriptor: True  # it was a moment ago
        pressed = []
        with keys.Keys({"n": lambda: pressed.append("n")}) as listening:
            os.write(1, b"ready")
            time.sleep(1)
        os._exit(0 if listening.active and not pressed else 3)
    status = os.waitpid(job, os.WUNTRACED)[1]
    os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 4)
while b"ready" not in os.read(master, 1024):
    pass
os.write(master, b"n\\n")
status = os.waitpid(pid, 0)[1]
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 5)
"""


@pytest.mark.parametrize("how", ["seeing", "blind"])
def test_a_background_job_is_neither_stopped_nor_takes_what_is_typed(how: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BACKGROUND, how], timeout=60, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
