"""The perceptual loss' network: MobileNetV2, as nsfwjs ships it.

Source: M. Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2, width
1; the weights were fine-tuned from ImageNet's by nsfwjs, https://github.com/infinitered/nsfwjs.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.train.pretrained.layers import SameConv2d, conv_weight, depthwise, depthwise_weight, vector
from avatar.train.pretrained.tfjs import Tensors

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""Expansion, channels, blocks and first stride of the stages that are used (table 2 of the paper)."""
TOP = 576
"""Channels of the next stage's first expansion, the last that is used."""
LEVELS = (1, 3, 6, 13)
"""Blocks whose expanded features are given: the last of each resolution, 1/2, 1/4, 1/8 and 1/16."""
EPSILON = 1e-3
"""Of its batch norms."""


class Block(nn.Module):
    """An inverted residual: 1x1 expansion, 3x3 of each channel, 1x1 projection without activation."""

    def __init__(self, channels: int, out: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = nn.Conv2d(channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = depthwise(wide, stride)
        self.project = nn.Conv2d(wide, out, 1)
        self.keeps = stride == 1 and channels == out

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the expanded features (B, wide, H, W) and the block's output."""
        wide = F.relu6(self.expand(x))
        y: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return wide, x + y if self.keeps else y


class PerceptualNet(nn.Module):
    """The features of MobileNetV2 up to 1/16 of the picture's size; its batch norms are folded in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        blocks, channels = [], 32
        for expansion, out, count, first_stride in STAGES:
            for i in range(count):
                blocks.append(Block(channels, out, expansion, first_stride if i == 0 else 1))
                channels = out
        self.blocks = nn.ModuleList(blocks)
        self.top = nn.Conv2d(channels, TOP, 1)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps of pictures (B, 3, H, W), RGB 0..1, H and W multiples of 16.

        Returns:
            (B, 96, H/2, W/2), (B, 144, H/4, W/4), (B, 192, H/8, W/8), (B, 576, H/16, W/16), each 0..6.
        """
        x = F.relu6(self.stem(pictures))
        levels = []
        for i, block in enumerate(self.blocks):
            wide, x = block(x)
            if i in LEVELS:
                levels.append(wide)
        return [*levels, F.relu6(self.top(x))]


def perceptual_state(tensors: Tensors) -> dict[str, Tensor]:
    """The state of a `PerceptualNet` from the tensors of nsfwjs' model."""
    state: dict[str, Tensor] = {}

    def fold(place: str, kernel: Tensor, norm: str) -> None:
        gamma, beta, mean, variance = (
            tensors.take(f"{norm}/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + EPSILON)
        state[f"{place}.weight"] = kernel * vector(scale)[:, None, None, None]
        state[f"{place}.bias"] = vector(beta - mean * scale)

    def convolution(place: str, name: str, norm: str) -> None:
        fold(place, conv_weight(tensors.take(f"{name}/kernel")), norm)

    convolution("stem", "Conv1", "bn_Conv1")
    for i in range(max(LEVELS)):
        name = f"block_{i}" if i else "expanded_conv"
        if i:
            convolution(f"blocks.{i}.expand", f"{name}_expand", f"{name}_expand_BN")
        kernel = depthwise_weight(tensors.take(f"{name}_depthwise/depthwise_kernel"))
        fold(f"blocks.{i}.depthwise", kernel, f"{name}_depthwise_BN")
        convolution(f"blocks.{i}.project", f"{name}_project", f"{name}_project_BN")
    convolution("top", "block_13_expand", "block_13_expand_BN")
    tensors.drop("block_13_", "block_14_", "block_15_", "block_16_", "Conv_1", "dense_")
    tensors.finish()
    return state
