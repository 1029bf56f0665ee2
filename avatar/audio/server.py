"""The sound server of a Linux desktop, PipeWire or PulseAudio: its microphones, and one more of ours."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from avatar.errors import AudioError
from avatar.tools import clock

NAME = "Livehead Microphone"
"""As meeting programs list it."""
RATE = 48_000
"""Samples a second."""

WAIT_S = 2.0
"""So long the server may take to make or connect something,"""
STEP_S = 0.02
"""looked for so often."""
STREAM = "voice in step with the picture"
"""What our streams are called, as mixers list them."""

_SINK = "livehead_sound"
_SOURCE = "livehead_microphone"
_MONITOR = f"{_SINK}.monitor"
_OURS = (_SOURCE, _MONITOR)
_TRIES = 3
_NOT_SHOWN = f"the sound server does not show the {NAME} it was asked to make"
_NO_SERVER = "there is no PipeWire or PulseAudio to make a microphone with"
# Where we play to. Meeting programs hide what can be recorded of it, as if it were a loudspeaker's sound,
_SINK_MODULE = (
    "module-null-sink",
    f"sink_name={_SINK} rate={RATE} channels=1 channel_map=mono "
    "sink_properties=\"device.description='Livehead (not to be listened to)'\"",
)
# which this makes a microphone.
_SOURCE_MODULE = (
    "module-remap-source",
    f"source_name={_SOURCE} master={_MONITOR} channels=1 channel_map=mono "
    f"source_properties=\"device.description='{NAME}'\"",
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
    with _refusals(), pulsectl.Pulse("livehead") as server:
        yield server


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """Inside, what the sound server refuses is an AudioError."""
    import pulsectl

    try:
        yield
    except pulsectl.PulseError as error:
        raise AudioError(f"{_NO_SERVER}, or it refuses: {error}") from error


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


def check_streams(microphone: str) -> None:
    """Wait until our streams listen to that microphone and play to our sink, and to nothing else.

    Raises:
        AudioError: the server connected them to something else.
    """
    with sound_server() as server:

        def connected() -> bool:
            into = [one.source for one in server.source_output_list() if one.name == STREAM]
            out = [one.sink for one in server.sink_input_list() if one.name == STREAM]
            return into == [_index(server.source_list(), microphone)] and out == [
                _index(server.sink_list(), _SINK)
            ]

        if not _comes(connected):
            raise AudioError(f"the sound server does not connect {microphone} with the {NAME}")


class Watch:
    """Keeps streams apart that must not meet. For one thread; `close` ends its connection to the server.

    Args:
        microphone: what our stream listens to, by the server's name.
    """

    def __init__(self, microphone: str) -> None:
        self._microphone = microphone
        self._opened = contextlib.ExitStack()
        self._server: Any = None

    def __call__(self) -> bool:
        """Look once, and move what is in the wrong place; False when our stream listened to ourselves.

        Raises:
            AudioError: the server does not answer. Asked again, it is looked for anew.
        """
        with contextlib.ExitStack() as on_error:
            on_error.callback(self.close)
            if self._server is None:
                self._server = self._opened.enter_context(sound_server())
            with _refusals():
                _keep_strangers_out(self._server)
                listens = _keep_listening(self._server, self._microphone)
            on_error.pop_all()
        return listens

    def close(self) -> None:
        """Let go of the server."""
        self._server = None
        self._opened.close()


def _keep_listening(server: Any, microphone: str) -> bool:
    """Keep our stream from listening to our own microphone; False when it just did.

    Servers move it there when the real one is unplugged, or when ours is made the usual one. It is moved
    back, if there is anything to move it to.
    """
    sources = server.source_list()
    ours = {source.index for source in sources if source.name in _OURS}
    astray = [one for one in server.source_output_list() if one.name == STREAM and one.source in ours]
    wanted = _index(sources, microphone)
    for stream in astray if wanted is not None else []:
        server.source_output_move(stream.index, wanted)
    return not astray


def _keep_strangers_out(server: Any) -> None:
    """Move what other programs play into our sink to a loudspeaker, if there is one.

    Servers move it there when a loudspeaker is unplugged, and then everybody in the meeting would hear it.
    """
    sinks = server.sink_list()
    ours = _index(sinks, _SINK)
    strangers = [one for one in server.sink_input_list() if one.sink == ours and one.name != STREAM]
    if not strangers:
        return
    usual = server.server_info().default_sink_name
    others = sorted((sink for sink in sinks if sink.index != ours), key=lambda sink: sink.name != usual)
    for stream in strangers if others else []:
        server.sink_input_move(stream.index, others[0].index)


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
                self._make(server)
            except BaseException:
                self._unload(server)
                raise

    def _make(self, server: Any) -> None:
        """One after the other: the server connects to something else what is made too early."""
        self._loaded.append(server.module_load(*_SINK_MODULE))
        if not _comes(lambda: _index(server.sink_list(), _SINK) is not None):
            raise AudioError(_NOT_SHOWN)
        for _ in range(_TRIES):
            module = server.module_load(*_SOURCE_MODULE)
            self._loaded.append(module)
            if _comes(partial(_is_made, server, module)):
                return
            _unload(server, self._loaded.pop())
        raise AudioError(_NOT_SHOWN)

    def close(self) -> None:
        """Take it away; no error if the server did so already."""
        with contextlib.suppress(AudioError), sound_server() as server:
            self._unload(server)

    def _unload(self, server: Any) -> None:
        while self._loaded:
            _unload(server, self._loaded.pop())


def _is_made(server: Any, module: int) -> bool:
    """Whether our microphone is there and hears our sink."""
    monitor = _index(server.source_list(), _MONITOR)
    hears = [one.source for one in server.source_output_list() if one.owner_module == module]
    return _index(server.source_list(), _SOURCE) is not None and hears == [monitor]


def _comes(true: Callable[[], bool]) -> bool:
    """Whether it does so in time."""
    end_ns = clock.now_ns() + round(WAIT_S * 1e9)
    while not true():
        if clock.now_ns() > end_ns:
            return False
        clock.sleep(STEP_S)
    return True


def _index(things: list[Any], name: str) -> int | None:
    """The server's number of what has that name; None if nothing has."""
    return next((int(thing.index) for thing in things if thing.name == name), None)


def _remove_leftovers(server: Any) -> None:
    sink = _index(server.sink_list(), _SINK)
    if sink is not None and any(one.sink == sink and one.name == STREAM for one in server.sink_input_list()):
        raise AudioError(f"another run has the {NAME}; end that one first")
    for module in reversed(server.module_list()):
        if (module.name, module.argument) in (_SINK_MODULE, _SOURCE_MODULE):
            _unload(server, module.index)


def _unload(server: Any, module: int) -> None:
    import pulsectl

    with contextlib.suppress(pulsectl.PulseOperationFailed):  # it is gone
        server.module_unload(module)
