"""Samples for training: pictures of one person as sources, and a moment of the same clip as the target.

People are drawn, not clips or seconds, so that a few who talk long do not decide; sharp and large faces are
drawn more often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from avatar.errors import VideoError
from avatar.records import F32, U8, View
from avatar.retarget import OwnMotion
from avatar.tools.close_ups import boxes_of, cut_close_ups
from avatar.tools.drawing import Style, draw_landmarks
from avatar.tools.facemesh import EYES, HEAD_FACES, MOUTH, OVAL, face_height, face_model
from avatar.tools.network_input import reference_picture, warp_slot
from avatar.tools.outlines import gap
from avatar.tools.window import cut_window, head_window, to_pixels, to_window
from avatar.train.data.augment import (
    BEND_SHARE,
    LIGHT_SHARE,
    Bend,
    Colours,
    Light,
    jittered,
    jittered_boxes,
    other_camera,
)
from avatar.train.data.clip_cache import ClipCache, load_clip
from avatar.warp import ViewWarper, looks

CROP_FACES = 2.8
"""Side of the cached crops in heights of the face."""
FAR_MOUTH = 0.12
"""Source and target differ at least this much in mouth opening (gap over width), or else"""
FAR_SHARE = 0.15
"""... lie this part of the clip apart."""
TRIES = 1000
"""Draws without a usable pair after which the clips are given up."""
WARPERS_MAX = 2000
"""So many sources are kept ready in all, 1.5 MB each; the one that was not used for longest goes."""
RARE_SHARE = 0.3
"""So many targets are moments that are rare in talk: lids shut, or the mouth as open as it seldom is."""
SHUT_LIDS, WIDE_MOUTH = 0.55, 90
"""Lids shut to this part of their usual opening; percentile from which a mouth counts as wide open."""
UNSEEN = 0.1
"""Share of samples whose driver's mouth and eyes are not seen, as in a motion recording."""
REACH = 0.3
"""Heads that moved farther than this from the source's place [crop units] are no target for it."""


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """What a sample is like."""

    size: int = 256
    """Side of the network's window [px]."""
    views: int = 8
    """At most so many pictures of the person; half of the samples have one."""
    reference_size: int = 128
    """Side of the pictures the embedder sees [px]."""
    style: Style = "layers"
    augment: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One sample; pictures are uint8, channels last."""

    warps: U8
    """(2, R, R, 5): colours, alpha, confidence of the best and second best view; zeros if there is none."""
    drawing: U8
    """(R, R, D) of the target."""
    target: U8
    """(R, R, 4): the real picture and the person's matte."""
    weight: U8
    """(R, R), 255 where the target is known."""
    references: U8
    """(K, r, r, 4 + D): colours, alpha and drawing of each picture of the person; zero past `count`."""
    count: int
    """How many references there are, 1..K."""
    boxes: F32
    """(3, 3): x, y of the middle and side of the squares around mouth, right and left eye, window units."""
    points: F32
    """(478, 2): the target's landmarks, window units."""
    close_ups: U8
    """(3, CLOSE_UP, CLOSE_UP), grey: the target's mouth, right and left eye, as another camera sees them."""
    trust: float
    """How much those count, 0..1."""
    clip: int
    """Number of the clip."""


class PersonClip:
    """One cached clip, with what is worth keeping between samples."""

    def __init__(self, path: Path, number: int, options: SampleOptions) -> None:
        self.cache: ClipCache = load_clip(path)
        self.number = number
        self._options = options
        self._motions: dict[int, OwnMotion] = {}
        self._references: dict[int, U8] = {}
        crops = self.cache.crops.astype(np.float32)
        self._video = self.cache.landmarks * crops[:, 2, None, None]
        self._video[..., :2] += crops[:, None, :2] - 0.5
        self.mouths = np.array([gap(one, MOUTH) for one in self.cache.landmarks], np.float32)
        lids = np.array([[gap(one, eye) for eye in EYES] for one in self.cache.landmarks]).mean(axis=1)
        shut = lids < SHUT_LIDS * np.median(lids)
        self.rare = [
            np.flatnonzero(shut),
            np.flatnonzero(self.mouths >= np.percentile(self.mouths, WIDE_MOUTH)),
        ]

    @cached_property
    def worth(self) -> float:
        """How often to draw it: sharp, large faces more."""
        side = float(np.median(self.cache.crops[:, 2])) / CROP_FACES
        sharp = float(np.median(self.cache.sharpness))
        return float(np.clip(side / 150, 0.4, 1.5) * np.clip(sharp / 6, 0.4, 1.6))

    @cached_property
    def looks(self) -> F32:
        """(N, F): what `warp.looks` says of every frame."""
        return np.stack([looks(one) for one in self.cache.landmarks])

    def in_crop_of(self, source: int, frames: Sequence[int] | slice) -> F32:
        """Landmarks of `frames` in the crop units of a source."""
        left, top, side = self.cache.crops[self.cache.sources[source]].tolist()
        return np.asarray(
            (self._video[frames] - np.array([left - 0.5, top - 0.5, 0], np.float32)) / side, np.float32
        )

    def places(self, sources: NDArray[np.int_], frame: int) -> F32:
        """(len(sources), 2): the middle of a frame's face in the crop units of each source."""
        crops = self.cache.crops[self.cache.sources[sources]].astype(np.float32)
        middle = self._video[frame, list(OVAL), :2].mean(axis=0)
        return np.asarray((middle - crops[:, :2] + 0.5) / crops[:, 2:], np.float32)

    def view(self, source: int) -> View:
        """One picture of the person, taken apart."""
        return self.cache.view(source)

    def motion(self, source: int) -> OwnMotion:
        """The person driving that source."""
        if source not in self._motions:
            front = self.view(source)
            self._motions[source] = OwnMotion(front, list(self.in_crop_of(source, slice(None))))
        return self._motions[source]

    def reference(self, source: int) -> U8:
        """(r, r, 4 + D): what the embedder sees of a source."""
        if source not in self._references:
            size, view = self._options.reference_size, self.view(source)
            self._references[source] = reference_picture(view, size, self._options.style)
        return self._references[source]

    def known(self, frame: int) -> U8:
        """(64, 64), 255 where a frame's crop lies inside the clip's picture."""
        left, top, side = self.cache.crops[frame].tolist()
        at = (np.arange(64) + 0.5) / 64 * side
        across = (left + at > 0) & (left + at < self.cache.size[0])
        down = (top + at > 0) & (top + at < self.cache.size[1])
        return np.where(down[:, None] & across, 255, 0).astype(np.uint8)


class Samples:
    """Samples of cached clips by number: the same number and seed give the same sample, in any process.

    Args:
        files: of the cache.
        options: what a sample is like.
        seed: of the drawing.
        sharing: so many processes make samples, and share the computer's memory.
    """

    def __init__(self, files: Sequence[Path], options: SampleOptions, seed: int, sharing: int = 1) -> None:
        self.options = options
        self.clips = [PersonClip(path, number, options) for number, path in enumerate(files)]
        self._seed = seed
        self._side = 2 * round(options.size * CROP_FACES / HEAD_FACES / 2)
        self._warper = lru_cache(maxsize=max(1, WARPERS_MAX // sharing))(self._new_warper)
        people: dict[str, list[PersonClip]] = {}
        for clip in self.clips:
            people.setdefault(clip.cache.person, []).append(clip)
        self._people = list(people.values())
        worth = np.array([max(clip.worth for clip in clips) for clips in self._people])
        self._share = worth / worth.sum()

    def __getitem__(self, number: int) -> Sample:
        random = np.random.default_rng([self._seed, number])
        for _ in range(TRIES):
            clips = self._people[random.choice(len(self._people), p=self._share)]
            weights = np.array([clip.worth * len(clip.cache) for clip in clips])
            clip = clips[random.choice(len(clips), p=weights / weights.sum())]
            sources, target = self._pair(clip, random)
            if sources:
                return self.make(clip, sources, target, random if self.options.augment else None)
        raise VideoError("the clips have no two moments that differ and lie in one place: add others")

    def _new_warper(self, clip: int, source: int) -> ViewWarper:
        return ViewWarper(self.clips[clip].view(source), self._side)

    def _pair(self, clip: PersonClip, random: np.random.Generator) -> tuple[list[int], int]:
        """The sources, and a target that is not one of them; no sources if that target has none."""
        cache = clip.cache
        target = int(random.integers(len(cache)))
        rare = clip.rare[int(random.integers(2))]
        if len(rare) and random.random() < RARE_SHARE:
            target = int(random.choice(rare))
        apart = np.abs(cache.sources - target) / len(cache) > FAR_SHARE * random.random()
        other_mouth = np.abs(clip.mouths[cache.sources] - clip.mouths[target]) > FAR_MOUTH
        able = np.flatnonzero((apart | other_mouth) & (cache.sources != target))
        able = able[np.abs(clip.places(able, target) - 0.49).max(axis=1) < REACH]
        if not len(able):
            return [], target
        most = min(self.options.views, len(able))
        count = 1 if random.random() < 0.5 else int(random.integers(1, most + 1))
        return [int(i) for i in random.choice(able, count, replace=False)], target

    def make(
        self, clip: PersonClip, sources: Sequence[int], target: int, random: np.random.Generator | None
    ) -> Sample:
        """One sample; with `random` it is augmented."""
        options, cache = self.options, clip.cache
        far = np.linalg.norm(clip.looks[cache.sources[list(sources)]] - clip.looks[target], axis=1)
        nearest = [sources[i] for i in np.argsort(far, kind="stable")[:2]]
        shift = jittered(random) if random is not None else None
        slots = [self._warp(clip, source, target, shift) for source in nearest]
        slots += [(np.zeros_like(slots[0][0]), slots[0][1])] * (2 - len(slots))
        own = cache.landmarks[target]
        window = head_window(own)
        picture = cache.frames[target]
        frame = cut_window(picture, window, options.size)
        matte = cut_window(cache.mattes[target], window, options.size)
        references = np.stack([clip.reference(source) for source in sources])
        points = to_window(own[:, :2], window)
        boxes = boxes_of(points)
        seen = boxes if random is None else jittered_boxes(boxes, random)
        sample = Sample(
            warps=np.stack([slot[0] for slot in slots]),
            drawing=slots[0][1],
            target=np.dstack([frame, matte]),
            weight=cut_window(clip.known(target), window, options.size),
            references=_padded(references, options.views),
            count=len(sources),
            boxes=boxes,
            points=points,
            close_ups=cut_close_ups(picture, to_pixels(window, picture.shape[0]), seen),
            trust=1.0,
            clip=clip.number,
        )
        return sample if random is None else _augmented(sample, random)

    def _warp(self, clip: PersonClip, source: int, target: int, shift: F32 | None) -> tuple[U8, U8]:
        """(R, R, 5) one warp in the window, and (R, R, D) the drawing."""
        options = self.options
        landmarks = clip.in_crop_of(source, [target])[0]
        window = head_window(landmarks)
        if shift is not None:
            landmarks = landmarks + shift * face_height(landmarks)
        motion = clip.motion(source)(landmarks)
        warped = self._warper(clip.number, source)(motion)
        drawing = draw_landmarks(motion.landmarks, window, options.size, options.style)
        return warp_slot(warped, window, options.size), drawing


def _padded(references: U8, count: int) -> U8:
    room = np.zeros((count, *references.shape[1:]), np.uint8)
    room[: len(references)] = references
    return room


def _augmented(sample: Sample, random: np.random.Generator) -> Sample:
    colours = Colours(random)
    warps, target, references = sample.warps.copy(), sample.target.copy(), sample.references.copy()
    there = [warp for warp in warps if warp[..., 3].any()]
    for pictures in (*there, target, *references[: sample.count]):
        pictures[..., :3] = colours(np.ascontiguousarray(pictures[..., :3]))
    if random.random() < LIGHT_SHARE:
        light = Light(random, target.shape[0])
        for pictures in (*there, target):
            pictures[..., :3] = light(pictures[..., :3])
    changed = replace(
        sample,
        warps=warps,
        target=target,
        references=references,
        close_ups=other_camera(sample.close_ups, random),
        trust=float(random.random() >= UNSEEN),
    )
    if random.random() < BEND_SHARE:
        changed = bent(changed, Bend(random, target.shape[0]))
    return _mirrored(changed) if random.random() < 0.5 else changed


def bent(sample: Sample, bend: Bend) -> Sample:
    """The sample with another face's proportions; the driver keeps his, and the references theirs."""

    def colours_and_more(picture: U8) -> U8:
        return np.dstack([bend.picture(picture[..., :3], fine=True), bend.picture(picture[..., 3:])])

    points = bend.points(sample.points)
    return replace(
        sample,
        warps=np.stack([colours_and_more(warp) for warp in sample.warps]),
        drawing=bend.picture(sample.drawing),
        target=colours_and_more(sample.target),
        weight=bend.picture(sample.weight, outside=0),
        boxes=boxes_of(points),
        points=points,
    )


def _mirrored(sample: Sample) -> Sample:
    boxes = sample.boxes[[0, 2, 1]] * np.array([-1, 1, 1], np.float32) + np.array([1, 0, 0], np.float32)
    points = sample.points[face_model().mirror] * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    return replace(
        sample,
        warps=np.ascontiguousarray(sample.warps[:, :, ::-1]),
        drawing=np.ascontiguousarray(sample.drawing[:, ::-1]),
        target=np.ascontiguousarray(sample.target[:, ::-1]),
        weight=np.ascontiguousarray(sample.weight[:, ::-1]),
        references=np.ascontiguousarray(sample.references[:, :, ::-1]),
        boxes=boxes,
        points=points,
        close_ups=np.ascontiguousarray(sample.close_ups[[0, 2, 1], :, ::-1]),
    )
