"""Builds a TensorRT engine of an ONNX file: `python -m avatar.runtime.tensorrt_build NETWORK.onnx ENGINE`.

In a process of its own: with PyTorch's tracer beside it in one process it crashed. Both libraries have the
same interface: TensorRT for RTX (`tensorrt_rtx`), which builds for named graphics cards without having one,
and TensorRT (`tensorrt`), which builds for the card that is there. Networks are strongly typed: the ONNX file
says what is of half precision.

The last line of standard output is one JSON document of what was built.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

LIBRARIES = ("tensorrt_rtx", "tensorrt")


class BuildError(Exception):
    """The library cannot make an engine of the file; the message says why."""


def build(trt: Any, onnx: bytes, target: str | None) -> tuple[bytes, dict[str, Any]]:
    """A serialised engine, and what is known of it.

    Args:
        trt: the library.
        onnx: the network's file.
        target: "SM86" and the like, a card's compute capability; None: that of this computer's card.

    Raises:
        BuildError: an operator is not supported, or the engine cannot be built.
    """
    begin = time.perf_counter()
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    # Networks are held until the end: a parser writes into its own, and does not keep it alive.
    asked, network = (builder.create_network(_strongly_typed(trt)) for _ in range(2))
    parser = trt.OnnxParser(asked, log)
    supported = bool(parser.supports_model_v2(onnx))
    subgraphs = int(parser.num_subgraphs)
    if not supported or subgraphs != 1:
        raise BuildError(f"not all of it is supported, but {subgraphs} parts: {_errors(parser)}")
    parser = trt.OnnxParser(network, log)
    if not parser.parse(onnx):
        raise BuildError(_errors(parser))
    config = builder.create_builder_config()
    if target is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, target), 0)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise BuildError("the engine cannot be built")
    made = bytes(engine)
    return made, {
        "library": trt.__name__,
        "version": trt.__version__,
        "target": target,
        "layers": int(network.num_layers),
        "subgraphs": subgraphs,
        "inputs": _ports(network.get_input(i) for i in range(network.num_inputs)),
        "outputs": _ports(network.get_output(i) for i in range(network.num_outputs)),
        "bytes": len(made),
        "seconds": round(time.perf_counter() - begin, 2),
    }


def _strongly_typed(trt: Any) -> int:
    """The flag of the libraries that have another way, too."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _errors(parser: Any) -> str:
    told = [str(parser.get_error(i).desc()) for i in range(parser.num_errors)]
    return "; ".join(told) or "no reason is given"


def _ports(tensors: Any) -> dict[str, Any]:
    return {
        tensor.name: {"shape": list(tensor.shape), "type": str(tensor.dtype).rpartition(".")[2]}
        for tensor in tensors
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Build, write, print; 0, or 1 with one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m avatar.runtime.tensorrt_build")
    parser.add_argument("network", type=Path)
    parser.add_argument("engine", type=Path)
    parser.add_argument("--library", choices=LIBRARIES, default=LIBRARIES[0])
    parser.add_argument("--target", metavar="SM89")
    options = parser.parse_args(argv)
    try:
        engine, facts = build(import_module(options.library), options.network.read_bytes(), options.target)
        options.engine.write_bytes(engine)
    except (BuildError, ImportError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(facts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
