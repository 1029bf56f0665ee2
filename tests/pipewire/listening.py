"""What the tests play into the desk's microphone, and what they hear from any microphone, and when."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pasimple
import pulsectl

from avatar.audio.delay_line import I16
from avatar.tools import clock

RATE = 48_000
PIECE = 240
"""5 ms."""
BEEP_S = 0.02
LOUD = 0.25
QUIET_S = 0.2
"""After a beep: what comes within it is its own end."""


def beep() -> I16:
    """20 ms of 1 kHz."""
    wave = 0.7 * np.sin(2 * np.pi * 1000 * np.arange(round(BEEP_S * RATE)) / RATE)
    return np.asarray(np.rint(32767 * wave), np.int16)


def _stream(direction: int, device: str) -> Any:
    return pasimple.PaSimple(
        direction,
        pasimple.PA_SAMPLE_S16LE,
        1,
        RATE,
        app_name="the test",
        device_name=device,
        stream_name=f"the test at {device}",
        tlength=8 * PIECE,
        minreq=2 * PIECE,
        fragsize=2 * PIECE,
    )


def _wait_until_connected(device: str) -> None:
    """Until our stream is where it belongs: at first the server may connect it to something else."""
    name, end = f"the test at {device}", time.monotonic() + 5.0
    with pulsectl.Pulse("the test") as server:
        while time.monotonic() < end:
            sources = {one.index: one.name for one in server.source_list()}
            sinks = {one.index: one.name for one in server.sink_list()}
            at = [sources.get(one.source) for one in server.source_output_list() if one.name == name]
            at += [sinks.get(one.sink) for one in server.sink_input_list() if one.name == name]
            if set(at) == {device}:
                return
            time.sleep(0.05)
    raise TimeoutError(f"the server does not connect us with {device}")


class Speaker:
    """Plays silence to a sink, and a beep when told."""

    def __init__(self, sink: str) -> None:
        self._stream = _stream(pasimple.PA_STREAM_PLAYBACK, sink)
        _wait_until_connected(sink)
        self._due = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._play, name="speaker")
        self._thread.start()

    def beep(self) -> None:
        """Say a beep now, which is some 50 ms before it is heard."""
        self._due.set()

    def _play(self) -> None:
        silence, sound = bytes(2 * PIECE), beep().tobytes()
        while not self._ending.is_set():
            due = self._due.is_set()
            if due:
                self._due.clear()
            self._stream.write(sound if due else silence)

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join()
        self._stream.close()


class Ear:
    """Listens to a microphone, and notes when each beep begins.

    Attributes:
        heard_ns: when, on our clock.
    """

    def __init__(self, microphone: str) -> None:
        self.heard_ns: list[int] = []
        self._stream = _stream(pasimple.PA_STREAM_RECORD, microphone)
        _wait_until_connected(microphone)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"ear at {microphone}")
        self._thread.start()

    def _listen(self) -> None:
        while not self._ending.is_set():
            samples = np.frombuffer(self._stream.read(2 * PIECE), np.int16)
            # the end of the piece was in the air so long ago
            end_ns = clock.now_ns() - 1000 * self._stream.get_latency()
            loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > LOUD * 32767)
            if loud.size:
                at_ns = end_ns - round((PIECE - int(loud[0])) / RATE * 1e9)
                if not self.heard_ns or at_ns - self.heard_ns[-1] > QUIET_S * 1e9:
                    self.heard_ns.append(at_ns)

    def close(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join()
        self._stream.close()
