"""What draws the network's part of a frame: the plain network in PyTorch, or an engine built of it.

An engine is built once and kept on this computer (`store`). Whose face it is, is an input: one engine serves
every avatar. After it is built it is tried with real frames against the plain network (`parity`); one that
differs by too much is deleted.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from torch import nn

from avatar.errors import ModelError
from avatar.model.networks import Networks
from avatar.model.presets import Preset
from avatar.runtime import openvino_runtime, parity, store
from avatar.runtime.frame import FrameInputs, FrameMaps, FrameNetwork, still_inputs
from avatar.runtime.onnx_file import write_onnx
from avatar.runtime.openvino_runtime import OpenVinoRuntime
from avatar.runtime.probe import load_probe
from avatar.runtime.torch_runtime import TorchRuntime

__all__ = ["PLAIN", "FrameInputs", "FrameMaps", "Runtime", "Wanted", "open_runtime"]

_log = logging.getLogger(__name__)


class Runtime(Protocol):
    """Draws windows with one generator."""

    name: str
    precision: str
    told: str
    """What it is, in words."""

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window; who, is said by `psi`."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runtime."""

    runtime: str = "auto"
    """auto, openvino or torch."""
    precision: str | None = None
    """fp32, bf16, ...; None: the fastest of the faithful ones."""
    anew: bool = False
    """Build the engine even if there is one."""


PLAIN = Wanted("torch")
_ONNX, _INT8 = "network.onnx", "network-int8.xml"


def open_runtime(wanted: Wanted, preset: Preset, networks: Networks) -> Runtime:
    """A runtime for the generator of some networks of a preset, its engine built if it has to be.

    `auto` takes OpenVINO, and plain PyTorch where that cannot be had; it says which, and why. What is asked
    for by name is that, or an error.

    Raises:
        ModelError: the runtime or precision asked for is not there, or its engine does not do what the plain
            network does.
    """
    if wanted.runtime == "torch":
        return TorchRuntime(networks.generator, wanted.precision)
    if wanted.runtime == "openvino":
        return _openvino(wanted, preset, networks)
    if wanted.runtime != "auto":
        raise ModelError(f"there is no runtime {wanted.runtime!r}; choose auto, openvino or torch")
    try:
        chosen = _openvino(wanted, preset, networks)
    except ModelError as error:
        plain = TorchRuntime(networks.generator, wanted.precision)
        _log.info("runtime: %s, because %s", plain.told, error)
        return plain
    _log.info("runtime: %s; the fastest on a processor", chosen.told)
    return chosen


def _openvino(wanted: Wanted, preset: Preset, networks: Networks) -> OpenVinoRuntime:
    """In the precision that is wanted, or the first that does what the plain network does."""
    able = openvino_runtime.precisions()
    if wanted.precision is None:
        for precision in able[:-1]:
            try:
                return _openvino(replace(wanted, precision=precision), preset, networks)
            except ModelError as error:
                _log.warning("%s", error)
        return _openvino(replace(wanted, precision=able[-1]), preset, networks)
    precision = wanted.precision
    if precision not in (*able, "int8"):  # for that only a package may be missing, which says so itself
        raise ModelError(f"OpenVINO has no {precision} on this processor; there is {' and '.join(able)}")
    key = store.EngineKey(
        runtime="openvino",
        version=openvino_runtime.version(),
        precision=precision,
        device=openvino_runtime.device(),
        preset=preset.name,
        size=preset.size,
        weights=_fingerprint(networks.generator),
    )

    def make(folder: Path) -> store.Facts:
        frames = load_probe().inputs(preset, networks)
        still = still_inputs(preset, networks.projection.out_features)
        write_onnx(FrameNetwork(networks.generator), still, folder / _ONNX)
        if precision == "int8":
            openvino_runtime.write_int8(folder / _ONNX, frames, folder / _INT8)
        engine, took_ms = openvino_runtime.fastest(folder / file, precision, frames)
        found = parity.compare(engine, TorchRuntime(networks.generator, "fp32"), frames)
        parity.check(found, precision, f"the OpenVINO engine of {preset.name} in {precision}")
        return {"threads": engine.threads, "ms": round(took_ms, 2), "parity": found.facts()}

    file = _INT8 if precision == "int8" else _ONNX
    if wanted.anew:
        store.forget(key)
    engine = store.find_or_build(key, make)
    return OpenVinoRuntime(engine.folder / file, precision, int(engine.facts["threads"]))


def _fingerprint(generator: nn.Module) -> str:
    """A hash of a generator's parameters: those of the preset, or those that fine-tuning made of them."""
    digest = hashlib.sha256()
    for name, tensor in generator.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
