"""The layers of which the networks are made.

Feature maps are (B, C, H, W). Parameters of an identity come as pairs (scale, shift), each (B, C): what AdaIN
puts in the place of a picture's own statistics (X. Huang, S. Belongie, "Arbitrary Style Transfer in Real-time
with Adaptive Instance Normalization", ICCV 2017). A scale of 0 leaves the normalised features as they are.
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
RANK = 16
"""So many directions are followed to find a weight's largest singular value; it is known to about 1 %."""

Style = tuple[Tensor, Tensor]
"""(scale, shift)."""

Layer = TypeVar("Layer", bound=nn.Module)


def spectral(layer: Layer) -> Layer:
    """A layer whose weight is divided by its largest singular value.

    Source: T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018.
    """
    nn.utils.parametrizations.spectral_norm(layer, eps=SPECTRAL_EPSILON)
    return layer


def fold_spectral(network: Layer) -> Layer:
    """Put the divided weights in the place of spectral norms, in place: nothing is left to do per frame."""
    for module in list(network.modules()):
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            divided: Tensor = module.weight  # type: ignore[assignment]
            # `remove_parametrizations` would take it off all copies of the module: they share a class.
            module.__class__ = nn.utils.parametrize.type_before_parametrizations(module)
            del module.parametrizations
            module.weight = nn.Parameter(divided.detach())
    return network


def load_folded(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put weights that `fold_spectral` left into a network that still has its spectral norms."""
    own = dict(state)
    for place, module in network.named_modules():
        if nn.utils.parametrize.is_parametrized(module, "weight"):
            weight = own.pop(f"{place}.weight")
            # Training follows these vectors from step to step; with those of other weights it would divide by
            # far too little at first.
            left, _, right = torch.svd_lowrank(
                weight.flatten(1), min(RANK, *weight.flatten(1).shape), RANK // 2
            )
            spectral_norm = f"{place}.parametrizations.weight"
            own |= {
                f"{spectral_norm}.original": weight,
                f"{spectral_norm}.0._u": left[:, 0],
                f"{spectral_norm}.0._v": right[:, 0],
            }
    network.load_state_dict(own)


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


def smooth_quarters(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, 4 C, H, W), of which `pixel_shuffle(..., 2)` makes `x` at twice the side.

    Between the values in straight lines, as `interpolate(mode="bilinear", align_corners=False)` gives it.

    As a convolution, because engines are slow in interpolating.
    """
    # Made where `x` lies: numbers that come from the processor cannot be recorded in a CUDA graph.
    places = torch.arange(3, dtype=x.dtype, device=x.device)
    first, second = ((1 - (places - middle).abs()).clamp(min=0) for middle in (0.75, 1.25))
    kernels = [down[:, None] * across[None] for down in (first, second) for across in (first, second)]
    weight = torch.stack(kernels)[:, None].repeat(x.shape[1], 1, 1, 1)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), weight, groups=x.shape[1])


def styles_of(psi: Tensor, widths: Sequence[int]) -> Iterator[Style]:
    """Cut an identity's parameters (B, 2 * sum(widths)) into pairs for layers of those widths, in order."""
    for part in torch.split(psi, [2 * width for width in widths], dim=1):
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
        y: Tensor = self.conv(x)
        return restyled(instance_norm(y) if self.normed else y, style)


class ModulatedResidual(nn.Module):
    """Two modulated convolutions beside a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ModulatedConv(width, width, normed=True)
        self.second = ModulatedConv(width, width, normed=True)
        self.styled = (width, width)

    def forward(self, x: Tensor, first: Style, second: Style) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y: Tensor = self.second(F.leaky_relu(self.first(x, first), SLOPE), second)
        return x + y


class SelfAttention(nn.Module):
    """Every place looks at all others; starts as the identity.

    Source: H. Zhang et al., "Self-Attention Generative Adversarial Networks", ICML 2019, in BigGAN's form
    (A. Brock et al., ICLR 2019): what is looked at is pooled to half the side, its values are half as wide.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = spectral(nn.Conv2d(width, width // 8, 1, bias=False))
        self.key = spectral(nn.Conv2d(width, width // 8, 1, bias=False))
        self.value = spectral(nn.Conv2d(width, width // 2, 1, bias=False))
        self.out = spectral(nn.Conv2d(width // 2, width, 1, bias=False))
        self.share = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        maps = (self.query(x), F.max_pool2d(self.key(x), 2), F.max_pool2d(self.value(x), 2))
        query, key, value = (each.flatten(2).mT for each in maps)
        # Not divided by the root of the width. Step by step: engines do not convert torch's own attention
        # where values and keys are of different widths.
        seen = (query @ key.mT).softmax(dim=-1) @ value
        b, c, height, width = x.shape
        added: Tensor = self.out(seen.mT.reshape(b, c // 2, height, width))
        return x + self.share.to(x.dtype) * added
