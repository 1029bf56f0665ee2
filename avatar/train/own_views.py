"""Samples of one person's few views: each in turn is what has to be drawn, out of pixels of the others.

A view that is moved to its own place would teach nothing: nothing is wrong with it. The only picture of a
person is therefore first moved away, to another pose and another face, and then back: what is lost on the way
is what the networks shall mend. The mirror image may stand beside it, as a second view.

Too little is lost on that way: taught by it alone, networks forget what they know of open mouths and turned
heads. So views are also shown elsewhere, where they have never been, to be drawn there as before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from avatar.records import BLENDSHAPES, F32, U8, Motion, View
from avatar.retarget import OwnMotion
from avatar.tools.close_ups import boxes_of, cut_close_ups
from avatar.tools.drawing import CHANNELS, Style, draw_landmarks
from avatar.tools.facemesh import BLENDSHAPE_NAMES, OVAL, face_height, face_model
from avatar.tools.geometry import fit_similarity, rotation_from_vector
from avatar.tools.network_input import warp_slot
from avatar.tools.window import cut_window, head_window, to_pixels, to_window
from avatar.train.data.augment import jittered, jittered_boxes, other_camera
from avatar.train.data.samples import UNSEEN, Sample
from avatar.train.face_fit import ACROSS, blendshape_mirror
from avatar.warp import ViewWarper, looks

SAMPLES = 24
"""About so many are made in all: a few of each view, with other pixels to make it of."""
ALONE = 0.2
"""So often there is no second view."""
MIRRORED = 0.3
"""So often the mirror image stands in for a second view that is not there."""
AWAY = 0.15
"""Deviation of the turn and half that of the nod by which a view is moved away [rad]."""
JAW, BLINK, SMILE = (
    [BLENDSHAPE_NAMES.index(name) for name in names]
    for names in (("jawOpen",), ("eyeBlinkLeft", "eyeBlinkRight"), ("mouthSmileLeft", "mouthSmileRight"))
)
"""Blendshapes that change on the way."""


class OwnViews:
    """The samples.

    Args:
        views: of one person.
        size: side R of the windows [px].
        style: of the landmark drawings.
        seed: of all that is drawn by lot.
    """

    def __init__(self, views: Sequence[View], size: int, style: Style, seed: int) -> None:
        self._views = views
        self._size, self._style = size, style
        self._looks = np.stack([looks(view.landmarks) for view in views])
        self._random = np.random.default_rng(seed)
        faces = [view.landmarks for view in views]
        self._motions = [OwnMotion(view, faces) for view in views]

    def of(self, targets: Sequence[int]) -> list[Sample]:
        """Some samples of each of the views `targets`; the first of each as in a call, without chance."""
        each = max(1, SAMPLES // len(targets))
        return [self._sample(target, chance=number > 0) for target in targets for number in range(each)]

    def nearest(self, target: int) -> Sample:
        """A view out of the two that are nearest to it, as in a call."""
        return self._sample(target, chance=False)

    def elsewhere(self, target: int) -> Sample:
        """A view in another pose and with another face; what is right there nobody knows: `target` is 0."""
        view = self._views[target]
        moved = moved_away(view, self._random)
        return self._made(self._motions[target](moved.landmarks), [view], view, moved, chance=True)

    def _sample(self, target: int, *, chance: bool) -> Sample:
        view = self._views[target]
        wanted = view.landmarks
        shift = jittered(self._random) if chance else None
        if shift is not None:
            wanted = wanted + shift * face_height(wanted)
        made = self._made(
            self._motions[target](wanted), self._sources(target, chance), view, view, chance=chance
        )
        colours, matte = (
            cut_window(x, head_window(view.landmarks), self._size) for x in (view.texture, view.alpha)
        )
        return replace(made, target=np.dstack([colours, matte]))

    def _made(
        self, motion: Motion, sources: Sequence[View], front: View, shown: View, *, chance: bool
    ) -> Sample:
        """A sample without its target.

        Args:
            motion: in the crop of `front`.
            sources: the best view and, perhaps, a second one.
            front: a view.
            shown: the face of that motion, in the crop of `front`: where it is seen and what it looks like.
            chance: as another camera sees it.
        """
        size, random = self._size, self._random
        window = head_window(shown.landmarks)
        side = 2 * round(size / float(np.hypot(*window[:, 0])) / 2)
        slots = [warp_slot(ViewWarper(view, side, front)(motion), window, size) for view in sources]
        slots += [np.zeros_like(slots[0])] * (2 - len(slots))
        points = to_window(shown.landmarks[:, :2], window)
        boxes = boxes_of(points)
        close_ups = cut_close_ups(
            shown.texture,
            to_pixels(window, shown.texture.shape[0]),
            jittered_boxes(boxes, random) if chance else boxes,
        )
        return Sample(
            warps=np.stack(slots),
            drawing=draw_landmarks(motion.landmarks, window, size, self._style),
            target=np.zeros((size, size, 4), np.uint8),
            weight=np.full((size, size), 255, np.uint8),
            references=np.zeros((1, 1, 1, 4 + CHANNELS[self._style]), np.uint8),  # nothing is embedded
            count=1,
            boxes=boxes,
            points=points,
            close_ups=other_camera(close_ups, random) if chance else close_ups,
            trust=float(not chance or random.random() >= UNSEEN),
            clip=0,
        )

    def _sources(self, target: int, chance: bool) -> list[View]:
        """The best view and, perhaps, a second one: the nearest, as in a call.

        Farther ones would teach to distrust pixels that a call has better ones for.
        """
        random = self._random
        far = np.linalg.norm(self._looks - self._looks[target], axis=1)
        far[target] = np.inf
        others = [self._views[i] for i in np.argsort(far, kind="stable")[:-1]]
        if chance and len(others) > 1:
            others = [others[i] for i in random.permutation(2)][: 1 + int(random.random() > ALONE)]
        if others:
            return others[:2]
        view = self._views[target]  # the only one
        second = [mirrored(view)] if random.random() < MIRRORED else []
        return [moved_away(view, random), *second]


def moved_away(view: View, random: np.random.Generator) -> View:
    """The person of a view made to turn his head a little and change his face: a view of less worth."""
    model, height = face_model(), face_height(view.landmarks)
    pose = fit_similarity(model.mean, view.landmarks, model.rigid)
    change = _other_face(view.blendshapes, random)
    shape = pose.undo(view.landmarks) + model.expression(change)
    turn = rotation_from_vector(random.normal(0, (AWAY / 2, AWAY, AWAY / 4)).astype(np.float32))
    middle = view.landmarks[list(OVAL)].mean(axis=0)
    step = np.array([*random.normal(0, 0.03 * height, 2), 0], np.float32)
    landmarks = ((pose(shape) - middle) @ turn.T + middle + step).astype(np.float32)
    side = view.texture.shape[0]
    motion = OwnMotion(view, [view.landmarks])(landmarks)
    warped = ViewWarper(view, side)(motion)
    flat = motion.head[:2, :2]
    shift = motion.head[:2, 3] + motion.head[:2, 2] * middle[2]
    in_pixels = np.column_stack([flat, shift * side + (flat.sum(axis=1) - 1) / 2]).astype(np.float32)
    return View(
        texture=warped.person,
        alpha=warped.alpha,
        head=np.asarray(cv2.warpAffine(view.head, in_pixels, (side, side)), np.uint8),
        landmarks=motion.landmarks,
        blendshapes=np.clip(view.blendshapes + change, 0, 1).astype(np.float32),
        pose=view.pose,
    )


def _other_face(blendshapes: F32, random: np.random.Generator) -> F32:
    """(52,): changes of blendshapes (52,) by which mouth and lids open or shut."""
    change = np.zeros(BLENDSHAPES, np.float32)
    jaw, lids, smile = random.uniform(-0.7, 0.7), random.uniform(-0.7, 0.5), random.uniform(-0.7, 0.5)
    for names, share in ((JAW, jaw), (BLINK, lids), (SMILE, smile)):
        now = blendshapes[names]
        change[names] = share * (now if share < 0 else 1 - now)
    return change


def mirrored(view: View) -> View:
    """The view in a mirror."""
    landmarks = view.landmarks[face_model().mirror] * ACROSS + np.array([1, 0, 0], np.float32)
    return replace(
        view,
        texture=_flipped(view.texture),
        alpha=_flipped(view.alpha),
        head=_flipped(view.head),
        landmarks=landmarks,
        blendshapes=view.blendshapes[blendshape_mirror()],
    )


def _flipped(picture: U8) -> U8:
    return np.ascontiguousarray(picture[:, ::-1])
