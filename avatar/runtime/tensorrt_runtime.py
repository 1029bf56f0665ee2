"""TensorRT on an NVIDIA card. Engines were built with it; none has ever been run by us: not measured.

One way for two libraries with the same interface: TensorRT (`livehead[tensorrt]`) and TensorRT for RTX
(`livehead[rtx]`). Both read the ONNX file that OpenVINO reads, so that all engines are of one graph.

A frame is one upload, one run and one download, recorded once as a CUDA graph and played again. Where all of
a frame is drawn on the card (`avatar.card`) the engine takes tensors that are there, and gives such.
"""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from avatar.errors import ModelError
from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameMaps

LIBRARIES = {"tensorrt": "tensorrt", "rtx": "tensorrt_rtx"}
"""What is imported for a runtime."""
PRECISIONS = ("fp16", "fp32")
"""The fastest first."""
WARM_UP = 3


def missing(runtime: str) -> str | None:
    """Why a runtime of `LIBRARIES` cannot be had here; None if it can."""
    if find_spec(LIBRARIES[runtime]) is None:
        return f"{LIBRARIES[runtime]} is not installed; python -m pip install 'livehead[{runtime}]'"
    if not torch.cuda.is_available():
        return "PyTorch sees no NVIDIA card"
    return None


def version(runtime: str) -> str:
    """Of the library."""
    return str(import_module(LIBRARIES[runtime]).__version__)


def device() -> str:
    """Name and compute capability of the card."""
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()} SM{major}{minor}"


def halved(generator: nn.Module) -> nn.Module:
    """A copy whose convolutions work in half precision; statistics of norms and all maps stay in float32."""
    half = copy.deepcopy(generator).half()
    expression = getattr(half, "expression", None)
    if expression is not None:  # small, and its close-ups are evened out in float32
        expression.float()
    return half


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


class TensorRtRuntime:
    """An engine on the card.

    Args:
        runtime: a key of `LIBRARIES`.
        engine: its file.
        precision: what it was built in.

    Raises:
        ModelError: the library does not take the file.
    """

    def __init__(self, runtime: str, engine: Path, precision: str) -> None:
        self.name, self.precision = runtime, precision
        self.told = f"{LIBRARIES[runtime]} {version(runtime)}, {precision}, on {torch.cuda.get_device_name()}"
        trt = import_module(LIBRARIES[runtime])
        self._engine = trt.Runtime(trt.Logger(trt.Logger.ERROR)).deserialize_cuda_engine(engine.read_bytes())
        if self._engine is None:
            raise ModelError(f"{engine}: {LIBRARIES[runtime]} does not take this engine")
        self._context = self._engine.create_execution_context()
        self.device = torch.device("cuda", torch.cuda.current_device())
        self.stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._host: dict[str, torch.Tensor] = {}
        self._card: dict[str, torch.Tensor] = {}
        for number in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(number)
            blank = np.zeros(
                tuple(self._engine.get_tensor_shape(name)), trt.nptype(self._engine.get_tensor_dtype(name))
            )
            self._host[name] = torch.from_numpy(blank).pin_memory()
            self._card[name] = self._host[name].cuda()
            self._context.set_tensor_address(name, self._card[name].data_ptr())
        self._inputs = [name for name in self._host if name not in OUTPUTS]
        self._graph = self._recorded(self._once)
        self._engine_alone: torch.cuda.CUDAGraph | None = None

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window."""
        arrays: dict[str, NDArray[Any]] = dict(inputs.arrays())
        for name in self._inputs:
            self._host[name].numpy()[:] = arrays[name]
        with torch.cuda.stream(self.stream):
            self._graph.replay()
        self.stream.synchronize()
        return FrameMaps(*(self._host[name].numpy()[0].copy() for name in OUTPUTS))

    def draw(self, inputs: Mapping[str, torch.Tensor]) -> Sequence[torch.Tensor]:
        """The same of tensors on the card, as `TensorNetwork`; called on `stream`."""
        if self._engine_alone is None:
            self._engine_alone = self._recorded(self._run)
        for name in self._inputs:
            self._card[name].copy_(inputs[name], non_blocking=True)
        self._engine_alone.replay()
        return [self._card[name] for name in OUTPUTS]

    def _once(self) -> None:
        """Up, run, down, on the stream."""
        for name in self._inputs:
            self._card[name].copy_(self._host[name], non_blocking=True)
        self._run()
        for name in OUTPUTS:
            self._host[name].copy_(self._card[name], non_blocking=True)

    def _run(self) -> None:
        self._context.execute_async_v3(self.stream.cuda_stream)

    def _recorded(self, work: Callable[[], None]) -> torch.cuda.CUDAGraph:
        """`work` as a graph; the library gets ready in the frames before it is recorded."""
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                work()
        self.stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        # Another thread may be drawing with another engine: what it asks of the card must not spoil this.
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            work()
        return graph
