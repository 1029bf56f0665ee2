"""The numbers of a training run."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from avatar.errors import AvatarError


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One run; kept as `options.json` in its folder."""

    size: int = 128
    """Side of the network's window [px]."""
    batch: int = 8
    """Samples of a step, in each process."""
    views: int = 4
    """At most so many pictures of a person in a sample."""
    rate: float = 3e-4
    """Adam's learning rate of embedder and generator,"""
    rate_discriminator: float = 4e-4
    """and of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.99)
    average: float = 0.998
    """Decay of the moving average, for each step."""
    boxes: float = 5.0
    """How much more mouth and eyes count than the rest of the person."""
    l1: float = 10.0
    perceptual: float = 1.0
    identity: float = 0.0
    alpha: float = 2.0
    flow: float = 0.02
    adversarial: float = 0.3
    matching: float = 2.0
    """Weight of the discriminator's feature maps."""
    match: float = 0.1
    """Weight of the distance of embedding and column (Zakharov et al. 2019, L_MCH)."""
    adversarial_from: int = 20_000
    """Samples before the discriminator has a say; it learns from half of them on."""
    seed: int = 0
    hold_back: int = 5
    """People who are only looked at."""

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n", encoding="utf-8")


def load_options(path: Path) -> TrainOptions:
    """Read `options.json`; raises AvatarError over an unknown key."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return TrainOptions(**{**fields, "betas": tuple(fields.get("betas", (0.5, 0.99)))})
    except (OSError, ValueError, TypeError) as error:
        raise AvatarError(f"{path}: no options of a training run ({error})") from None
