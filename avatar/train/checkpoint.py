"""The state of a run in one safetensors file: networks, their average, the discriminator, both optimisers."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from avatar.errors import AvatarError
from avatar.tools.tensor_file import replace_file
from avatar.train.networks import TrainedTogether

FORMAT = "livehead-training"


def save_checkpoint(
    path: Path, nets: TrainedTogether, optimizers: dict[str, Optimizer], samples: int
) -> None:
    """Write the whole state after so many samples; a broken write leaves the old file."""
    tensors: dict[str, Tensor] = {}
    for name, module in _modules(nets).items():
        tensors |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
    for name, optimizer in optimizers.items():
        for at, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"{name}.{at}.{slot}": torch.as_tensor(value) for slot, value in slots.items()}
    whole = {key: value.detach().contiguous().clone() for key, value in tensors.items()}
    replace_file(path, save(whole, metadata={"format": FORMAT, "samples": str(samples)}))


def load_checkpoint(path: Path, nets: TrainedTogether, optimizers: dict[str, Optimizer]) -> int:
    """Put a saved state back in place; returns the samples it has seen.

    Raises:
        AvatarError: it is no checkpoint, or one of other networks.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise AvatarError(f"{path}: is not a checkpoint of a training run")
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        for name, module in _modules(nets).items():
            module.load_state_dict(_below(tensors, name))
        for name, optimizer in optimizers.items():
            _put_back(optimizer, _below(tensors, name))
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise AvatarError(f"{path}: cannot go on from this checkpoint ({reason})") from None
    return int(header["samples"])


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
