"""Whether a built engine says what the plain network says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch

from avatar.errors import ModelError
from avatar.model.generator import Drawn, blend
from avatar.records import F32
from avatar.runtime.frame import OUTPUTS, FrameInputs, FrameMaps

WALL = 0.5
"""Grey behind the person when pictures are compared."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an engine may differ by; maps hold 0..1, but for the flow, in sides of the window."""

    most: float
    """At any place of any map,"""
    mean: float
    """on average over the worst map,"""
    psnr: float
    """and the finished pictures' likeness in dB, at least."""


TOLERANCES = {
    "fp32": Tolerance(most=0.01, mean=0.0005, psnr=60.0),
    "fp16": Tolerance(most=0.2, mean=0.005, psnr=40.0),
    "bf16": Tolerance(most=0.2, mean=0.005, psnr=40.0),
}
"""By precision."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an engine is from the plain network over some frames."""

    most: float
    mean: float
    psnr: float
    """Of the worst frame [dB]."""

    def flaw(self, tolerance: Tolerance) -> str | None:
        """What is not kept, in words; None if all is."""
        # So that what is no number is a flaw, too.
        if not self.most <= tolerance.most:
            return f"its maps differ by up to {self.most:.4f} (allowed: {tolerance.most:g})"
        if not self.mean <= tolerance.mean:
            return f"its maps differ by {self.mean:.5f} on average (allowed: {tolerance.mean:g})"
        if not self.psnr >= tolerance.psnr:
            return f"its pictures have a PSNR of {self.psnr:.1f} dB (at least {tolerance.psnr:g})"
        return None

    def facts(self) -> dict[str, float]:
        """For JSON."""
        return {name: round(value, 5) for name, value in asdict(self).items()}


def compare(
    engine: Callable[[FrameInputs], FrameMaps],
    plain: Callable[[FrameInputs], FrameMaps],
    frames: Sequence[FrameInputs],
) -> Parity:
    """Ask both for the same frames."""
    most, means, psnr = 0.0, dict.fromkeys(OUTPUTS, 0.0), float("inf")
    for frame in frames:
        made, wanted = engine(frame), plain(frame)
        for name in OUTPUTS:
            off = np.abs(getattr(made, name) - getattr(wanted, name))
            most = float(np.maximum(most, off.max()))  # unlike `max`, keeps what is no number
            means[name] += float(off.mean()) / len(frames)
        error = float(np.square(finished(made, frame) - finished(wanted, frame)).mean())
        psnr = float(np.minimum(psnr, -10 * np.log10(np.maximum(error, 1e-10))))
    return Parity(most, max(means.values()), psnr)


def check(parity: Parity, precision: str, what: str) -> None:
    """Raise ModelError if an engine of that precision differs by too much."""
    flaw = parity.flaw(TOLERANCES[precision])
    if flaw is not None:
        raise ModelError(f"{what} does not do what the plain network does: {flaw}; it is not used")


def finished(maps: FrameMaps, inputs: FrameInputs) -> F32:
    """The person over a grey wall (R, R, 3), 0..1, as `model.generator.blend` makes it."""
    maps_of_one = (maps.flow, maps.keep[None], maps.base, maps.alpha[None])
    drawn = Drawn(*(torch.from_numpy(np.ascontiguousarray(each))[None] for each in maps_of_one))
    best = torch.from_numpy(np.ascontiguousarray(inputs.best[..., :3])).movedim(-1, 0)[None].float() / 255
    person = blend(drawn, best).clamp(0, 1)
    shown = WALL + drawn.alpha * (person - WALL)
    return np.asarray(shown[0].movedim(0, -1).numpy(), np.float32)
