"""Layers as TensorFlow has them, in torch, and its tensors in torch's order. Pictures are (B, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Array = NDArray[Any]

MEAN_RGB = (122.782, 117.001, 104.298)
"""What dlib, and face-api's networks after it, take off red, green and blue [0..255]."""


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's SAME: ceil(size / stride) out, the odd pixel right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        height, width = (self._padding(x.shape[i], i - 2) for i in (2, 3))
        if height % 2 == 0 and width % 2 == 0:
            around = (height // 2, width // 2)
            return F.conv2d(x, self.weight, self.bias, self.stride, around, self.dilation, self.groups)
        x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _padding(self, size: int, axis: int) -> int:
        stride, kernel = self.stride[axis], self.kernel_size[axis]
        return max((-(-size // stride) - 1) * stride + kernel - size, 0)


def depthwise(channels: int, stride: int = 1, *, bias: bool = True) -> SameConv2d:
    """A 3x3 convolution of each channel on its own."""
    return SameConv2d(channels, channels, 3, stride, groups=channels, bias=bias)


def conv_weight(kernel: Array) -> Tensor:
    """TensorFlow's (H, W, in, out) as torch's (out, in, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))


def depthwise_weight(kernel: Array) -> Tensor:
    """TensorFlow's (H, W, channels, 1) as torch's (channels, 1, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(kernel.transpose(2, 3, 0, 1)))


def vector(values: Array) -> Tensor:
    """A copy, as a tensor."""
    return torch.from_numpy(np.array(values))


def freeze(net: nn.Module) -> None:
    """Fix the weights, for evaluation; gradients still reach the net's input."""
    net.eval().requires_grad_(False)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
