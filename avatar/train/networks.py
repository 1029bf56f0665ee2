"""The networks that are trained together, and their slowly following copy."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avatar.model.networks import Networks
from avatar.model.presets import Preset


def critics_of(preset: Preset, clips: int) -> nn.ModuleDict:
    """Fresh critics for so many clips, see `TrainedTogether`."""
    critics = nn.ModuleDict({"whole": preset.discriminator(clips)})
    if preset.parts is not None:
        critics["parts"] = preset.parts(clips)
    return critics


@dataclass(slots=True)
class TrainedTogether:
    """All that a run trains."""

    networks: Networks
    average: Networks
    """Exponential moving average of `networks`, in evaluation mode: what is shipped."""
    critics: nn.ModuleDict
    """`whole` judges the window, or a piece of it; `parts`, if the preset has one, mouth and eyes cut out."""

    @staticmethod
    def build(preset: Preset, clips: int) -> TrainedTogether:
        """Fresh ones for so many clips."""
        networks, critics = preset.networks(), critics_of(preset, clips)
        return TrainedTogether(
            networks.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            copy.deepcopy(networks).requires_grad_(False).eval(),
            critics.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        )

    def to(self, device: torch.device) -> TrainedTogether:
        """Move all of them."""
        for module in (self.networks, self.average, self.critics):
            module.to(device)
        return self

    def tensors(self) -> Iterator[Tensor]:
        """Every weight and buffer of all of them."""
        for module in (self.networks, self.average, self.critics):
            yield from module.state_dict().values()

    def follow(self, decay: float) -> None:
        """Move the average a step towards the networks."""
        state = self.networks.state_dict()
        floats = {name: each for name, each in self.average.state_dict().items() if each.is_floating_point()}
        with torch.no_grad():
            # Private, but what Adam uses, too: one call, where a card would be given some hundred.
            torch._foreach_lerp_([*floats.values()], [state[name] for name in floats], 1 - decay)
