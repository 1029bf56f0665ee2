"""The presets by name: which networks, of what size, fed with what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from avatar.model.discriminator import LiveDiscriminator
from avatar.model.embedder import LiveEmbedder
from avatar.model.generator import LiveGenerator
from avatar.model.networks import Networks
from avatar.tools.drawing import CHANNELS, Style

EMBEDDING = 128


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
    """A fresh one for so many clips."""


def _live_networks(
    widths: tuple[int, int, int, int] = (32, 64, 96, 160), middle: int = 2, embedding: int = EMBEDDING
) -> Networks:
    drawing = CHANNELS["layers"]
    return Networks(LiveEmbedder(drawing, embedding), embedding, LiveGenerator(drawing, widths, middle))


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
        ),
        Preset(
            name="tiny",  # for tests
            size=64,
            reference_size=64,
            style="layers",
            networks=lambda: _live_networks((16, 16, 16, 16), 1, 16),
            discriminator=lambda clips: LiveDiscriminator(CHANNELS["layers"], clips, 16, (16, 16, 16)),
        ),
    )
}
