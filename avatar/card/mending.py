"""The network's part of a frame on the device: what it is shown, and what it says applied to the pixels.

The same as `generate.NetworkGenerator`, whose constants and tables it takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.card.ferry import Landed, Parcel, Ticket
from avatar.card.sampling import halved, moved, place_grid, sampled
from avatar.generate.network_generator import (
    DOUBT,
    SURE,
    NetworkGenerator,
    box_of,
    near_pixels,
    to_window_pixels,
)
from avatar.records import F32, Motion
from avatar.runtime import TensorNetwork
from avatar.tools.window import halvings, head_window, in_pixels


@dataclass(frozen=True, slots=True)
class _Cut:
    """How a picture is brought into the window."""

    halvings: int
    to_picture: Ticket
    """(2, 3), pixels of the window to those of the halved picture."""


@dataclass(frozen=True, slots=True)
class _Slot:
    pixels: _Cut
    confidence: _Cut


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What the network is to be told, on its way, and where what it says belongs."""

    best: _Slot
    other: _Slot | None
    drawing: Ticket
    close_ups: Ticket
    boxes: Ticket
    trust: Ticket
    turn: Ticket
    """(2, 2), sides of the window to pixels of the crop."""
    fine: Ticket
    """(2, 3), pixels of the crop to those of the window,"""
    coarse: Ticket
    """and to those of the flow."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A view that the network is to see."""

    person: Tensor
    """(1, 4, S, S), colours and alpha, 0..255."""
    confidence: Tensor
    """(G, G) uint8."""


class Mending:
    """Moved pixels to mended ones.

    Args:
        generate: the stage whose work this does.
        network: what draws.
        other_side: side of the second best view's pixels; None if there is one view only.
        confidence_side: side G of the maps of confidence.
    """

    def __init__(
        self,
        generate: NetworkGenerator,
        network: TensorNetwork,
        *,
        other_side: int | None,
        confidence_side: int,
    ) -> None:
        device, size, side = network.device, generate.size, generate.side
        self._generate, self._network = generate, network
        self._side, self._size = side, size
        self._other_side, self._confidence_side = other_side, confidence_side
        self._window = place_grid((size, size), device)
        self._crop = place_grid((side, side), device)
        self._psi = _sent(generate.psi, device)[None]
        self._faded = _sent(generate.faded, device)
        self._faded_small = _sent(np.asarray(generate.faded_small, np.float32), device)
        self._no_slot = torch.zeros((size, size, 5), dtype=torch.uint8, device=device)
        self._none_there = torch.zeros(1, device=device)

    def plan(self, motion: Motion, parcel: Parcel) -> WindowPlan | None:
        """Pack what is needed; None: the window lies outside the picture, and nothing is mended."""
        window = head_window(motion.landmarks)
        if box_of(window, self._side) is None:
            return None
        facts = self._generate.facts(motion, window)
        size, side = self._size, self._side
        other = self._other_side
        return WindowPlan(
            best=self._slot(window, side, parcel),
            other=None if other is None else self._slot(window, other, parcel),
            drawing=parcel.add(facts.drawing),
            close_ups=parcel.add(facts.close_ups),
            boxes=parcel.add(facts.boxes),
            trust=parcel.add(facts.trust),
            turn=parcel.add(window[:, :2] * np.float32(side)),
            fine=parcel.add(to_window_pixels(window, size, side)),
            coarse=parcel.add(to_window_pixels(window, size // 2, side)),
        )

    def __call__(self, plan: WindowPlan, best: Shown, other: Shown | None, landed: Landed) -> Tensor:
        """The person (1, 4, S, S), colours and alpha, 0..255, with what the network said of it."""
        seen = self._seen(plan.best, best, landed)
        second = self._no_slot
        if plan.other is not None and other is not None:
            second = self._seen(plan.other, other, landed)
        drawing = landed[plan.drawing]
        flow, keep, base, alpha = self._network.draw(
            {
                "pictures": torch.cat([seen, second, drawing], dim=-1)[None],
                "matte": seen[..., 3][None, None],
                "other": second[..., :3].permute(2, 0, 1)[None],
                "mouth": drawing[..., 1][None, None],
                "there": self._none_there if other is None else second[..., 4].amax()[None].gt(0).float(),
                "psi": self._psi,
                "close_ups": landed[plan.close_ups][None],
                "boxes": landed[plan.boxes][None],
                "trust": landed[plan.trust],
            }
        )
        # As in `NetworkGenerator._mend`.
        fine, coarse = (moved(self._crop, landed[ticket]) for ticket in (plan.fine, plan.coarse))
        steps = torch.einsum("ij,jhw->ihw", landed[plan.turn], flow[0] * self._faded_small)
        steps = sampled(steps[None], coarse, outside=0)[0].permute(1, 2, 0)
        kept = sampled((keep * self._faded + (1 - self._faded))[None], fine, outside=1)
        added = self._added(alpha[0], seen[..., 3].float() / 255)
        said = torch.cat([base[0] * (255 * self._faded), added[None]])[None]
        said = sampled(said, fine, outside=0)
        person = sampled(best.person[:, :3], self._crop + steps) * kept + said[:, :3]
        return torch.cat([person, best.person[:, 3:] + said[:, 3:]], dim=1).clamp(0, 255)

    def _slot(self, window: F32, side: int, parcel: Parcel) -> _Slot:
        return _Slot(self._cut(window, side, parcel), self._cut(window, self._confidence_side, parcel))

    def _cut(self, window: F32, side: int, parcel: Parcel) -> _Cut:
        sides = halvings(window, side, self._size)
        return _Cut(len(sides), parcel.add(in_pixels(window, self._size, sides[-1] if sides else side)))

    def _seen(self, slot: _Slot, shown: Shown, landed: Landed) -> Tensor:
        """(R, R, 5) uint8, as `tools.network_input.warp_slot`."""
        sure = shown.confidence[None, None].float()
        parts = []
        for picture, cut in ((shown.person, slot.pixels), (sure, slot.confidence)):
            for _ in range(cut.halvings):
                picture = halved(picture)
            parts.append(sampled(picture, moved(self._window, landed[cut.to_picture])))
        return torch.cat(parts, dim=1)[0].permute(1, 2, 0).add(0.5).to(torch.uint8)

    def _added(self, wanted: Tensor, shown: Tensor) -> Tensor:
        """(R, R), as `NetworkGenerator._added`."""
        added = wanted - shown
        added = added - added.clamp(-DOUBT, DOUBT)
        near = near_pixels(self._size)
        added = torch.minimum(added, F.max_pool2d(shown[None, None], near, 1, near // 2)[0, 0])
        inside = ((wanted - SURE[0]) / (SURE[1] - SURE[0])).clamp(0, 1)
        sure = inside * inside * (3 - 2 * inside)
        return torch.where(added > 0, added * sure, added) * (255 * self._faded)


def _sent(array: F32, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(array)).to(device)
