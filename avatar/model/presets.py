"""The presets by name: which networks, of what size, fed with what.

Cost of one frame at `size`, counted with torch.utils.flop_counter (two operations are one MAC); the embedder
is asked once for a person. P is the projection to the identity's parameters.

| preset        | frame      | parameters of generator, embedder, P | of the discriminator |
|---------------|------------|--------------------------------------|----------------------|
| `live`        | 1.49 GMAC  | 1.62 M, 0.84 M, 0.28 M               | 0.44 M               |
| `paper`       | 47.8 GMAC  | 36.1 M, 14.9 M, 7.7 M                | 19.6 M               |
| `paper-small` | 1.38 GMAC  | 0.65 M, 0.49 M, 0.26 M               | 1.10 M               |

The paper says 38 M for the generator, 15 M and 20 M. `paper-small` has the same layers at the cost of `live`,
to tell what the warped pixels are worth. Four pixels of a window are one place with four times the channels,
so that a block on the way down and one on the way up, which would work on 256x256 places, are saved; and
widths are 32 to 64 (generator) and 32 to 128 instead of 64 to 512.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from avatar.model.discriminator import LiveDiscriminator
from avatar.model.embedder import LiveEmbedder
from avatar.model.generator import LiveGenerator
from avatar.model.networks import Networks
from avatar.model.paper import PaperDiscriminator, PaperEmbedder, PaperGenerator
from avatar.tools.drawing import CHANNELS, Style

EMBEDDING = 128
PAPER_WIDTHS = (64, 128, 256, 512, 512, 512)
"""Of the paper's embedder and discriminator; its generator has the first four."""
SMALL_WIDTHS = (32, 64, 96, 128, 128)


@dataclass(frozen=True, slots=True)
class Preset:
    """One kind of networks."""

    name: str
    size: int
    """Side R of the window it is made for [px]."""
    reference_size: int
    """Side r of the pictures the embedder sees [px]."""
    style: Style
    """Of the landmark drawings."""
    networks: Callable[[], Networks]
    """Fresh ones."""
    discriminator: Callable[[int], nn.Module]
    """A fresh one for so many clips,"""
    sees_warps: bool = True
    """Whether the generator looks at the warped pixels, and not at the drawing alone."""
    parts: Callable[[int], nn.Module] | None = None
    """and one that looks at mouth and eyes alone, each cut out."""


def _live_networks(
    widths: tuple[int, int, int, int] = (32, 64, 96, 160), middle: int = 2, embedding: int = EMBEDDING
) -> Networks:
    drawing = CHANNELS["layers"]
    return Networks(LiveEmbedder(drawing, embedding), embedding, LiveGenerator(drawing, widths, middle))


def _paper_networks() -> Networks:
    drawing, size = CHANNELS["coloured"], 256
    generator = PaperGenerator(drawing, size, PAPER_WIDTHS[:4])
    return Networks(PaperEmbedder(drawing, size, PAPER_WIDTHS), PAPER_WIDTHS[-1], generator)


def _paper_small_networks() -> Networks:
    drawing = CHANNELS["coloured"]
    generator = PaperGenerator(drawing, 256, (32, 48, 64), fold=2)
    return Networks(PaperEmbedder(drawing, 128, SMALL_WIDTHS[:4], fold=2), SMALL_WIDTHS[3], generator)


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="live",
            size=256,
            reference_size=128,
            style="layers",
            networks=_live_networks,
            discriminator=lambda clips: LiveDiscriminator(CHANNELS["layers"], clips, EMBEDDING),
            parts=lambda clips: LiveDiscriminator(CHANNELS["layers"], clips, EMBEDDING, (48, 96, 128, 192)),
        ),
        Preset(
            name="paper",
            size=256,
            reference_size=256,
            style="coloured",
            networks=_paper_networks,
            sees_warps=False,
            discriminator=lambda clips: PaperDiscriminator(CHANNELS["coloured"], 256, clips, PAPER_WIDTHS),
        ),
        Preset(
            name="paper-small",
            size=256,
            reference_size=128,
            style="coloured",
            networks=_paper_small_networks,
            sees_warps=False,
            discriminator=lambda clips: PaperDiscriminator(CHANNELS["coloured"], 256, clips, SMALL_WIDTHS, 2),
        ),
        Preset(
            name="tiny",  # for tests
            size=64,
            reference_size=64,
            style="layers",
            networks=lambda: _live_networks((16, 16, 16, 16), 1, 16),
            discriminator=lambda clips: LiveDiscriminator(CHANNELS["layers"], clips, 16, (16, 16, 16)),
            parts=lambda clips: LiveDiscriminator(CHANNELS["layers"], clips, 16, (16, 16, 16)),
        ),
    )
}
