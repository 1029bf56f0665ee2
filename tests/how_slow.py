"""How slow the computer is at this moment, for tests whose limits on time grow with that."""

from __future__ import annotations

import subprocess
import sys

WORK = """
import time
begun = time.perf_counter()
sum(number * number for number in range(2_000_000))
print(time.perf_counter() - begun)
"""
WORK_S = 0.25
"""How long two processes with this work take on two cores that have nothing else to do [s]."""


def how_slow() -> float:
    """How many times slower this computer is now than that one, and not less than 1.

    To be asked while nothing runs that is being tested; others may use the same processor.
    """
    command = [sys.executable, "-S", "-c", WORK]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return max(1.0, *(float(one.communicate()[0]) / WORK_S for one in both))
