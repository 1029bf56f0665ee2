"""The residual blocks of the paper's networks, with spectral norm in every convolution.

Zakharov et al. 2019, sec. 4.1: blocks as in A. Brock et al., "Large Scale GAN Training for High Fidelity
Natural Image Synthesis" (BigGAN), ICLR 2019, so normalised and rectified before each convolution, with
instance norm in the place of batch norm. shrubb/latent-pose-reenactment, of the same lab, has them so, and
doubles the side by repeating values. The 1x1 convolution of a skip stands where the map is small: after the
pooling and before the repeating it gives the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import Style, instance_norm, restyled, spectral, twice


class Norm(nn.Module):
    """Instance norm with a scale and a shift of its own for each map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(1, width))
        self.shift = nn.Parameter(torch.zeros(1, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return restyled(instance_norm(x), (self.scale, self.shift))


def norm_or_not(width: int, normed: bool) -> nn.Module:
    """A `Norm`, or nothing."""
    return Norm(width) if normed else nn.Identity()


class DownBlock(nn.Module):
    """To half the side.

    Args:
        inputs: channels that come.
        outputs: channels that go.
        normed: with instance norm, as in the generator.
        first: sees a picture, which is neither normalised nor rectified.
    """

    def __init__(self, inputs: int, outputs: int, *, normed: bool, first: bool = False) -> None:
        super().__init__()
        self.first = first
        # What a norm takes off again, now or later, needs no bias.
        self.before = norm_or_not(inputs, normed and not first)
        self.conv1 = spectral(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=first or not normed))
        self.between = norm_or_not(outputs, normed and not first)
        self.conv2 = spectral(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=not normed))
        self.skip = spectral(nn.Conv2d(inputs, outputs, 1, bias=not normed))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/2, W/2)."""
        h = x if self.first else F.relu(self.before(x))
        h = self.conv2(F.relu(self.between(self.conv1(h))))
        down: Tensor = F.avg_pool2d(h, 2) + self.skip(F.avg_pool2d(x, 2))
        return down


class FlatBlock(nn.Module):
    """Same side, same width, no norm: the last block of the discriminator."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = spectral(nn.Conv2d(width, width, 3, 1, 1))
        self.conv2 = spectral(nn.Conv2d(width, width, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        flat: Tensor = x + self.conv2(F.relu(self.conv1(F.relu(x))))
        return flat


class StyledBlock(nn.Module):
    """With AdaIN before each convolution.

    Args:
        inputs: channels that come.
        outputs: channels that go; the same as come where the side stays.
        up: to twice the side.
    """

    def __init__(self, inputs: int, outputs: int, *, up: bool) -> None:
        super().__init__()
        self.up = up
        self.conv1 = spectral(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False))
        self.conv2 = spectral(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False))
        self.skip = spectral(nn.Conv2d(inputs, outputs, 1, bias=False)) if up else nn.Identity()
        self.styled = (inputs, outputs)

    def forward(self, x: Tensor, before: Style, between: Style) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W), or twice that side."""
        h = F.relu(restyled(instance_norm(x), before))
        h = self.conv1(twice(h) if self.up else h)
        h = self.conv2(F.relu(restyled(instance_norm(h), between)))
        skip = self.skip(x)
        styled: Tensor = h + (twice(skip) if self.up else skip)
        return styled
