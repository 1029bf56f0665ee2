"""OpenVINO on the processor: the fastest CPU runtime that was measured (bench/README.md).

Nothing is reported: OpenVINO tells Google Analytics that it was imported, and what for, by means of a package
of its own, `openvino_telemetry`. Where that is missing it does without; so it is made to seem.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatar.errors import ModelError
from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameMaps
from avatar.tools.cores import usable_cores

ROUNDS = 12
"""Frames that each number of threads is tried with,"""
WARM_UP = 3
"""after so many that do not count."""
QUICK = 20
"""Percentile of a number's times that is compared."""
WORTH = 0.9
"""More threads have to take less than this part of the time of fewer, or they are not worth their heat."""
USUAL = 2
"""Threads that are taken where nothing can be measured: they were best on all computers with two cores."""
BUSY = 1.25
"""Where these threads take this much longer than they work, they have to wait for others' programs."""
LOAD = bytes(16 * 2**20)
"""What they work on for that: some 10 to 60 ms of SHA-256."""
_HINTS = {"fp32": "f32", "bf16": "bf16"}


def version() -> str:
    """Of the library; raises ModelError if it is not installed."""
    return str(_openvino().get_version())


def precisions() -> list[str]:
    """What can be had here, the fastest first."""
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["bf16", "fp32"] if "BF16" in able else ["fp32"]


def device() -> str:
    """The processor's name."""
    return str(_core().get_property("CPU", "FULL_DEVICE_NAME")).strip() or platform.processor()


class OpenVinoRuntime:
    """A network of an ONNX file.

    Args:
        file: the network.
        precision: "fp32" or "bf16".
        threads: how many work on a frame.

    Raises:
        ModelError: OpenVINO is not there, or cannot make anything of the file.
    """

    name = "openvino"

    def __init__(self, file: Path, precision: str, threads: int) -> None:
        self.precision, self.threads = precision, threads
        self.told = f"OpenVINO, {precision}, {threads} thread{'s'[: threads > 1]}"
        core = _core()
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            # The tracker's thread wants a core, too: whoever is bound to one waits when it is taken.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._request = core.compile_model(core.read_model(file), "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise ModelError(f"OpenVINO cannot use {file}: {_first_line(error)}") from error
        self._inputs = {port.any_name for port in self._request.model_inputs}

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window."""
        # OpenVINO writes into the same memory at the next frame; what is given away is a copy.
        arrays = {name: array for name, array in inputs.arrays().items() if name in self._inputs}
        self._request.infer(arrays, share_inputs=True)
        return FrameMaps(*(self._request.get_tensor(name).data[0].copy() for name in OUTPUTS))


def fastest(file: Path, precision: str, frames: Sequence[FrameInputs]) -> tuple[OpenVinoRuntime, float]:
    """The number of threads that suits this computer, and how long a frame takes with it, undisturbed [ms].

    It is kept for good, and what else the computer does now must not decide: all have their turns in each
    round, and the quicker frames of each count. Where the usual number of threads has to wait for processors,
    several can only look bad, and that number is taken.
    """
    usable = usable_cores()
    runtimes = [OpenVinoRuntime(file, precision, threads) for threads in _counts(usable)]
    took: list[list[float]] = [[] for _ in runtimes]
    taken_s = worked_s = 0.0
    for number in range(WARM_UP + ROUNDS):
        for runtime, times in zip(runtimes, took, strict=True):
            begin = time.perf_counter()
            runtime(frames[number % len(frames)])
            times.append((time.perf_counter() - begin) * 1e3)
        taken, worked = _side_by_side(min(USUAL, usable))
        taken_s, worked_s = taken_s + taken, worked_s + worked
    quick = [float(np.percentile(times[WARM_UP:], QUICK)) for times in took]
    best = _choice([runtime.threads for runtime in runtimes], quick, taken_s / max(1e-6, worked_s))
    return runtimes[best], quick[best]


def _choice(counts: Sequence[int], times: Sequence[float], wait: float) -> int:
    """Which number of threads to take, by their times, and by how much longer they take than they work."""
    if wait > BUSY:
        return max(index for index, count in enumerate(counts) if count <= USUAL)
    return _worth(times)


def _side_by_side(threads: int) -> tuple[float, float]:
    """For how long so many threads are at work, and for how long each of them works [s]; sums over them.

    The same where nothing else works. Asked of work that does nothing but compute: the threads of an engine
    also wait for each other. To be summed over several times: some systems count in steps of 16 ms.
    """
    spans: list[tuple[float, float]] = []
    begun = threading.Barrier(threads)

    def work() -> None:
        begun.wait()
        begin, worked = time.perf_counter(), time.thread_time()
        hashlib.sha256(LOAD).digest()
        spans.append((time.perf_counter() - begin, time.thread_time() - worked))

    side_by_side = [threading.Thread(target=work) for _ in range(threads)]
    for thread in side_by_side:
        thread.start()
    for thread in side_by_side:
        thread.join()
    taken, worked = zip(*spans, strict=True)
    return sum(taken), sum(worked)


def _worth(times: Sequence[float]) -> int:
    """Which of the numbers of threads, fewest first, is the last that is worth its heat."""
    best = 0
    for number, took in enumerate(times):
        if took < WORTH * times[best]:
            best = number
    return best


def _counts(usable: int) -> list[int]:
    """1, 2, 4 ... up to the number of processors, but at most 8: a frame is too small for more."""
    return [count for count in (1, 2, 3, 4, 6, 8) if count <= max(1, usable)]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@functools.cache
def _core() -> Any:
    """The only one of this process, for as long as it lives.

    With each core comes a CPU plugin, which on processors with large registers sets an alternate stack for
    signals, and at its end brings back the one it found (seen in OpenVINO 2026.4.1). When of two the first is
    freed first, the second brings back a stack that is freed, and the next signal, such as a Ctrl-C, ends the
    process.
    """
    return _openvino().Core()


def _openvino() -> Any:
    _without_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise ModelError(f"OpenVINO is not installed ({error}); python -m pip install openvino") from None
    return openvino


def _without_telemetry() -> None:
    """Let whoever asks for the package that reports find that there is none."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
