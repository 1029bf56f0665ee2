"""The numbers of a training run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from avatar.errors import AvatarError
from avatar.tools.tensor_file import replace_file


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """One run; kept as `options.json` in its folder."""

    preset: str = "live"
    size: int = 128
    """Side of the network's window [px]."""
    batch: int = 8
    """Samples of a step, in each process."""
    views: int = 4
    """At most so many pictures of a person in a sample."""
    rate: float = 3e-4
    """Adam's learning rate of embedder and generator,"""
    rate_discriminator: float = 5e-4
    """and of the discriminator."""
    betas: tuple[float, float] = (0.5, 0.99)
    settle: float = 0.3
    """In this last share of the run both rates fall to zero in a straight line."""
    critic_steps: int = 1
    """Steps of the discriminator for one of the generator."""
    piece: int = 128
    """Of larger windows perceptual loss and critic see a square of this side [px], another each step."""
    clip: float = 10.0
    """Longer gradients are shortened to this in `avatar train`; 0: none is."""
    average: float = 0.998
    """Decay of the moving average, for each step."""
    boxes: float = 5.0
    """How much more mouth and eyes count in `l1` than the rest of the person."""
    l1: float = 10.0
    perceptual: float = 2.0
    """Weight of the feature distance of the whole window,"""
    perceptual_boxes: float = 20.0
    """and of mouth and eyes, each cut out."""
    l1_boxes: float = 20.0
    """Weight of the L1 loss of mouth and eyes, each cut out."""
    texture: float = 20.0
    """Weight of how far the strength of gradients differs; half of it in mouth and eyes cut out."""
    identity: float = 0.3
    alpha: float = 2.0
    flow: float = 0.02
    keep: float = 0.4
    """Weight of what is not the best warp's own pixels outside of mouth and eyes."""
    adversarial: float = 0.05
    """Weight of each critic's scores,"""
    matching: float = 2.0
    """and of its feature maps;"""
    whole: float = 1.0
    """both times this for the critic of the whole window."""
    match: float = 0.1
    """Weight of the distance of embedding and column (Zakharov et al. 2019, L_MCH)."""
    adversarial_from: int = 20_000
    """Samples of this run before the discriminator has a say; it learns from half of them on."""
    bf16: bool = True
    """Convolutions in bfloat16."""
    seed: int = 0
    hold_back: int = 5
    """People who are only looked at."""

    def settled(self, seen: int, samples: int) -> float:
        """What is left of the rates after `seen` of `samples` samples, 0..1."""
        last = self.settle * samples
        return min(1.0, (samples - seen) / last) if last > 0 else 1.0

    def save(self, path: Path) -> None:
        """Write them as JSON."""
        replace_file(path, (json.dumps(dataclasses.asdict(self), indent=2) + "\n").encode())


# Zakharov et al. 2019, sec. 4, as vincent-thevenin/Realistic-Neural-Talking-Head-Models (train.py) and
# grey-eye/talking-heads (run.py) have them: rates, two steps of the discriminator, weights of L_FM and L_MCH.
_PAPER = TrainOptions(
    preset="paper",
    size=256,
    views=8,
    rate=5e-5,
    rate_discriminator=2e-4,
    betas=(0.0, 0.999),
    settle=0.0,
    piece=256,
    clip=0.0,
    critic_steps=2,
    boxes=0.0,
    identity=0.0,
    alpha=0.0,
    flow=0.0,
    keep=0.0,
    perceptual_boxes=12.0,
    l1_boxes=0.0,
    texture=0.0,
    adversarial=1.0,
    matching=10.0,
    whole=1.0,
    match=10.0,
    adversarial_from=0,
)
DEFAULTS: Mapping[str, TrainOptions] = {
    "live": TrainOptions(),
    "paper": _PAPER,
    "paper-small": dataclasses.replace(_PAPER, preset="paper-small", size=128, rate=3e-4),
    "tiny": TrainOptions(
        preset="tiny", size=64, batch=4, views=2, settle=0.0, adversarial_from=0, hold_back=0
    ),
}
"""The options a run of a preset begins with."""


def load_options(path: Path) -> TrainOptions:
    """Read `options.json`; raises AvatarError over an unknown key."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return TrainOptions(**{**fields, "betas": tuple(fields.get("betas", (0.5, 0.99)))})
    except (OSError, ValueError, TypeError) as error:
        raise AvatarError(f"{path}: no options of a training run ({error})") from None
