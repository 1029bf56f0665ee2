"""What `pip install` brings: the wheel carries the program, the bench and the weights that are shipped."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from avatar import __version__, weights

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_wheel_holds_all_that_is_needed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"avatar/__main__.py", "avatar/py.typed", "bench/latency.py"} <= names
    assert "avatar/_weights/manifest.toml" in names
    shipped = {entry.file for entry in weights.manifest().values() if entry.kind == "shipped"}
    assert {f"avatar/_weights/{file}" for file in shipped} <= names
    assert not [name for name in names if name.startswith(("tests/", "weights/"))]


def test_unpacked_wheel_finds_its_weights(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    program = (
        "from avatar.weights import weights_dir; import avatar; print(avatar.__version__, weights_dir())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [__version__, str(tmp_path / "avatar" / "_weights")]
