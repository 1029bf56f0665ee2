"""The networks of one preset: what is shipped, and what is trained beside it."""

from __future__ import annotations

from torch import Tensor, nn

from avatar.model.expression import DriverLook
from avatar.model.generator import Drawn


class Networks(nn.Module):
    """What is shipped: embedder, projection P to the identity's parameters, generator.

    Args:
        embedder: pictures (B, K, 4 + D, r, r) and validity (B, K) to embeddings (B, E).
        embedding: E.
        generator: warps, drawing and parameters to a `Drawn`; `styled` are the widths of its styled layers.
    """

    def __init__(self, embedder: nn.Module, embedding: int, generator: nn.Module) -> None:
        super().__init__()
        self.embedder = embedder
        self.generator = generator
        widths: tuple[int, ...] = generator.styled  # type: ignore[assignment]
        self.projection = nn.Linear(embedding, 2 * sum(widths))
        nn.init.normal_(self.projection.weight, std=0.02)
        nn.init.zeros_(self.projection.bias)

    def with_generator(self, generator: nn.Module) -> Networks:
        """The same with another generator of that kind; all else is shared."""
        other = Networks(self.embedder, self.projection.in_features, generator)
        other.projection = self.projection
        return other.train(self.training)

    def embed(self, references: Tensor, valid: Tensor) -> Tensor:
        """(B, E) of references (B, K, 4 + D, r, r), 0..1, and their validity (B, K)."""
        embedding: Tensor = self.embedder(references, valid)
        return embedding

    def condition(self, embedding: Tensor) -> Tensor:
        """The identity's parameters psi = P e (B, P) of an embedding (B, E): all a frame needs of it."""
        psi: Tensor = self.projection(embedding)
        return psi

    def draw(self, warps: Tensor, drawing: Tensor, psi: Tensor, look: DriverLook | None = None) -> Drawn:
        """One window of an identity, see `LiveGenerator.forward`."""
        drawn: Drawn = self.generator(warps, drawing, psi, look)
        return drawn

    def forward(
        self,
        references: Tensor,
        valid: Tensor,
        warps: Tensor,
        drawing: Tensor,
        look: DriverLook | None = None,
    ) -> Drawn:
        """All at once, with nothing cached."""
        return self.draw(warps, drawing, self.condition(self.embed(references, valid)), look)
