"""Makes a finished portrait of the warped pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from avatar.errors import ModelError
from avatar.generate.conditioning import EMBEDDING, LAYERS, PSI, condition, is_tuned, networks_of, psi_of
from avatar.generate.network_file import Trained, load_networks, save_networks
from avatar.generate.network_generator import NetworkGenerator
from avatar.generate.warp_generator import WarpGenerator
from avatar.records import Identity, Motion, Portrait, Warped
from avatar.runtime import PLAIN, Wanted
from avatar.weights import manifest, resolve

__all__ = [
    "EMBEDDING",
    "LAYERS",
    "PSI",
    "Generator",
    "NetworkGenerator",
    "Trained",
    "WarpGenerator",
    "condition",
    "is_tuned",
    "load_networks",
    "networks_of",
    "open_generator",
    "open_networks",
    "psi_of",
    "save_networks",
]


class Generator(Protocol):
    """Warped pixels to a finished portrait."""

    looks_at_other: bool
    """Whether it makes use of the second best view."""
    crispness: float
    """By how much it wants the best view's pixels sharpened, see `tools.scaling.sharpened`."""
    runtime: str | None
    """What runs its network, in words; None if it has none."""

    def __call__(self, warped: Warped, motion: Motion) -> Portrait:
        """Finish one portrait."""


def open_networks(preset: str, path: Path | None = None) -> Trained:
    """The networks of a preset: those that come with the program, or of a file.

    Raises:
        ModelError: there are none of that preset, or the file is damaged or of another one.
    """
    if path is None and preset not in manifest():
        raise ModelError(
            f"no networks of the preset {preset} come with the program: train some with "
            f"'avatar train --preset {preset}' and name their file with --weights"
        )
    return load_networks(path or resolve(preset), preset)


def open_generator(
    name: str, identity: Identity, side: int, *, weights: Path | None = None, wanted: Wanted = PLAIN
) -> Generator:
    """A generator by name: `warp`, or the preset whose networks draw.

    Args:
        name: which.
        identity: who.
        side: side S of the portraits in pixels.
        weights: a file of networks; None: those that come with the program.
        wanted: what runs them.

    Raises:
        ModelError: as `open_networks` and `runtime.open_runtime`.
    """
    if name == "warp":
        return WarpGenerator(identity, side)
    return NetworkGenerator(identity, side, open_networks(name, weights), wanted)
