"""How many processors there are to work on."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Those that this process may use, of all that the computer has."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
