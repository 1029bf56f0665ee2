"""The voice in step with the picture: a microphone that gives what is said when it is seen."""

from __future__ import annotations

from avatar.audio.carrier import Carrier
from avatar.audio.delay_line import DelayLine
from avatar.audio.in_step import InStep
from avatar.audio.server import NAME, VirtualMicrophone, sound_server, which_microphone

__all__ = [
    "NAME",
    "Carrier",
    "DelayLine",
    "InStep",
    "VirtualMicrophone",
    "sound_server",
    "which_microphone",
]
