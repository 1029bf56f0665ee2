"""Where sound comes from and where it goes: microphone, sound file, loudspeaker."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from avatar.call.sound import PIECE, RATE, Cutter, SoundFeed, mono
from avatar.errors import CallError, VideoError
from avatar.tools import clock
from avatar.tools.media import open_media
from avatar.tools.pacer import Pacer

PORTAUDIO_HINT = "sudo apt-get install libportaudio2"
HEARD_PIECES = 10
"""Most that waits for the loudspeaker: 200 ms."""
READY_PIECES = 3
"""So much has to be there before it begins: arrival is not as even as hearing is."""


def _sounddevice() -> Any:
    """The package that knows microphones; CallError where it, or its library, is missing."""
    if (why := why_no_devices()) is not None:
        hint = f"on Debian and Ubuntu: {PORTAUDIO_HINT}"
        raise CallError(f"sound devices cannot be used here: {why} ({hint})")
    import sounddevice

    return sounddevice


def why_no_devices() -> str | None:
    """Why neither microphones nor loudspeakers can be used; None if those that there are can."""
    try:
        import sounddevice  # noqa: F401
    except (ImportError, OSError) as error:
        return str(error)
    return None


def _open(kind: str, which: str | None, callback: Any) -> Any:
    """A started stream of sounddevice; CallError if there is no such device."""
    sounddevice = _sounddevice()
    stream = sounddevice.InputStream if kind == "microphone" else sounddevice.OutputStream
    device = int(which) if which is not None and which.isdecimal() else which
    try:
        opened = stream(
            samplerate=RATE, blocksize=PIECE, device=device, channels=1, dtype="int16", latency="low",
            callback=callback,
        )  # fmt: skip
        opened.start()
    except (sounddevice.PortAudioError, ValueError) as error:
        name = "the default one" if which is None else repr(which)
        raise CallError(f"the {kind} ({name}) cannot be used: {error}; 'none' goes on without") from error
    return opened


class Microphone:
    """A microphone that fills a feed.

    Args:
        feed: who gets its sound.
        which: number or name of the device; None is the system's default.

    Raises:
        CallError: there is none, or it cannot be used.
    """

    def __init__(self, feed: SoundFeed, which: str | None = None) -> None:
        self._cut = Cutter(feed)
        self._stream = _open("microphone", which, self._take)

    def _take(self, samples: Any, count: int, when: Any, status: Any) -> None:
        waited_s = max(0.0, when.currentTime - when.inputBufferAdcTime - count / RATE)
        self._cut(np.asarray(samples[:, 0], np.int16), clock.now_ns() - round(waited_s * 1e9))

    def close(self) -> None:
        """Let go of the device."""
        self._stream.close()


class Loudspeaker:
    """Plays what the other side says. What it has no time for is left out: nothing piles up.

    Args:
        which: number or name of the device; None is the system's default.

    Raises:
        CallError: there is none, or it cannot be used.
    """

    def __init__(self, which: str | None = None) -> None:
        self._pieces: deque[Any] = deque(maxlen=HEARD_PIECES)
        self._ready = False
        self._feed = SoundFeed()
        self._pieces = self._feed.listen()
        self._cut = Cutter(self._feed)
        self._stream = _open("loudspeaker", which, self._give)

    def __call__(self, frame: AudioFrame) -> None:
        """Take sound as it comes from the other side."""
        self._cut(mono(frame), clock.now_ns())

    def _give(self, samples: Any, count: int, when: Any, status: Any) -> None:
        while len(self._pieces) > HEARD_PIECES:
            self._pieces.popleft()
        self._ready = len(self._pieces) >= (1 if self._ready else READY_PIECES)
        samples[:, 0] = self._pieces.popleft()[1] if self._ready else 0

    def close(self) -> None:
        """Let go of the device."""
        self._stream.close()


class SoundFile:
    """The sound of a file in the place of a microphone, again and again.

    Args:
        feed: who gets it.
        path: a sound or video file.

    Raises:
        VideoError: it cannot be read, or has no sound.
    """

    def __init__(self, feed: SoundFeed, path: Path) -> None:
        self._path, self._feed = path, feed
        with open_media(path) as container:
            if not container.streams.audio:
                raise VideoError(f"{path}: there is no sound in this file")
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._play, name="sound file", daemon=True)
        self._thread.start()

    def _play(self) -> None:
        pacer = Pacer(RATE / PIECE)
        while not self._ending.is_set():
            played = False
            for piece in self._read():
                if self._ending.wait(max(0.0, (pacer.deadline() - clock.now_ns()) / 1e9)):
                    return
                pacer.step()
                self._feed.put(clock.now_ns(), piece)
                played = True
            if not played:
                return

    def _read(self) -> Iterator[Any]:
        """Its pieces, once through; what cannot be decoded is the end."""
        pieces: deque[Any] = deque()
        collected = SoundFeed()
        cut = Cutter(collected)
        resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
        pieces = collected.listen()
        try:
            with open_media(self._path) as container:
                for frame in container.decode(container.streams.audio[0]):
                    for part in resampler.resample(frame):
                        samples = mono(part)
                        for begin in range(0, len(samples), PIECE):
                            cut(samples[begin : begin + PIECE], 0)
                            while pieces:
                                yield pieces.popleft()[1]
        except (av.error.FFmpegError, OSError, VideoError):
            return

    def close(self) -> None:
        """End, within a piece."""
        self._ending.set()
        self._thread.join(1.0)
