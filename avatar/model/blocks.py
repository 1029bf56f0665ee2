"""The layers of which the networks are made.

Feature maps are (B, C, H, W). Parameters of an identity come as pairs (scale, shift), each (B, C): what AdaIN
(X. Huang, S. Belongie, "Arbitrary Style Transfer in Real-time with Adaptive Instance Normalization", ICCV 2017)
puts in the place of a picture's own statistics. A scale of 0 leaves the normalised features as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.2
"""Of the leaky rectifiers."""
SPECTRAL_EPSILON = 1e-4

Style = tuple[Tensor, Tensor]
"""(scale, shift)."""

Layer = TypeVar("Layer", bound=nn.Module)


def spectral(layer: Layer) -> Layer:
    """A layer whose weight is divided by its largest singular value.

    Source: T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.
    """
    return nn.utils.parametrizations.spectral_norm(layer, eps=SPECTRAL_EPSILON)


def fold_spectral(network: Layer) -> Layer:
    """Put the divided weights in the place of spectral norms, in place: nothing is left to do per frame."""
    for module in list(network.modules()):
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            nn.utils.parametrize.remove_parametrizations(module, "weight")
    return network


def load_folded(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put weights that `fold_spectral` left into a network that still has its spectral norms."""
    own = dict(state)
    for place, module in network.named_modules():
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            own[f"{place}.parametrizations.weight.original"] = own.pop(f"{place}.weight")
    buffers = {name: value for name, value in network.state_dict().items() if name not in own}
    network.load_state_dict({**buffers, **own})


def instance_norm(x: Tensor) -> Tensor:
    """Features with mean 0 and deviation 1 over each map; the statistics are taken in float32."""
    return F.instance_norm(x.float()).to(x.dtype)


def restyled(x: Tensor, style: Style) -> Tensor:
    """Scale and shift each map (B, C, H, W) as an identity wants it."""
    scale, shift = (part.to(x.dtype)[..., None, None] for part in style)
    return x * (1 + scale) + shift


def twice(x: Tensor) -> Tensor:
    """Twice the side, each value repeated."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def twice_smooth(x: Tensor) -> Tensor:
    """Twice the side, between the values in straight lines."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def styles_of(psi: Tensor, widths: Sequence[int]) -> Iterator[Style]:
    """Cut an identity's parameters (B, 2 * sum(widths)) into the pairs of layers of those widths, in order."""
    for part in psi.split([2 * width for width in widths], dim=1):
        scale, shift = part.chunk(2, dim=1)
        yield scale, shift


class ModulatedConv(nn.Module):
    """A 3x3 convolution whose output each identity scales and shifts, after instance norm or without it."""

    def __init__(self, inputs: int, outputs: int, *, normed: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=not normed)
        self.normed = normed

    def forward(self, x: Tensor, style: Style) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        x = self.conv(x)
        return restyled(instance_norm(x) if self.normed else x, style)


class ModulatedResidual(nn.Module):
    """Two modulated convolutions beside a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ModulatedConv(width, width, normed=True)
        self.second = ModulatedConv(width, width, normed=True)
        self.styled = (width, width)

    def forward(self, x: Tensor, first: Style, second: Style) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        return x + self.second(F.leaky_relu(self.first(x, first), SLOPE), second)


class SelfAttention(nn.Module):
    """Every place looks at all others; starts as the identity.

    Source: H. Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = spectral(nn.Conv2d(width, width // 8, 1, bias=False))
        self.key = spectral(nn.Conv2d(width, width // 8, 1, bias=False))
        self.value = spectral(nn.Conv2d(width, width, 1, bias=False))
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        query, key, value = (layer(x).flatten(2).mT for layer in (self.query, self.key, self.value))
        # The paper does not divide by the root of the width.
        seen = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.share.to(x.dtype) * seen.mT.reshape(x.shape)
