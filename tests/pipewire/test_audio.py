"""The voice in step with the picture, with a real sound server (make test-pipewire)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pulsectl
import pytest

from avatar.audio import NAME, Carrier, VirtualMicrophone, which_microphone
from avatar.cli.checkup import _sound
from avatar.errors import AudioError
from pipewire.listening import Ear, Speaker

# The name of the server is a parameter of the fixture `server`, and of all that rests on it.
pytestmark = pytest.mark.parametrize("server", ["pipewire", "pulseaudio"], indirect=True)

SOURCE = "livehead_microphone"
NEAR_MS = 20.0
SETTLING_S = 6.0
"""PulseAudio's null sinks, of which the desk is one, give 2 s of sound at once at first."""
HERE = Path(__file__).parent


def sources() -> dict[str, str]:
    """name -> what kind of device, as any program sees it."""
    listed = subprocess.run(
        ["pactl", "--format=json", "list", "sources"], check=True, capture_output=True, text=True
    )
    return {one["name"]: one["properties"].get("device.class", "") for one in json.loads(listed.stdout)}


def sinks() -> str:
    return subprocess.run(
        ["pactl", "list", "short", "sinks"], check=True, capture_output=True, text=True
    ).stdout


def wait_for(true: Callable[[], bool], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def added_ms(microphone: str, beeps: int, age_ms: float | None, carrier: Carrier) -> list[float]:
    """By how much later each beep comes out of the virtual microphone than it went into the real one."""
    carrier.tell(age_ms)
    time.sleep(2.0)
    with closing(Ear(microphone)) as real, closing(Ear(SOURCE)) as virtual:
        with closing(Speaker("desk")) as speaker:
            time.sleep(1.0)
            for _ in range(beeps):
                speaker.beep()
                time.sleep(0.7)
        time.sleep(1.0)
    assert len(real.heard_ns) == len(virtual.heard_ns) == beeps
    return [(out - into) / 1e6 for into, out in zip(real.heard_ns, virtual.heard_ns, strict=True)]


def test_the_microphone_is_one_and_goes_away(desk_microphone: str) -> None:
    assert SOURCE not in sources()
    with closing(Carrier()) as carrier:
        assert carrier.microphone == desk_microphone
        wait_for(lambda: SOURCE in sources())
        # meeting programs do not list monitors
        assert sources()[SOURCE] != "monitor"
        listed = subprocess.run(["pactl", "list", "sources"], check=True, capture_output=True, text=True)
        assert f"Description: {NAME}" in listed.stdout
        with pytest.raises(AudioError, match="another run has the Livehead Microphone"):
            Carrier()
        assert SOURCE in sources()
    wait_for(lambda: SOURCE not in sources())
    assert "livehead" not in sinks()


def test_microphones_by_name(desk_microphone: str) -> None:
    assert which_microphone("desk_microphone") == desk_microphone
    assert which_microphone("desk.monitor") == "desk.monitor"
    with pytest.raises(AudioError, match=r"no microphone 'nothing'; the sound server has: .*desk_microphone"):
        which_microphone("nothing")


def test_without_a_microphone_nothing_is_left(server: Path) -> None:
    with pytest.raises(AudioError, match="there is no microphone; the sound server has"):
        Carrier()
    assert SOURCE not in sources()


def test_sound_is_as_late_as_the_picture_and_follows_it(desk_microphone: str) -> None:
    found = {}
    with closing(Carrier(desk_microphone)) as carrier, closing(Ear(SOURCE)):
        carrier.tell(150.0)
        time.sleep(SETTLING_S)
        for age_ms in (150.0, 180.0, 400.0, 110.0):
            found[age_ms] = added_ms(desk_microphone, 4, age_ms, carrier)
    print("added [ms]:", {age: [round(one, 1) for one in ones] for age, ones in found.items()})
    for age_ms, ones in found.items():
        assert np.median(ones) == pytest.approx(age_ms, abs=NEAR_MS)


def test_what_a_killed_run_left_is_taken_away(desk_microphone: str) -> None:
    program = (
        "import time; from avatar.audio import Carrier\n"
        "carrier = Carrier('desk_microphone'); print('there', flush=True); time.sleep(60)"
    )
    killed = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    with killed:
        assert killed.stdout is not None and killed.stdout.readline() == b"there\n"
        os.kill(killed.pid, signal.SIGKILL)
    wait_for(lambda: SOURCE in sources())
    time.sleep(0.5)
    with closing(VirtualMicrophone()):
        wait_for(lambda: list(sources()).count(SOURCE) == 1)
        assert sinks().count("livehead_sound") == 1
    wait_for(lambda: "livehead" not in sinks())


def test_without_its_microphone_it_does_not_hear_itself(
    desk_microphone: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Carrier(desk_microphone)), closing(Ear(SOURCE)) as ear:
        with closing(Speaker("desk")) as speaker:
            time.sleep(1.0)
            speaker.beep()
            wait_for(lambda: len(ear.heard_ns) == 1)
        unload("module-remap-source source_name=desk_microphone")
        wait_for(lambda: "the microphone desk_microphone is gone" in caplog.text)
        heard = len(ear.heard_ns)
        time.sleep(2.0)
        assert len(ear.heard_ns) == heard


def test_it_listens_on_when_its_own_microphone_is_made_the_usual_one(desk_microphone: str) -> None:
    with closing(Carrier(desk_microphone)), closing(Ear(SOURCE)) as ear, closing(Speaker("desk")) as speaker:
        subprocess.run(["pactl", "set-default-source", SOURCE], check=True)
        assert which_microphone(None) == desk_microphone
        time.sleep(SETTLING_S)
        for _ in range(3):
            speaker.beep()
            time.sleep(0.7)
        assert len(ear.heard_ns) == 3


def test_what_other_programs_play_into_it_goes_to_the_loudspeaker(desk_microphone: str) -> None:
    def plays_to() -> str | None:
        with pulsectl.Pulse("the test") as server:
            names = {sink.index: sink.name for sink in server.sink_list()}
            return next((names[one.sink] for one in server.sink_input_list() if one.name == "stranger"), None)

    play = ["pacat", "--playback", "--device=livehead_sound", "--stream-name=stranger", "/dev/zero"]
    with closing(Carrier(desk_microphone)), subprocess.Popen(play) as stranger:
        try:
            wait_for(lambda: plays_to() == "desk")
        finally:
            stranger.kill()


def unload(which: str) -> None:
    listed = subprocess.run(["pactl", "list", "short", "modules"], check=True, capture_output=True, text=True)
    numbers = [line.split("\t")[0] for line in listed.stdout.splitlines() if which in line.replace("\t", " ")]
    subprocess.run(["pactl", "unload-module", numbers[0]], check=True)


def test_the_doctor_knows(desk_microphone: str) -> None:
    found = {finding.name: finding for finding in _sound()}
    assert "ulse" in found["server"].text  # "pulseaudio", or "PulseAudio (on PipeWire 0.3.65)"
    assert found["--audio"].text == "can delay desk_microphone"
