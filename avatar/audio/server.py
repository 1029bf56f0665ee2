"""The sound server of a Linux desktop, PipeWire or PulseAudio: its microphones, and one more of ours."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from avatar.errors import AudioError

NAME = "Livehead Microphone"
"""As meeting programs list it."""
RATE = 48_000
"""Samples a second."""

STREAM = "voice in step with the picture"
"""What our streams are called, as mixers list them."""

_SINK = "livehead_sound"
_SOURCE = "livehead_microphone"
_OURS = (_SOURCE, f"{_SINK}.monitor")
_NO_SERVER = "there is no PipeWire or PulseAudio to make a microphone with"
_MODULES = (
    # Where we play to. Meeting programs hide what can be recorded of it, as if it were a loudspeaker's sound,
    (
        "module-null-sink",
        f"sink_name={_SINK} rate={RATE} channels=1 channel_map=mono "
        "sink_properties=\"device.description='Livehead (not to be listened to)'\"",
    ),
    # which this makes a microphone.
    (
        "module-remap-source",
        f"source_name={_SOURCE} master={_SINK}.monitor channels=1 channel_map=mono "
        f"source_properties=\"device.description='{NAME}'\"",
    ),
)


@contextlib.contextmanager
def sound_server() -> Iterator[Any]:
    """A connection to the sound server, as `pulsectl.Pulse`; what it refuses inside is an AudioError, too.

    Raises:
        AudioError: there is none.
    """
    try:
        import pulsectl
    except (ImportError, OSError) as error:
        raise AudioError(f"{_NO_SERVER}: {error}") from error
    try:
        with pulsectl.Pulse("livehead") as server:
            yield server
    except pulsectl.PulseError as error:
        raise AudioError(f"{_NO_SERVER}, or it refuses: {error}") from error


def has_server() -> bool:
    """Whether this system can make a microphone of ours."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        with sound_server():
            return True
    except AudioError:
        return False


def which_microphone(wanted: str | None) -> str:
    """The server's name of the microphone that is meant.

    Args:
        wanted: that name, or the one that programs show; None: the one the system takes by itself. That is
            never our own, which would hear itself, and never the sound of a loudspeaker.

    Raises:
        AudioError: there is none; the message lists those there are.
    """
    with sound_server() as server:
        sources = [source for source in server.source_list() if source.name not in _OURS]
        usual = server.server_info().default_source_name
    if wanted is not None:
        found = [source.name for source in sources if wanted in (source.name, source.description)]
    else:
        microphones = [source for source in sources if source.proplist.get("device.class") != "monitor"]
        found = sorted((source.name for source in microphones), key=lambda name: name != usual)
    if found:
        return str(found[0])
    there = ", ".join(f"{source.name} ({source.description})" for source in sources) or "nothing"
    what = "there is no microphone" if wanted is None else f"there is no microphone {wanted!r}"
    raise AudioError(f"{what}; the sound server has: {there}")


def hears_itself() -> bool:
    """Whether our stream listens to our own microphone: servers move it there when the real one is unplugged.

    Raises:
        AudioError: there is no server any more.
    """
    with sound_server() as server:
        ours = {source.index for source in server.source_list() if source.name in _OURS}
        return any(one.source in ours for one in server.source_output_list() if one.name == STREAM)


class VirtualMicrophone:
    """A microphone that any program can choose, and that gives what is played to its sink.

    One that a killed run left behind is taken away first. `close` takes this one away.

    Attributes:
        sink: where to play to, by the server's name.

    Raises:
        AudioError: the server has none for us, or another run has it.
    """

    def __init__(self) -> None:
        self.sink = _SINK
        self._loaded: list[int] = []
        with sound_server() as server:
            _remove_leftovers(server)
            try:
                for name, options in _MODULES:
                    self._loaded.append(server.module_load(name, options))
            except BaseException:
                self._unload(server)
                raise

    def close(self) -> None:
        """Take it away; no error if the server did so already."""
        with contextlib.suppress(AudioError), sound_server() as server:
            self._unload(server)

    def _unload(self, server: Any) -> None:
        while self._loaded:
            _unload(server, self._loaded.pop())


def _remove_leftovers(server: Any) -> None:
    sinks = {sink.index for sink in server.sink_list() if sink.name == _SINK}
    if any(stream.sink in sinks for stream in server.sink_input_list()):
        raise AudioError(f"another run has the {NAME}; end that one first")
    for module in reversed(server.module_list()):
        if (module.name, module.argument) in _MODULES:
            _unload(server, module.index)


def _unload(server: Any, module: int) -> None:
    import pulsectl

    with contextlib.suppress(pulsectl.PulseOperationFailed):  # it is gone
        server.module_unload(module)
