"""Make the frames that every engine is tried with: `python -m bench.make_probe weights/probe.safetensors`.

The demo's portrait, driven by the demo's motion: mouth open and shut, head turned, eyes closed. Its own mouth
and eyes stand for the driver's. The second best view is the first one, moved a few moments earlier.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence

import numpy as np

from avatar.capture import Recording
from avatar.demo import demo_portrait
from avatar.pipeline import enroll_picture
from avatar.records import Motion, Observation, View
from avatar.retarget import Retargeter
from avatar.runtime.probe import Probe
from avatar.tools.close_ups import close_ups
from avatar.tools.network_input import warp_slot
from avatar.tools.window import head_window
from avatar.warp import ViewWarper
from avatar.weights import resolve

SIDE, CROP = 256, 352
EARLIER = 15
"""Frames between a moment and the one that stands for the second view."""
TRUST = (1, 1, 0, 0)
"""How much the driver's look counts at each moment: her open eyes do not suit the closed ones."""


def make_probe() -> Probe:
    """Frames that differ: the calm face, the widest mouth, the most closed eyes, the farthest turn."""
    identity = enroll_picture(demo_portrait(), name="astronaut")
    retarget = Retargeter(identity, mode="relative")
    with contextlib.closing(Recording(resolve("demo_motion"), paced=False, loop=False)) as recording:
        motions = [retarget(seen) for seen in iter(recording, None) if isinstance(seen, Observation)]
    later = range(EARLIER, len(motions))
    moments = [
        EARLIER,
        max(later, key=lambda i: motions[i].jaw_open),
        max(later, key=lambda i: float(motions[i].blink.min())),
        max(later, key=lambda i: abs(float(motions[i].head[0, 2]))),
    ]
    warp = ViewWarper(identity.front, CROP)
    look = _close_ups(identity.front)
    pictures = [[_slot(warp, motions[i]), _slot(warp, motions[i - EARLIER])] for i in moments]
    landmarks = np.stack([motions[i].landmarks for i in moments])
    return Probe(
        np.array(pictures, np.uint8),
        landmarks,
        np.stack([head_window(points) for points in landmarks]),
        np.stack([look] * len(moments)),
        np.array(TRUST, np.float32),
    )


def _slot(warp: ViewWarper, motion: Motion) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return warp_slot(warp(motion), head_window(motion.landmarks), SIDE)


def _close_ups(view: View) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    side = view.texture.shape[0]
    return close_ups(view.texture, view.landmarks * np.float32(side) - np.array([0.5, 0.5, 0], np.float32))


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file that the command line names."""
    (path,) = sys.argv[1:] if argv is None else argv
    make_probe().save(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
