"""A perceptual measure's network: the MobileNet of HSE-FaceRes, which knows faces, as human-models ships it.

It was trained to tell people apart, then its heads to tell age and gender; the heads are left out.

Source: A. Savchenko, "Efficient facial representations for age, gender and identity recognition in organizing
photo albums using multi-output ConvNet", PeerJ Computer Science 5, 2019,
https://github.com/av-savchenko/HSE_FaceRec_tf: age_gender_identity/facial_analysis.py for order and means of
the input's channels. The layers are those of A. Howard et al., "MobileNets", 2017, table 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.train.pretrained.layers import SameConv2d, conv_weight, depthwise, depthwise_weight, vector
from avatar.train.pretrained.tfjs import Tensors

SIDE = 224
"""Side of the pictures it was trained on [px], the face filling them."""
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
"""Channels and stride of its blocks (table 1 of MobileNets)."""
LEVELS = (0, 2, 4, 10, 12)
"""Blocks whose features are given: the last of each resolution, 1/2, 1/4, 1/8, 1/16 and 1/32."""
MEAN = (123.68, 116.779, 103.939)
"""Taken off red, green, blue [0..255]."""


class Block(nn.Module):
    """3x3 of each channel, then 1x1; the batch norms are folded in."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.depthwise = depthwise(channels, stride)
        self.mix = nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H / stride, W / stride), 0..6."""
        return F.relu6(self.mix(F.relu6(self.depthwise(x))))


class FaceResNet(nn.Module):
    """The features of HSE-FaceRes' MobileNet down to 1/32 of the picture's size."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv2d(3, 32, 3, 2)
        widths = (32, *(out for out, _ in BLOCKS))
        self.blocks = nn.ModuleList(
            Block(channels, out, stride) for channels, (out, stride) in zip(widths, BLOCKS, strict=False)
        )
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Feature maps of pictures (B, 3, H, W), RGB 0..1, best faces that fill about 224 px.

        Returns:
            (B, 64, H/2, W/2), (B, 128, H/4, W/4), (B, 256, H/8, W/8), (B, 512, H/16, W/16),
            (B, 1024, H/32, W/32), sizes rounded up, each 0..6.
        """
        x = F.relu6(self.stem(pictures * 255 - self.mean))
        levels = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in LEVELS:
                levels.append(x)
        return levels


def faceres_state(tensors: Tensors) -> dict[str, Tensor]:
    """The state of a `FaceResNet` from the tensors of human-models' faceres."""
    state: dict[str, Tensor] = {}

    def activation(name: str) -> None:
        tensors.expect(f"{name}_relu/Cast", 6.0)
        tensors.expect(f"{name}_relu/Const_1", 0.0)

    def convolution(place: str, name: str) -> None:
        state[f"{place}.weight"] = conv_weight(tensors.take(f"{name}/convolution/merged_input"))
        state[f"{place}.bias"] = vector(tensors.take(f"{name}_bn/batchnorm_1/sub"))
        activation(name)

    convolution("stem", "conv1")
    state["stem.weight"] = state["stem.weight"].flip(1)  # it was trained on BGR
    for i in range(len(BLOCKS)):
        name = f"conv_dw_{i + 1}"
        scale = vector(tensors.take(f"{name}_bn/batchnorm_1/mul"))
        kernel = depthwise_weight(tensors.take(f"{name}/depthwise_kernel"))
        state[f"blocks.{i}.depthwise.weight"] = kernel * scale[:, None, None, None]
        state[f"blocks.{i}.depthwise.bias"] = vector(tensors.take(f"{name}_bn/batchnorm_1/sub"))
        activation(name)
        convolution(f"blocks.{i}.mix", f"conv_pw_{i + 1}")
    tensors.drop("feats/", "age_pred/", "gender_pred/", "global_pooling/")
    tensors.finish()
    return state
