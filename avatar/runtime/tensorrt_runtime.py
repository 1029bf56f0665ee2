"""TensorRT on an NVIDIA card. Engines were built with it; none has ever been run by us: not measured.

One way for two libraries with the same interface: TensorRT (`livehead[tensorrt]`) and TensorRT for RTX
(`livehead[rtx]`). Both read the ONNX file that OpenVINO reads, so that all engines are of one graph.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar.errors import ModelError
from avatar.runtime.card_runtime import CardRuntime, why_no_card

LIBRARIES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
"""What is imported for a runtime."""
PRECISIONS = ("fp16", "fp32")
"""The fastest first."""


def missing(runtime: str) -> str | None:
    """Why a runtime of `LIBRARIES` cannot be had here; None if it can."""
    found = find_spec(LIBRARIES[runtime])
    if found is None or found.origin is None:  # no more than a folder of that name
        return f"{LIBRARIES[runtime]} is not installed; python -m pip install 'livehead[{runtime}]'"
    return why_no_card()


def version(runtime: str) -> str:
    """Of the library."""
    return str(import_module(LIBRARIES[runtime]).__version__)


def device() -> str:
    """Name and compute capability of the card."""
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} SM{major}{minor}"


def build(runtime: str, network: Path, engine: Path, target: str | None = None) -> str:
    """Build an engine of an ONNX file in a process of its own; gives what that process says of it, as JSON.

    Raises:
        ModelError: it cannot be built.
    """
    command = [sys.executable, "-m", "avatar.runtime.tensorrt_build", str(network), str(engine)]
    command += ["--library", LIBRARIES[runtime], *(["--target", target] if target else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        why = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "it crashed")
        raise ModelError(f"{LIBRARIES[runtime]} cannot build an engine: {why}")
    return done.stdout.splitlines()[-1]


class TensorRtRuntime(CardRuntime):
    """An engine on the card.

    Args:
        runtime: a key of `LIBRARIES`.
        engine: its file.
        precision: what it was built in.

    Raises:
        ModelError: the library does not take the file.
    """

    def __init__(self, runtime: str, engine: Path, precision: str) -> None:
        trt = import_module(LIBRARIES[runtime])
        self._engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise ModelError(f"{engine}: {LIBRARIES[runtime]} does not take this engine")
        context = self._engine.create_execution_context()
        blank = {}
        for name in map(self._engine.get_tensor_name, range(self._engine.num_io_tensors)):
            dtype = trt.nptype(self._engine.get_tensor_dtype(name))
            blank[name] = np.zeros(tuple(self._engine.get_tensor_shape(name)), dtype)

        def prepare(card: Mapping[str, torch.Tensor], stream: Any) -> Callable[[], None]:
            for name, tensor in card.items():
                context.set_tensor_address(name, tensor.data_ptr())
            return lambda: context.execute_async_v3(stream.cuda_stream)

        told = f"{LIBRARIES[runtime]} {version(runtime)}, {precision}, on {torch.cuda.get_device_name()}"
        super().__init__(runtime, precision, told, blank, prepare)
