"""Carries the voice from the microphone to the one that meeting programs use, in step with the picture."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from avatar.audio.delay_line import DelayLine
from avatar.audio.in_step import InStep
from avatar.audio.server import (
    NAME,
    RATE,
    STREAM,
    VirtualMicrophone,
    Watch,
    check_streams,
    which_microphone,
)
from avatar.errors import AudioError

PIECE = RATE // 100
"""Samples carried at once: 10 ms."""
PIECE_MS = 10.0
READY = 4 * PIECE
"""So much waits at the sink: this program may be held up so long before anybody hears it."""
MOST_S = 2.0
"""Longest delay."""
LOOK_EVERY = 50
"""Pieces between two looks at what is listened to."""
GONE = 3
"""So many looks in a row that found it listening to itself mean that there is nothing else."""
WAIT_S = 1.0
SAMPLE_BYTES = 2

_log = logging.getLogger(__name__)


class Carrier:
    """A thread that carries the sound; makes the virtual microphone, and takes it away when closed.

    When the sound fails in the middle of a run, that is told, and the picture goes on.

    Args:
        microphone: name of the real one; None is the system's.
        on_failure: told why, from the thread, when the sound fails.

    Attributes:
        microphone: the server's name of the one it listens to.
        hold_ms: by how much the sound is held back now.

    Raises:
        AudioError: there is no sound server, no microphone, or another run has the virtual one.
    """

    def __init__(
        self, microphone: str | None = None, on_failure: Callable[[str], None] = lambda reason: None
    ) -> None:
        self.microphone = which_microphone(microphone)
        self._on_failure = on_failure
        self.hold_ms = 0.0
        self._age_ms: float | None = None
        self._ending = threading.Event()
        with contextlib.ExitStack() as opened:
            self._virtual = VirtualMicrophone()
            opened.callback(self._virtual.close)
            self._heard = _stream(record_from=self.microphone)
            opened.callback(self._heard.close)
            self._said = _stream(play_to=self._virtual.sink)
            opened.callback(self._said.close)
            check_streams(self.microphone)
            self._opened = opened.pop_all()
        self._thread = threading.Thread(target=self._work, name="sound", daemon=True)
        self._thread.start()

    def tell(self, age_ms: float | None) -> None:
        """Say how old the picture is when it is handed over [ms]; None: there is none. From any thread."""
        self._age_ms = age_ms

    def close(self) -> None:
        """Take the virtual microphone away, and let go of the real one."""
        self._ending.set()
        self._thread.join(WAIT_S)
        if self._thread.is_alive():
            # A microphone that gives nothing holds its reader for ever, and must not be closed under him.
            self._virtual.close()
        else:
            # The streams first: the server moves them to the loudspeaker when their sink goes.
            self._opened.close()

    def _work(self) -> None:
        import pasimple

        try:
            with contextlib.closing(Watch(self.microphone)) as watch:
                self._carry(watch)
        except (pasimple.PaSimpleError, AudioError) as error:
            if not self._ending.is_set():
                reason = f"the {NAME} is silent from now on: {error}"
                _log.warning("%s", reason)
                self._on_failure(reason)

    def _carry(self, watch: Watch) -> None:
        line, in_step = DelayLine(PIECE, round(MOST_S * RATE)), InStep()
        pieces, leave_out, astray = 0, 0, 0
        while not self._ending.is_set():
            piece = np.frombuffer(self._heard.read(PIECE * SAMPLE_BYTES), np.int16)
            pieces += 1
            if pieces % LOOK_EVERY == 0:
                astray = 0 if _listens(watch) else astray + 1
                if astray == GONE:
                    _log.warning("the microphone %s is gone", self.microphone)
            if astray:
                piece = np.zeros(PIECE, np.int16)
            if leave_out > 0:
                leave_out -= 1
                line.skip(piece)
                continue
            path_ms = (self._heard.get_latency() + self._said.get_latency()) / 1000 + PIECE_MS
            self.hold_ms = in_step(self._age_ms, path_ms)
            self._said.write(line(piece, round(self.hold_ms * RATE / 1000)).tobytes())
            leave_out = round(in_step.to_leave_out_ms() / PIECE_MS)


def _listens(watch: Watch) -> bool:
    """Whether it listens to what it should; a server that cannot say so now is asked again."""
    try:
        return watch()
    except AudioError as error:
        _log.debug("%s", error)
        return False


def _stream(*, record_from: str | None = None, play_to: str | None = None) -> Any:
    """A stream of 16-bit mono; AudioError where the server refuses it."""
    import pasimple

    recording = record_from is not None
    try:
        return pasimple.PaSimple(
            pasimple.PA_STREAM_RECORD if recording else pasimple.PA_STREAM_PLAYBACK,
            pasimple.PA_SAMPLE_S16LE,
            1,
            RATE,
            app_name="livehead",
            stream_name=STREAM,
            device_name=record_from if recording else play_to,
            tlength=READY * SAMPLE_BYTES,
            minreq=PIECE * SAMPLE_BYTES,
            fragsize=PIECE * SAMPLE_BYTES,
        )
    except pasimple.PaSimpleError as error:
        raise AudioError(f"the sound server refuses {record_from or play_to}: {error}") from error
