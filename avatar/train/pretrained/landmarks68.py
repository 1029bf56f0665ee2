"""A second opinion on where a face's features are: the 68-point network of face-api.

MediaPipe finds the landmarks that our networks are driven by, so it must not be the judge of them too.

Source: face-api, https://github.com/vladmandic/face-api (first by V. Mühler, https://github.com/justadudewhohacks/
face-api.js): src/faceLandmarkNet, src/faceFeatureExtractor. The 68 points are those of iBUG 300-W.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.train.pretrained.alignment import cut_faces
from avatar.train.pretrained.layers import (
    MEAN_RGB,
    SameConv2d,
    conv_weight,
    depthwise,
    depthwise_weight,
    vector,
)  # fmt: skip
from avatar.train.pretrained.tfjs import Tensors

SIDE = 112
"""Side of the faces it looks at [px]."""
POINTS = 68
BOX = (
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300,
    127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152,
    377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356,
)  # fmt: skip
"""MediaPipe's landmarks that the 68 points reach to: brows and jaw."""
ROOM = 0.05
"""Room around these on each side, in sides of the face. With 0 to 0.1, eyes, nose, mouth and chin of 59
pictures of 21 people were 3 % of the distance of the outer eye corners from MediaPipe's; with -0.1, 7 %."""
CHANNELS = (32, 64, 128, 256)
"""Of its four blocks, each at half the resolution of the one before."""


class Separable(nn.Module):
    """3x3 of each channel, then 1x1."""

    def __init__(self, channels: int, out: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = depthwise(channels, stride, bias=False)
        self.mix = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride)."""
        y: Tensor = self.mix(self.depthwise(x))
        return y


class Block(nn.Module):
    """A convolution that halves, then three that each see the sum of all before."""

    def __init__(self, halve: nn.Module, out: int) -> None:
        super().__init__()
        self.halve = halve
        self.more = nn.ModuleList(Separable(out, out) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        total = F.relu(self.halve(x))
        for layer in self.more:
            total = total + layer(F.relu(total))
        return F.relu(total)


class Landmarks68Net(nn.Module):
    """face-api's face_landmark_68."""

    mean: Tensor
    template: Tensor

    def __init__(self) -> None:
        super().__init__()
        first = Block(SameConv2d(3, CHANNELS[0], 3, 2), CHANNELS[0])
        rest = (Block(Separable(a, b, 2), b) for a, b in pairwise(CHANNELS))
        self.blocks = nn.Sequential(first, *rest)
        self.out = nn.Linear(CHANNELS[-1], POINTS * 2)
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(3, 1, 1), persistent=False)
        self.register_buffer(
            "template", torch.tensor([[0.0, 0.0], [SIDE, 0.0], [0.0, SIDE]]), persistent=False
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Faces (B, 3, 112, 112), RGB 0..1, upright and filling them -> points (B, 68, 2), in sides."""
        x = self.blocks((faces * 255 - self.mean) / 255)
        points: Tensor = self.out(x.mean(dim=(2, 3)))
        return points.view(-1, POINTS, 2)

    def points(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        """The points (B, 68, 2) px of pictures (B, 3, H, W), RGB 0..1.

        Args:
            pictures: one face each; gradients reach them.
            landmarks: (B, 478, 2 or 3), MediaPipe's, in pixels: they say where to look, no more. To compare
                two pictures, give both the same ones, so that both are looked at through the same window.
        """
        corners = face_corners(landmarks.float())
        found = self(cut_faces(pictures, corners, self.template, SIDE)).float()
        right, down = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        points: Tensor = corners[:, :1] + found @ torch.stack([right, down], dim=1)
        return points


def face_corners(landmarks: Tensor) -> Tensor:
    """Upper left, upper right and lower left corner (B, 3, 2) of the square around faces, turned as they are.

    Args:
        landmarks: (B, 478, 2 or 3), MediaPipe's.
    """
    eyes = F.normalize(landmarks[:, 263, :2] - landmarks[:, 33, :2], dim=1)
    axes = torch.stack([eyes, torch.stack([-eyes[:, 1], eyes[:, 0]], dim=1)], dim=1)  # rows: right, down
    along = landmarks[:, list(BOX), :2] @ axes.mT
    low, high = along.amin(dim=1), along.amax(dim=1)
    side = (high - low).amax(dim=1, keepdim=True) * (1 + 2 * ROOM)
    corner = (low + high - side) / 2
    steps = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], device=landmarks.device)
    return (corner[:, None] + side[:, None] * steps) @ axes


def landmarks68_state(tensors: Tensors) -> dict[str, Tensor]:
    """The state of a `Landmarks68Net` from the tensors of face-api's face_landmark_68_model."""
    state: dict[str, Tensor] = {}

    def separable(place: str, name: str) -> None:
        state[f"{place}.depthwise.weight"] = depthwise_weight(tensors.take(f"{name}/depthwise_filter"))
        state[f"{place}.mix.weight"] = conv_weight(tensors.take(f"{name}/pointwise_filter"))
        state[f"{place}.mix.bias"] = vector(tensors.take(f"{name}/bias"))

    for i in range(len(CHANNELS)):
        place, name = f"blocks.{i}", f"dense{i}"
        if i == 0:
            state[f"{place}.halve.weight"] = conv_weight(tensors.take(f"{name}/conv0/filters"))
            state[f"{place}.halve.bias"] = vector(tensors.take(f"{name}/conv0/bias"))
        else:
            separable(f"{place}.halve", f"{name}/conv0")
        for k in range(3):
            separable(f"{place}.more.{k}", f"{name}/conv{k + 1}")
    state["out.weight"] = vector(tensors.take("fc/weights")).T
    state["out.bias"] = vector(tensors.take("fc/bias"))
    tensors.finish()
    return state
