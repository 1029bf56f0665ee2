"""What draws the network's part of a frame: the plain network in PyTorch, on processor or card, or an engine.

An engine is built of the network once and kept on this computer (`store`). Whose face it is, is an input: one
engine serves every avatar. After it is built it is tried with real frames against the plain network
(`parity`); one that differs by too much is deleted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn

from avatar.errors import ModelError
from avatar.model.networks import Networks
from avatar.model.presets import Preset
from avatar.runtime import cuda_runtime, openvino_runtime, parity, store, tensorrt_runtime
from avatar.runtime.card_runtime import CardRuntime, why_no_card
from avatar.runtime.cuda_runtime import CudaRuntime
from avatar.runtime.frame import FrameInputs, FrameMaps, FrameNetwork, TensorNetwork, halved, still_inputs
from avatar.runtime.onnx_file import write_onnx
from avatar.runtime.openvino_runtime import OpenVinoRuntime
from avatar.runtime.probe import load_probe
from avatar.runtime.tensorrt_runtime import TensorRtRuntime
from avatar.runtime.torch_runtime import TorchRuntime

__all__ = [
    "PLAIN",
    "FrameInputs",
    "FrameMaps",
    "Runtime",
    "TensorNetwork",
    "Wanted",
    "on_card",
    "open_runtime",
]

_log = logging.getLogger(__name__)


class Runtime(Protocol):
    """Draws windows with one generator."""

    name: str
    precision: str
    told: str
    """What it is, in words."""

    def __call__(self, inputs: FrameInputs) -> FrameMaps:
        """Draw one window; who, is said by `psi`."""


_R = TypeVar("_R", bound=Runtime)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runtime."""

    runtime: str = "auto"
    """auto, or one of `RUNTIMES`."""
    precision: str | None = None
    """fp32, bf16 or fp16; None: the fastest that can be had."""
    anew: bool = False
    """Build the engine even if there is one."""


PLAIN = Wanted("torch")
RUNTIMES = ("tensorrt", "rtx", "cuda", "openvino", "torch")
"""The fastest first."""
_ONNX, _ENGINE = "network.onnx", "network.engine"
_compared_before: set[tuple[str, str, str]] = set()
"""What was compared with the plain network already and is no engine, of which that is kept with it."""
_ON_CARDS = (*tensorrt_runtime.LIBRARIES, "cuda")
_KINDS = {
    "tensorrt": "on a graphics card",
    "rtx": "on a graphics card",
    "cuda": "on a graphics card without TensorRT",
    "openvino": "on a processor",
    "torch": "left",
}


def open_runtime(wanted: Wanted, preset: Preset, networks: Networks) -> Runtime:
    """A runtime for the generator of some networks of a preset, its engine built if it has to be.

    `auto` takes the first of `RUNTIMES` that can be had and does what the plain network does; it says which,
    and why. What is asked for by name is that, or an error.

    Raises:
        ModelError: the runtime or precision asked for is not there, or its engine does not do what the plain
            network does.
    """
    if wanted.runtime == "torch":
        return TorchRuntime(networks.generator, wanted.precision)
    if wanted.runtime == "openvino":
        return _openvino(wanted, preset, networks)
    if wanted.runtime in _ON_CARDS:
        if (why := _missing(wanted.runtime)) is not None:
            raise ModelError(f"the runtime {wanted.runtime} cannot be had: {why}")
        try:
            if wanted.runtime == "cuda":
                return _cuda(wanted, preset, networks)
            return _tensorrt(wanted, preset, networks)
        except ModelError:
            raise
        # Whatever a card, its driver and its library may raise: `auto` then goes on to the next.
        except Exception as error:
            raise ModelError(
                f"the runtime {wanted.runtime} fails here: {type(error).__name__}: {error}"
            ) from error
    if wanted.runtime != "auto":
        raise ModelError(f"there is no runtime {wanted.runtime!r}; choose auto, {', '.join(RUNTIMES)}")
    reasons = []
    for runtime in (name for name in RUNTIMES if _thought_of(name)):
        try:
            chosen = open_runtime(replace(wanted, runtime=runtime), preset, networks)
        except ModelError as error:
            reasons.append(str(error))
            continue
        because = f", because {'; '.join(reasons)}" if reasons else f"; the fastest {_KINDS[runtime]}"
        _log.info("runtime: %s%s", chosen.told, because)
        return chosen
    raise ModelError("; ".join(reasons))


def on_card(runtime: Runtime) -> TensorNetwork | None:
    """A runtime that works on a graphics card; None: it works on the processor."""
    return runtime if isinstance(runtime, CardRuntime) else None


def _thought_of(runtime: str) -> bool:
    """Whether `auto` thinks of it: of those for graphics cards only where they can be had.

    And of PyTorch itself only where the card is quick in half precision: without TensorRT, a processor may be
    faster than an older card.
    """
    if runtime not in _ON_CARDS:
        return True
    return _missing(runtime) is None and (runtime != "cuda" or cuda_runtime.halves_are_fast())


def _missing(runtime: str) -> str | None:
    """Why one of `_ON_CARDS` cannot be had; None if it can."""
    return why_no_card() if runtime == "cuda" else tensorrt_runtime.missing(runtime)


def _first(able: Sequence[str], opened: Callable[[str], _R]) -> _R:
    """A runtime in the first of the precisions in which it does what the plain network does."""
    for precision in able[:-1]:
        try:
            return opened(precision)
        except ModelError as error:
            _log.warning("%s", error)
    return opened(able[-1])


def _cuda(wanted: Wanted, preset: Preset, networks: Networks) -> Runtime:
    """In the precision that is wanted, or the first that does what the plain network does."""
    able = cuda_runtime.PRECISIONS
    if wanted.precision is None:
        return _first(able, lambda each: _cuda(replace(wanted, precision=each), preset, networks))
    if wanted.precision not in able:
        raise ModelError(f"the runtime cuda has no {wanted.precision}; choose {' or '.join(able)}")
    runtime = CudaRuntime(networks.generator, _still(preset, networks), wanted.precision)
    about = (runtime.told, preset.name, _fingerprint(networks.generator))
    if about not in _compared_before:
        _compared(runtime, preset, networks, load_probe().inputs(preset, networks))
        _compared_before.add(about)
    return runtime


def _tensorrt(wanted: Wanted, preset: Preset, networks: Networks) -> Runtime:
    runtime, able = wanted.runtime, tensorrt_runtime.PRECISIONS
    precision = wanted.precision or able[0]
    if precision not in able:
        raise ModelError(f"{runtime} has no {precision}; there is {' and '.join(able)}")

    def make(folder: Path) -> store.Facts:
        generator = networks.generator
        drawn_by = halved(generator) if precision == "fp16" else generator
        write_onnx(FrameNetwork(drawn_by), _still(preset, networks), folder / _ONNX)
        tensorrt_runtime.build(runtime, folder / _ONNX, folder / _ENGINE)
        engine = TensorRtRuntime(runtime, folder / _ENGINE, precision)
        return _compared(engine, preset, networks, load_probe().inputs(preset, networks))

    about = tensorrt_runtime.version(runtime), tensorrt_runtime.device()
    engine = _kept(replace(wanted, precision=precision), about, preset, networks, make)
    return TensorRtRuntime(runtime, engine.folder / _ENGINE, precision)


def _openvino(wanted: Wanted, preset: Preset, networks: Networks) -> OpenVinoRuntime:
    """In the precision that is wanted, or the first that does what the plain network does."""
    able = openvino_runtime.precisions()
    if wanted.precision is None:
        return _first(able, lambda each: _openvino(replace(wanted, precision=each), preset, networks))
    precision = wanted.precision
    if precision not in able:
        raise ModelError(f"OpenVINO has no {precision} on this processor; there is {' and '.join(able)}")

    def make(folder: Path) -> store.Facts:
        frames = load_probe().inputs(preset, networks)
        write_onnx(FrameNetwork(networks.generator), _still(preset, networks), folder / _ONNX)
        engine, took_ms = openvino_runtime.fastest(folder / _ONNX, precision, frames)
        facts = _compared(engine, preset, networks, frames)
        return {"threads": engine.threads, "ms": round(took_ms, 2), **facts}

    about = openvino_runtime.version(), openvino_runtime.device()
    engine = _kept(wanted, about, preset, networks, make)
    return OpenVinoRuntime(engine.folder / _ONNX, precision, int(engine.facts["threads"]))


def _kept(
    wanted: Wanted,
    about: tuple[str, str],
    preset: Preset,
    networks: Networks,
    make: Callable[[Path], store.Facts],
) -> store.Engine:
    """The engine of a runtime and precision; `about` it: the library's version, and the device."""
    assert wanted.precision is not None
    key = store.EngineKey(
        runtime=wanted.runtime,
        version=about[0],
        precision=wanted.precision,
        device=about[1],
        preset=preset.name,
        size=preset.size,
        weights=_fingerprint(networks.generator),
    )
    if wanted.anew:
        store.forget(key)
    return store.find_or_build(key, make)


def _compared(
    engine: Runtime, preset: Preset, networks: Networks, frames: Sequence[FrameInputs]
) -> store.Facts:
    """How near an engine comes to the plain network; raises ModelError if it is not near enough."""
    found = parity.compare(engine, TorchRuntime(networks.generator, "fp32"), frames)
    parity.check(found, engine.precision, f"{preset.name} by the runtime {engine.name} in {engine.precision}")
    asked = parity.TOLERANCES[engine.precision].psnr
    _log.info(
        "as the plain network draws them: pictures are %.0f dB alike (%g are asked for)", found.psnr, asked
    )
    return {"parity": found.facts()}


def _still(preset: Preset, networks: Networks) -> FrameInputs:
    return still_inputs(preset, networks.projection.out_features)


def _fingerprint(generator: nn.Module) -> str:
    """A hash of a generator's parameters: those of the preset, or those that fine-tuning made of them."""
    digest = hashlib.sha256()
    for name, tensor in generator.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
