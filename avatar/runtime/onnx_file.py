"""The network of a frame as an ONNX file, which OpenVINO and TensorRT read."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameNetwork

OPSET = 20


def write_onnx(network: FrameNetwork, inputs: FrameInputs, path: Path) -> None:
    """Trace a network and write it, weights inside.

    Args:
        network: in evaluation mode, float32.
        inputs: of the shapes it is to be made for; its values do not matter.
        path: of the new file. Inputs and outputs are called as the fields of `FrameInputs` and `FrameMaps`;
            inputs that the network does not look at are left out.
    """
    arrays = inputs.arrays()
    tensors = tuple(torch.from_numpy(array) for array in arrays.values())
    # It talks about what it skips, on every channel there is.
    quiet = contextlib.redirect_stdout(io.StringIO())
    with quiet, warnings.catch_warnings(), _hushed("torch.onnx"), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            tensors,
            dynamo=True,
            optimize=True,
            verbose=False,
            opset_version=OPSET,
            input_names=list(arrays),
            output_names=list(OUTPUTS),
        )
    assert program is not None
    program.save(str(path), external_data=False)


@contextlib.contextmanager
def _hushed(name: str) -> Iterator[None]:
    log = logging.getLogger(name)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
