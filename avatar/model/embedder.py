"""Pictures of a person to one embedding, the mean over the pictures."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from avatar.model.blocks import SLOPE

REFERENCE_CHANNELS = 4
"""Colours and alpha; the drawing's follow."""


def mean_over_pictures(embeddings: Tensor, valid: Tensor) -> Tensor:
    """(B, E) of embeddings (B, K, E) where `valid` (B, K) is 1 (Zakharov et al. 2019, sec. 3.2)."""
    weight = valid / valid.sum(dim=1, keepdim=True)
    return (embeddings * weight[..., None]).sum(dim=1)


class LiveEmbedder(nn.Module):
    """A few strided convolutions and a global mean.

    Args:
        drawing: channels of the landmark drawing.
        size: length E of the embedding.
        widths: of the stages; the first works at a quarter of the pictures' side, each next at half of that.
    """

    def __init__(self, drawing: int, size: int, widths: tuple[int, ...] = (64, 128, 192, 256)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(16 * (REFERENCE_CHANNELS + drawing), widths[0], 3, 1, 1)]
        for before, after in pairwise(widths):
            layers += [nn.LeakyReLU(SLOPE), nn.Conv2d(before, after, 3, 2, 1)]
        self.trunk = nn.Sequential(*layers)
        self.out = nn.Linear(widths[-1], size)

    def forward(self, references: Tensor, valid: Tensor) -> Tensor:
        """(B, K, 4 + D, r, r), 0..1, and (B, K), 1 where there is a picture -> (B, E)."""
        x = F.pixel_unshuffle(references.flatten(0, 1) * 2 - 1, 4)
        embeddings = self.out(self.trunk(x).float().mean(dim=(2, 3)))
        return mean_over_pictures(embeddings.unflatten(0, references.shape[:2]), valid)
