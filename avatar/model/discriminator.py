"""Tells real windows from made ones, and whether they show the clip's person.

score = v . (W_i + w0) + b, W_i a column for each clip (Zakharov et al. 2019, eq. 6; T. Miyato, M. Koyama,
"cGANs with Projection Discriminator", ICLR 2018).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SLOPE, instance_norm


class Verdict(NamedTuple):
    """What a discriminator says of a batch."""

    score: Tensor
    """(B,)."""
    patches: Tensor
    """(B, 1, h, w): scores of details that one number for a window does not reach; zeros if it has none."""
    features: list[Tensor]
    """The maps of all layers, for feature matching."""


class Projection(nn.Module):
    """The columns of the clips, and the score."""

    def __init__(self, clips: int, size: int) -> None:
        super().__init__()
        self.columns = nn.Embedding(clips, size)
        nn.init.normal_(self.columns.weight, std=0.02)
        self.w0 = nn.Parameter(torch.randn(size) * 0.1)
        self.b = nn.Parameter(torch.zeros(1))

    def forward(self, v: Tensor, clip: Tensor) -> Tensor:
        """(B, E) and clip numbers (B,) -> (B,)."""
        score: Tensor = (v * (self.columns(clip) + self.w0)).sum(dim=1) + self.b
        return score


class LiveDiscriminator(nn.Module):
    """Strided convolutions, with scores for patches beside the whole.

    Instance norm in the place of the paper's spectral norm: real and mended windows differ in little, and
    with all gains held to 1 that little never reached the score.

    Args:
        drawing: channels of the landmark drawing.
        clips: number of columns.
        size: length of a column, that of the embedding.
        widths: of the layers; the first works at half the window's side, each next at half of that.
    """

    def __init__(
        self, drawing: int, clips: int, size: int, widths: tuple[int, ...] = (32, 64, 96, 128, 192)
    ) -> None:
        super().__init__()
        stages = pairwise((4 * (3 + drawing), *widths))
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, 3, 1 if at == 0 else 2, 1) for at, (before, after) in enumerate(stages)
        )
        self.patch = nn.Conv2d(widths[-2], 1, 1)
        self.out = nn.Linear(widths[-1], size)
        self.projection = Projection(clips, size)

    def forward(self, picture: Tensor, drawing: Tensor, clip: Tensor) -> Verdict:
        """Args: picture (B, 3, R, R), drawing (B, D, R, R), 0..1; clip (B,)."""
        x = F.pixel_unshuffle(torch.cat([picture, drawing], dim=1) * 2 - 1, 2)
        features = []
        for at, conv in enumerate(self.convs):
            x = conv(x)
            x = F.leaky_relu(instance_norm(x) if at else x, SLOPE)
            features.append(x)
        v = self.out(x.float().mean(dim=(2, 3)))
        return Verdict(self.projection(v, clip), self.patch(features[-2]).float(), features)
