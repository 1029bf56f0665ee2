"""The state of a run in one safetensors file: networks, their average, the discriminator, both optimisers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from avatar.errors import AvatarError
from avatar.model.presets import Preset
from avatar.tools.tensor_file import replace_file
from avatar.train.networks import TrainedTogether, critics_of

FORMAT = "livehead-training"
_DAMAGED = (OSError, ValueError, RuntimeError, KeyError, SafetensorError)


def save_checkpoint(
    path: Path, nets: TrainedTogether, optimizers: dict[str, Optimizer], samples: int, clips: str
) -> None:
    """Write the whole state after so many samples of those clips; a broken write leaves the old file."""
    tensors: dict[str, Tensor] = {}
    for name, module in _modules(nets).items():
        tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for at, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}.{at}.{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    whole = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    replace_file(path, save(whole, metadata={"format": FORMAT, "samples": str(samples), "clips": clips}))


def load_checkpoint(path: Path, nets: TrainedTogether, optimizers: dict[str, Optimizer], clips: str) -> int:
    """Put a saved state back in place; returns the samples it has seen.

    Raises:
        AvatarError: it is no checkpoint, or one of other networks or other clips.
    """
    try:
        header, tensors = _read(path)
        if header["clips"] != clips:
            # The critics have a column for each clip, and a sample's number says which clip it is of.
            raise ValueError("it learnt from other clips; begin a new run with --from and its networks")
        for name, module in _modules(nets).items():
            module.load_state_dict(_below(tensors, name))
        for name, optimizer in optimizers.items():
            _put_back(optimizer, _below(tensors, name))
    except _DAMAGED as error:
        raise AvatarError(f"{path}: cannot go on from this checkpoint ({_reason(error)})") from None
    return int(header["samples"])


def digest_of(files: Sequence[Path]) -> str:
    """What tells whether clips are the same ones, in the same order."""
    return hashlib.sha256("\n".join(file.name for file in files).encode()).hexdigest()


def load_critics(path: Path, preset: Preset, embedding: Tensor) -> nn.ModuleDict:
    """The critics of a run, for somebody who was not in it.

    Args:
        path: the checkpoint.
        preset: of the run.
        embedding: (E,) of that person: his column of the critic that judges the window (Zakharov et al. 2019,
            sec. 3.3). That of mouth and eyes has columns of its own, and gets their mean.

    Raises:
        AvatarError: it is no checkpoint, or one of other networks.
    """
    critics = critics_of(preset, 1)
    try:
        tensors = _below(_read(path)[1], "critics")
        for name in critics:
            column = f"{name}.projection.columns.weight"
            tensors[column] = embedding[None] if name == "whole" else tensors[column].mean(0, keepdim=True)
        critics.load_state_dict(tensors)
    except _DAMAGED as error:
        raise AvatarError(f"{path}: has no critics of the preset {preset.name} ({_reason(error)})") from None
    return critics


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0]


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The header and all tensors."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        if header.get("format") != FORMAT:
            raise AvatarError(f"{path}: is not a checkpoint of a training run")
        return header, {key: file.get_tensor(key) for key in file.keys()}


def _modules(nets: TrainedTogether) -> dict[str, torch.nn.Module]:
    return {"networks": nets.networks, "average": nets.average, "critics": nets.critics}


def _below(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}


def _put_back(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        at, _, slot = key.partition(".")
        state.setdefault(int(at), {})[slot] = value
    optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})
