"""The facts that the machine with the real v4l2loopback gives; it is started once for all tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from avatar.cli.portrait import enroll_pixels
from avatar.demo import demo_portrait
from avatar.identity.file import save_identity
from avatar.weights import cache_dir, resolve
from virtualcam import machine

CHECKOUT = Path(__file__).resolve().parents[2]
FOLDER = CHECKOUT / ".virtualcam"
"""Where the machine is built, and kept."""
LONGEST_S = 540

_JOB = """\
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/run TMPDIR=/run PYTHONDONTWRITEBYTECODE=1 PYTHONFAULTHANDLER=1 AVATAR_CACHE='{cache}'
export PYTHONPATH='{checkout}:{checkout}/tests'
cd '{checkout}'
'{python}' -m virtualcam.guest /run/out /run/out/astronaut.avatar '{motion}'
"""


@pytest.fixture(scope="session")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """scene -> what was seen, see `guest`."""
    try:
        machine.build(FOLDER)
    except machine.MissingError as error:
        pytest.skip(str(error))
    out = tmp_path_factory.mktemp("machine")
    save_identity(enroll_pixels(demo_portrait(), name="astronaut"), out / "astronaut.avatar")
    job = _JOB.format(
        cache=cache_dir(), checkout=CHECKOUT, python=sys.executable, motion=resolve("demo_motion")
    )
    print(machine.run(FOLDER, job, out, seconds=LONGEST_S))
    found: dict[str, Any] = json.loads((out / "facts.json").read_text())
    return found
