"""Trained networks in a file: safetensors in half precision, with the preset in its header."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from avatar.errors import ModelError
from avatar.model.blocks import fold_spectral
from avatar.model.networks import Networks
from avatar.model.presets import PRESETS, Preset
from avatar.tools.tensor_file import Header, TensorFormat, Tensors

F16 = NDArray[np.float16]

FORMAT = TensorFormat(
    name="livehead-networks",
    version=1,
    called="a file of trained networks",
    bytes_max=2**30,
    error=ModelError,
)


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """Networks as they came out of a file: in evaluation mode, float32, channels last."""

    preset: Preset
    networks: Networks
    sha256: str
    """Of the file: what is worked out with these networks suits no others."""
    samples: int
    """Samples they have been trained with."""


def save_networks(path: Path, preset: str, networks: Networks, samples: int) -> None:
    """Write networks of a preset; raises ModelError if the place cannot be written."""
    folded = fold_spectral(copy.deepcopy(networks).eval())
    tensors = {name: _packed(value) for name, value in folded.state_dict().items()}
    FORMAT.write(path, {"preset": preset, "samples": str(samples)}, tensors)


def load_networks(path: Path, preset: str) -> Trained:
    """Read networks of a preset.

    Raises:
        ModelError: missing, damaged, or networks of another preset.
    """
    kind = PRESETS[preset]
    networks = fold_spectral(kind.networks().eval())
    wanted = networks.state_dict()

    def parse(header: Header, tensors: Tensors) -> int:
        if header["preset"] != preset:
            raise ValueError(f"they are networks of the preset {header['preset']}, not {preset}")
        for name, tensor in tensors.items():
            shape = tuple(wanted[name].shape) or (1,)  # a single number is stored as a list of one
            if tensor.shape != shape:
                raise ValueError(f"{name} is {tensor.shape}, not {shape}")
        networks.load_state_dict({k: v.view_as(wanted[k]) for k, v in _unpacked(tensors).items()})
        return int(header["samples"])

    sha256 = _sha256(path)
    samples = FORMAT.read(path, list(wanted), parse)
    if sha256 != _sha256(path):
        raise ModelError(f"{path}: was changed while it was read; try again")
    ready = networks.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Trained(kind, ready, sha256, samples)


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        raise ModelError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error


def _packed(value: torch.Tensor) -> F16:
    return np.asarray(value.detach().cpu().to(torch.float16).numpy(), np.float16)


def _unpacked(tensors: Mapping[str, F16]) -> dict[str, torch.Tensor]:
    for name, array in tensors.items():
        if array.dtype != np.float16 or not np.isfinite(array).all():
            raise ValueError(f"{name} is not made of finite half-precision numbers")
    return {name: torch.from_numpy(array).float() for name, array in tensors.items()}
