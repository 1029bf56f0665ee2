"""A person's views on the device: what `warp` decided, done to the pixels there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from avatar.card.ferry import Landed, Parcel, Ticket
from avatar.card.sampling import blurred, grown, part_of, place_grid, sampled
from avatar.records import U8, Motion
from avatar.tools.outlines import Box
from avatar.warp import Choice, ViewPlan, ViewWarper
from avatar.warp.flow import SOFT, CellFlow
from avatar.warp.openings import OpeningLayer


@dataclass(frozen=True, slots=True)
class _Cells:
    """A `CellFlow` on its way."""

    planes: Ticket
    """(2, n, n)."""
    ratio: int
    box: Box


@dataclass(frozen=True, slots=True)
class _Painted:
    """An opening on its way."""

    box: Box
    share: float
    paint: Ticket
    """(H, W, 4) uint8: what is painted, and how much of what lies below it covers; as of `_paint_of`."""


@dataclass(frozen=True, slots=True)
class _Moving:
    """One view on its way."""

    view: int
    whole: _Cells
    face: _Cells | None
    torn: tuple[Box, Ticket] | None
    painted: list[_Painted]


@dataclass(frozen=True, slots=True)
class SlotPlan:
    """One view, or two of which one goes over into the other."""

    views: list[_Moving]
    share: float
    """How much of the first is to be seen."""
    confidence: Ticket
    """(G, G) uint8."""


class MovedViews:
    """The views of a person at one size.

    Args:
        warpers: what plans their motion; one side S.
        device: where their pixels are to lie.
    """

    def __init__(self, warpers: Sequence[ViewWarper], device: torch.device) -> None:
        self._warpers = warpers
        self.side = warpers[0].side
        self._textures = [planes(warper.texture, device) for warper in warpers]
        self._skins = [planes(warper.skin, device) for warper in warpers]
        self._places = place_grid((self.side, self.side), device)
        # What is painted is painted on both: the difference tells how much shows through.
        self._black = np.zeros((self.side, self.side, 3), np.uint8)
        self._white = np.full_like(self._black, 255)

    def plan(self, choice: Choice, motion: Motion, parcel: Parcel) -> SlotPlan:
        """Work out on the processor what is to be done, and pack what is needed for it."""
        chosen = [choice.view] if choice.before is None else [choice.view, choice.before]
        plans = [self._warpers[view].plan(motion) for view in chosen]
        confidence = plans[0].confidence
        if len(plans) > 1:
            before = plans[1].confidence
            confidence = before + np.float32(choice.share) * (confidence - before)
        return SlotPlan(
            views=[self._packed(view, plan, parcel) for view, plan in zip(chosen, plans, strict=True)],
            share=choice.share,
            confidence=parcel.add(np.asarray(confidence * 255, np.uint8)),
        )

    def __call__(self, plan: SlotPlan, landed: Landed) -> Tensor:
        """Move the person: (1, 4, S, S), colours and alpha, 0..255."""
        first, *rest = (self._moved(view, landed) for view in plan.views)
        return torch.lerp(rest[0], first, plan.share) if rest else first

    def _packed(self, view: int, plan: ViewPlan, parcel: Parcel) -> _Moving:
        torn = None if plan.face is None else plan.face.tears()
        return _Moving(
            view,
            whole=_cells(plan.whole, parcel),
            face=None if plan.face is None else _cells(plan.face, parcel),
            torn=None if torn is None else (torn[0], parcel.add(torn[1])),
            painted=[
                _Painted(box, share, parcel.add(self._paint_of(layer, plan.motion, box)))
                for layer, box, share in plan.painted
            ],
        )

    def _paint_of(self, layer: OpeningLayer, motion: Motion, box: Box) -> U8:
        """(H, W, 4): colours times cover, and cover, of what an opening shows."""
        on_black, on_white = box.of(self._black), box.of(self._white)
        on_black[:], on_white[:] = 0, 255
        for picture in (self._black, self._white):
            layer.draw(picture, motion)
        through = cv2.subtract(on_white, on_black)
        return np.dstack([on_black, 255 - through[..., 1]])

    def _moved(self, moving: _Moving, landed: Landed) -> Tensor:
        whole, face = moving.whole, moving.face
        places = grown(landed[whole.planes], whole.ratio, self.side)
        if face is not None:
            places = places.contiguous()
            fine = grown(landed[face.planes], face.ratio, face.box.size[0])
            places[face.box.top : face.box.bottom, face.box.left : face.box.right] = fine
        person = sampled(self._textures[moving.view], places)
        if moving.torn is not None:
            box, where = moving.torn
            part = part_of(person, box)
            part.lerp_(blurred(part, SOFT), landed[where])
        for painted in moving.painted:
            box = painted.box
            at = places[box.top : box.bottom, box.left : box.right]
            skin = sampled(self._skins[moving.view], at)
            own = part_of(person, box)[:, :3]
            covered = own.lerp(skin[:, :3], skin[:, 3:] / 255)
            paint = landed[painted.paint].permute(2, 0, 1)[None].float()
            shown = covered * (1 - paint[:, 3:] / 255) + paint[:, :3]
            own.lerp_(shown, painted.share)
        return person


def planes(picture: U8, device: torch.device) -> Tensor:
    """A picture (H, W, C) as (1, C, H, W) float32, 0..255, on the device."""
    return torch.from_numpy(np.array(picture)).to(device).permute(2, 0, 1)[None].float().contiguous()


def _cells(flow: CellFlow, parcel: Parcel) -> _Cells:
    return _Cells(parcel.add(np.stack([flow.columns, flow.rows])), flow.ratio, flow.box)
