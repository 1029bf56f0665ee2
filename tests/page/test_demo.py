"""`avatar demo` as a newcomer starts it: in a terminal, with a screen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from page.conftest import Opened, until

ROOT = Path(__file__).resolve().parents[2]
READY_S = 10.0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled before", "first start"])
def test_the_portrait_moves_within_ten_seconds(
    slowness: float, window: Opened, tmp_path: Path, compiled: bool
) -> None:
    surroundings = {
        **os.environ,
        "AVATAR_DATA": str(tmp_path / "data"),
        "DISPLAY": ":99",
        "BROWSER": "true",  # a program that does nothing: this test opens the page itself
    }
    if not compiled:
        # Model files are there after set-up; what this computer compiles is not.
        from avatar.weights import cache_dir

        (tmp_path / "cache").mkdir()
        for file in cache_dir().iterdir():
            if file.is_file():
                (tmp_path / "cache" / file.name).symlink_to(file)
        surroundings["AVATAR_CACHE"] = str(tmp_path / "cache")
    master, slave = os.openpty()
    begun = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "avatar", "demo"],
        stdin=slave,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=surroundings,
    )
    try:
        assert child.stderr is not None
        found = None
        while found is None:
            line = child.stderr.readline()
            assert line, "it ended"
            found = re.search(r"Control page: (\S+)", line)
        page = window.visit(found[1])
        picture = "document.getElementById('avatar').toDataURL()"
        until(page, f"{picture} !== {page.evaluate(picture)!r}")
        took = time.monotonic() - begun
        print(f"the portrait moved {took:.1f} s after the start, on a computer {slowness:.1f} times as slow")
        assert took <= READY_S * slowness
        until(page, "document.getElementById('busy').textContent === ''", 60)
        os.write(master, b"q\n")
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        if child.stderr is not None:
            child.stderr.close()
        os.close(master)
        os.close(slave)
