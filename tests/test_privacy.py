"""Nothing that a user starts makes a connection: the system calls of whole runs, as strace sees them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from avatar.records import U8

pytestmark = pytest.mark.usefixtures("face_landmarker_path", "selfie_segmenter_path")

NETWORK = re.compile(r"AF_INET6?\b|AF_NETLINK|sin6?_addr|htons\(")
"""An address of a network, or the question which networks there are, which resolvers begin with."""


def trace(tmp_path: Path, *command: str) -> tuple[str, str]:
    """The network calls of a program and its threads and children, and what it told on stderr."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    calls = tmp_path / "calls"
    # Some packages are silent only where CI is set.
    surroundings = {name: value for name, value in os.environ.items() if name != "CI"}
    done = subprocess.run(
        [strace, "-f", "-qq", "-e", "trace=network", "-o", str(calls), *command],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
        env=surroundings,
        cwd=Path(__file__).resolve().parents[1],
    )
    if "ptrace" in done.stderr and not done.stdout:
        pytest.skip(f"strace may not trace here: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr
    return calls.read_text(encoding="utf-8", errors="replace"), done.stderr


def connections(calls: str) -> list[str]:
    """The calls that have to do with a network; sockets within the machine have not."""
    return [line for line in calls.splitlines() if NETWORK.search(line)]


def avatar(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "avatar.cli.main", *map(str, arguments)]


def assert_mediapipe_stays_out(setup: str, call: str, *arguments: str) -> None:
    """Run `setup` in a new Python, then `call`, whose value is false when all went well."""
    code = f"import sys\n{setup}\nfailed = {call}\nsys.exit(failed or ('mediapipe' in sys.modules and 99))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_connection_would_be_seen(tmp_path: Path) -> None:
    code = "import socket\ntry: socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError: pass"
    calls, _ = trace(tmp_path, sys.executable, "-c", code)
    assert connections(calls)
    looked_up = "import socket\ntry: socket.getaddrinfo('play.googleapis.com', 443)\nexcept OSError: pass"
    calls, _ = trace(tmp_path, sys.executable, "-c", looked_up)
    assert connections(calls)


def test_run_makes_no_connection(tmp_path: Path, astronaut: U8, carphone_path: Path) -> None:
    Image.fromarray(astronaut).save(tmp_path / "astronaut.png")
    camera = ("--camera", carphone_path, "--output", "null", "--seconds", 2, "--no-page")
    calls, told = trace(tmp_path, *avatar("run", tmp_path / "astronaut.png", *camera, "--json"))
    assert connections(calls) == []
    assert "no face was seen" not in told


def test_the_control_page_listens_to_this_machine_alone(tmp_path: Path, astronaut: U8) -> None:
    Image.fromarray(astronaut).save(tmp_path / "astronaut.png")
    camera = ("--camera", tmp_path / "astronaut.png", "--output", "null", "--seconds", 1)
    calls, told = trace(tmp_path, *avatar("run", tmp_path / "astronaut.png", *camera))
    assert "Control page: http://127.0.0.1:" in told
    made = connections(calls)
    addresses = {found for line in made for found in re.findall(r'inet_addr\("([^"]+)"\)', line)}
    assert addresses == {"127.0.0.1"}
    assert [line for line in made if " connect(" in line or "sendto(" in line or "AF_NETLINK" in line] == []
    assert any(" listen(" in line for line in calls.splitlines())


def test_a_call_asks_nobody(tmp_path: Path, astronaut: U8, carphone_path: Path) -> None:
    """It waits for a guest on this computer, and looks up its addresses; nothing is sent to anywhere."""
    Image.fromarray(astronaut).save(tmp_path / "astronaut.png")
    quiet = ("--microphone", "none", "--speaker", "none", "--no-window", "--seconds", 2)
    calls, _ = trace(tmp_path, *avatar("call", tmp_path / "astronaut.png", "--camera", carphone_path, *quiet))
    assert any("listen(" in line for line in calls.splitlines())
    sent = [line for line in connections(calls) if re.search(r"\b(connect|sendto|sendmsg|sendmmsg)\(", line)]
    assert [line for line in sent if "AF_NETLINK" not in line] == []
    assert [
        line
        for line in connections(calls)
        if "bind(" in line and "127.0.0.1" not in line and "NETLINK" not in line
    ] == []


def test_compile_makes_no_connection(tmp_path: Path) -> None:
    calls, _ = trace(tmp_path, *avatar("compile", "live"))
    assert connections(calls) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "{picture}", "--camera", "{clip}", "--output", "null", "--seconds", "1"),
        ("animate", "{picture}", "{clip}", "-o", "{folder}/out.mp4", "--generator", "warp"),
        ("record-motion", "{clip}", "-o", "{folder}/out.motion", "--seconds", "1"),
        ("enroll", "{picture}", "-o", "{folder}/out.avatar"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_mediapipe_is_not_loaded(
    arguments: tuple[str, ...], tmp_path: Path, astronaut: U8, carphone_path: Path
) -> None:
    picture = tmp_path / "astronaut.png"
    Image.fromarray(astronaut).save(picture)
    filled = [part.format(picture=picture, clip=carphone_path, folder=tmp_path) for part in arguments]
    assert_mediapipe_stays_out("from avatar.cli.main import main", "main(sys.argv[1:])", *filled)


def test_mediapipe_is_not_loaded_to_prepare_clips(tmp_path: Path, carphone_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    shutil.copy(carphone_path, tmp_path / "clips" / "one.mp4")
    assert_mediapipe_stays_out(
        "from pathlib import Path\n"
        "from avatar.train.data.layout import clips_of\n"
        "from avatar.train.data.prepare import PrepareOptions, prepare\n"
        "def make(folder):\n"
        "    clips, options = clips_of(folder / 'clips'), PrepareOptions(frames=8, sources=2)\n"
        "    return prepare(clips, folder / 'cache', options, workers=1, progress=print)[1]",
        "make(Path(sys.argv[1]))",
        str(tmp_path),
    )
