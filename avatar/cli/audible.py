"""--audio: the voice in step with the picture, or what to set for it where we cannot do it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from avatar.errors import AudioError

if TYPE_CHECKING:
    from avatar.live import Status

    Noted = Callable[[Status], None]

STEP_MS = 10
"""The advice is rounded to so much,"""
CHANGE_MS = 15.0
"""and given again when it has changed by more than this."""
SETTLED_S = 5.0
"""The first pictures are older than those to come."""

_log = logging.getLogger("avatar.audio")


def add_audio(parser: argparse.ArgumentParser) -> None:
    """--audio and --microphone."""
    parser.add_argument(
        "--audio",
        action="store_true",
        help="keep your voice in step with the picture: on Linux, make 'Livehead Microphone', which "
        "gives yours as late as the picture is; elsewhere, say which delay to set",
    )
    parser.add_argument(
        "--microphone",
        metavar="NAME",
        help="your microphone, for --audio (default: the system's)",
    )


def check_audio(arguments: argparse.Namespace) -> None:
    """Refuse --microphone without --audio, before anything is opened.

    Raises:
        AudioError: with what to do instead.
    """
    if arguments.microphone is not None and not arguments.audio:
        raise AudioError("--microphone is for --audio; give both")


def microphone(arguments: argparse.Namespace) -> str:
    """The name of the microphone that `open_audio` makes; empty: it makes none."""
    if not getattr(arguments, "audio", False) or not sys.platform.startswith("linux"):
        return ""

    from avatar.audio import NAME

    return NAME


def open_audio(
    arguments: argparse.Namespace, open_things: contextlib.ExitStack, on_failure: Callable[[str], None]
) -> Noted:
    """Begin what `add_audio` read, to be ended by `open_things`; gives who wants to know how the run goes.

    `on_failure` is told why, in any thread, when the sound ends before the run does.

    Raises:
        AudioError: there is no sound server, or no microphone.
    """
    if not arguments.audio:
        return lambda status: None
    name = microphone(arguments)
    if not name:
        return Advice()

    from avatar.audio import Carrier

    carrier = open_things.enter_context(contextlib.closing(Carrier(arguments.microphone, on_failure)))
    _log.info("choose the microphone %r in your meeting; it gives %s", name, carrier.microphone)
    return lambda status: carrier.tell(status.age_ms)


class Advice:
    """Says by how much to delay the microphone elsewhere, and again when that has changed."""

    def __init__(self) -> None:
        self._said_ms: float | None = None

    def __call__(self, status: Status) -> None:
        """Take note of how the run goes."""
        if status.age_ms is None or status.seconds < SETTLED_S:
            return
        if self._said_ms is None or abs(status.age_ms - self._said_ms) > CHANGE_MS:
            self._said_ms = status.age_ms
            _log.info(
                "your voice is earlier than the picture: delay the microphone by %d ms to be in step",
                STEP_MS * round(status.age_ms / STEP_MS),
            )


def both(first: Noted, second: Noted) -> Noted:
    """Tells both."""

    def noted(status: Status) -> None:
        first(status)
        second(status)

    return noted
