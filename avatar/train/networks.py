"""The networks that are trained together, and their slowly following copy."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avatar.model.live import LiveDiscriminator, LiveEmbedder, LiveGenerator, LiveOutput


class LiveNetworks(nn.Module):
    """What is shipped: embedder, projection to the identity's parameters, generator."""

    def __init__(self, embedding: int = 128) -> None:
        super().__init__()
        self.embedder = LiveEmbedder(embedding)
        self.generator = LiveGenerator()
        self.projection = nn.Linear(embedding, self.generator.parameters_needed)
        nn.init.normal_(self.projection.weight, std=0.02)
        nn.init.zeros_(self.projection.bias)

    def embed(self, references: Tensor, valid: Tensor) -> Tensor:
        """(B, E) of references (B, K, 8, r, r) and their validity (B, K)."""
        embedding: Tensor = self.embedder(references, valid)
        return embedding

    def forward(self, warps: Tensor, drawing: Tensor, embedding: Tensor) -> LiveOutput:
        """What the generator makes of a window for an identity's embedding (B, E)."""
        output: LiveOutput = self.generator(warps, drawing, self.projection(embedding))
        return output


@dataclass(slots=True)
class TrainedTogether:
    """All that a run trains."""

    networks: LiveNetworks
    average: LiveNetworks
    """Exponential moving average of `networks`: what is shipped."""
    discriminator: LiveDiscriminator

    @staticmethod
    def build(clips: int) -> TrainedTogether:
        """Fresh ones for so many clips."""
        networks = LiveNetworks()
        return TrainedTogether(
            networks.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            copy.deepcopy(networks).requires_grad_(False),
            LiveDiscriminator(clips).to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        )

    def follow(self, decay: float) -> None:
        """Move the average a step towards the networks."""
        with torch.no_grad():
            for slow, fast in zip(self.average.parameters(), self.networks.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
