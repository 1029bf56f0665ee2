"""Motions of one identity to finished frames, all pixels on the device."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack

import torch

from avatar.card.canvas import Canvas
from avatar.card.ferry import Ferry, Parcel
from avatar.card.mending import Mending, Shown
from avatar.card.views import MovedViews, planes
from avatar.composite import Compositor
from avatar.generate import NetworkGenerator
from avatar.records import U8, Motion
from avatar.runtime import TensorNetwork
from avatar.warp import Warper
from avatar.warp.view_warper import CONFIDENCE


class CardRenderer:
    """The three stages, put onto a device. They are of one identity, and keep what they hold.

    Args:
        warp: what decides how pixels move.
        generate: what knows how the network's answer is applied.
        composite: what knows the canvas.
        network: what draws, and where.
    """

    def __init__(
        self, warp: Warper, generate: NetworkGenerator, composite: Compositor, network: TensorNetwork
    ) -> None:
        device = network.device
        self._warp, self._stream = warp, network.stream
        self._views = MovedViews(warp.views, device)
        self._small = MovedViews(warp.small, device) if warp.small else None
        self._mend = Mending(
            generate,
            network,
            other_side=None if self._small is None else self._small.side,
            confidence_side=CONFIDENCE,
        )
        self._plate = planes(generate.plate, device)
        self._canvas = Canvas(composite, warp.side, device)
        self.ferry = Ferry(device, composite.size)
        if device.type == "cuda":
            torch.cuda.synchronize(device)  # what lies there now was sent on another stream

    def begin(self, motion: Motion, captured_ns: int) -> Callable[[], U8]:
        """Plan a frame now; what comes back draws it, (H, W, 3), in any thread, one after the other."""
        parcel = Parcel()
        best, second = self._warp.choose(motion, captured_ns)
        best_plan = self._views.plan(best, motion, parcel)
        other_plan = (
            None if self._small is None or second is None else self._small.plan(second, motion, parcel)
        )
        window = self._mend.plan(motion, parcel)

        def finish() -> U8:
            with self._at_work():
                landed = self.ferry.up(parcel)
                person = self._views(best_plan, landed)
                if window is not None:
                    other = None
                    if self._small is not None and other_plan is not None:
                        small = self._small(other_plan, landed)
                        other = Shown(small, landed[other_plan.confidence])
                    shown = Shown(person, landed[best_plan.confidence])
                    person = self._mend(window, shown, other, landed)
                portrait = torch.lerp(self._plate, person[:, :3], person[:, 3:] / 255)
                return self.ferry.down(self._canvas(portrait))

        return finish

    def _at_work(self) -> AbstractContextManager[object]:
        stack = ExitStack()
        stack.enter_context(torch.inference_mode())
        if self._stream is not None:
            stack.enter_context(torch.cuda.stream(self._stream))
        return stack
