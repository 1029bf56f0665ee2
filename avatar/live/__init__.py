"""The live loop: camera, tracker, generator and outputs, each in a thread of its own."""

from __future__ import annotations

from avatar.live.loop import run_live
from avatar.live.record import Status, Summary
from avatar.live.status import StatusLine

__all__ = ["Status", "StatusLine", "Summary", "run_live"]
