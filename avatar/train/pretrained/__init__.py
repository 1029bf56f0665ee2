"""Networks that others have trained, as judges of ours: losses and measures.

They come inside packages of the npm index and are fetched by `avatar.weights`; `weights/manifest.toml` names
them. Every network is a plain module in evaluation mode whose weights are fixed; gradients reach its input.
The networks of losses are never those of measures.

| loader             | network                        | for                  |
|--------------------|--------------------------------|----------------------|
| `load_perceptual`  | MobileNetV2 of nsfwjs          | perceptual loss      |
| `load_identity`    | MobileFace of human-models     | identity loss        |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn

from avatar.errors import ModelError
from avatar.train.pretrained.alignment import DLIB, FIVE, cut_faces, points_of
from avatar.train.pretrained.identity import IdentityNet, identity_state
from avatar.train.pretrained.perceptual import PerceptualNet, perceptual_state
from avatar.train.pretrained.tfjs import Tensors, load_tensors

__all__ = [
    "DLIB",
    "FIVE",
    "IdentityNet",
    "PerceptualNet",
    "cut_faces",
    "load_identity",
    "load_perceptual",
    "points_of",
]

Net = TypeVar("Net", bound=nn.Module)


def _load(name: str, build: Callable[[], Net], state_of: Callable[[Tensors], dict[str, Tensor]]) -> Net:
    net = build()
    try:
        net.load_state_dict(state_of(load_tensors(name)))
    except RuntimeError as error:
        raise ModelError(f"{name} does not fit the network built for it: {error}") from None
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def load_perceptual() -> PerceptualNet:
    """The perceptual loss' network; raises ModelError if its files cannot be had."""
    return _load("nsfwjs_mobilenet", PerceptualNet, perceptual_state)


def load_identity() -> IdentityNet:
    """The identity loss' network; raises ModelError if its files cannot be had."""
    return _load("mobileface", IdentityNet, identity_state)
