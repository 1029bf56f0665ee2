"""The figures of one clip and one method, and their means over people. `bench/README.md` defines each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from avatar.records import F32, U8, Face
from avatar.tools.close_ups import boxes_of
from avatar.tools.facemesh import EYES, MOUTH
from avatar.tools.outlines import gap
from avatar.train.losses import cut_boxes
from bench import measures
from bench.judges import BATCH, CLOSE_UP, Judges, feature_distance, tensor_of
from bench.measures import Mask
from bench.self_driving import SIZE, Played, Shots

LOST_PX = SIZE / 10
"""How far off landmarks are taken to be in a picture in which no face is found [px]."""
REGION_MARGIN = 3
"""The person's region ends so far inside his outline [px]: the wall's edge is nothing of his."""
BLINK_STILL, MOUTH_STILL = 0.02, 0.02
"""A driver whose eyes or lips open and shut less (standard deviation, in their widths) has no curve."""
CURVE_PEOPLE = 3
"""A mean correlation of fewer people is not told."""


@dataclass(frozen=True, slots=True)
class Scores:
    """How well a method did on a clip."""

    psnr: float
    ssim: float
    l1: float
    perceptual: float
    csim: float
    csim_distance: float
    akd: float | None
    akd68: float
    mouth: float | None
    eyes: float | None
    mouth_perceptual: float
    eyes_perceptual: float
    blink_corr: float | None
    mouth_corr: float | None
    sharpness: float | None
    flicker: float | None
    lost: float
    """Share of the pictures in which no face is found."""


NAMES = tuple(one.name for one in fields(Scores))
CURVES = ("blink_corr", "mouth_corr")
DIGITS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A clip, judged."""

    scores: dict[str, Scores]
    """By method."""
    faces: list[Face | None]
    """What is found in the real pictures, each by itself, in pixels of the window."""
    akd_floor: float | None
    """`akd` of the driver's landmarks as he was followed: a perfect picture of them can hardly have less."""

    @property
    def unseen(self) -> int:
        """Real pictures in which no face is found; `akd` and the curves leave them out."""
        return sum(face is None for face in self.faces)


@dataclass(frozen=True, slots=True, eq=False)
class _Truth:
    """What the real pictures show."""

    faces: list[Face | None]
    landmarks: Tensor
    """(N, 478, 2): the faces', or as the driver was followed where none is found."""
    embeddings: Tensor
    points: Tensor
    boxes: F32
    """(N, 3, 3): middle and side of the squares around mouth, right and left eye, pixels."""
    regions: list[Mask]
    """Where the person is."""


@dataclass(frozen=True, slots=True, eq=False)
class _Distances:
    """Of features, (N,) each."""

    whole: F32
    mouth: F32
    eyes: F32


def judge(played: Played, judges: Judges) -> Judged:
    """All figures of a clip."""
    with torch.inference_mode():
        truth = _truth(played, judges)
        distances = _distances(played, truth, judges)
        scores = {
            name: _scores(played, shots, truth, distances[name], judges)
            for name, shots in played.made.items()
        }
    followed = zip(played.landmarks, truth.faces, strict=True)
    off = [measures.landmark_distance(one, face.landmarks) for one, face in followed if face is not None]
    return Judged(scores, truth.faces, measures.mean(off))


def _truth(played: Played, judges: Judges) -> _Truth:
    real = played.real.pictures
    faces = [first(judges.find(picture)) for picture in real]
    landmarks = [
        followed if face is None else face.landmarks
        for face, followed in zip(faces, played.landmarks, strict=True)
    ]
    places = places_of(landmarks)
    return _Truth(
        faces=faces,
        landmarks=places,
        embeddings=batched(judges.embed, real, places),
        points=batched(judges.points, real, places),
        boxes=np.stack([boxes_of(one[:, :2]) for one in landmarks]),
        regions=[measures.shrunk((judges.segment(one) > 0.5) & played.known, REGION_MARGIN) for one in real],
    )


def _distances(played: Played, truth: _Truth, judges: Judges) -> dict[str, _Distances]:
    """By method. The real pictures' features are worked out once for all methods, and not kept."""
    found: dict[str, list[F32]] = {name: [] for name in played.made}
    squares = torch.from_numpy((truth.boxes + np.array([0.5, 0.5, 0], np.float32)) / np.float32(SIZE))
    for start in range(0, len(played.landmarks), BATCH):
        part = slice(start, start + BATCH)
        real = tensor_of(played.real.pictures[part])
        whole, close = judges.features(real), judges.features(cut_boxes(real, squares[part], CLOSE_UP))
        for name, shots in played.made.items():
            pictures = shots.pictures[part]
            made = tensor_of(pictures)
            of_whole = feature_distance(judges.features(made[: 1 if is_still(pictures) else None]), whole)
            of_close = feature_distance(judges.features(cut_boxes(made, squares[part], CLOSE_UP)), close)
            found[name].append(np.column_stack([of_whole, of_close.reshape(-1, 3)]))
    rows = {name: np.concatenate(parts) for name, parts in found.items()}
    return {name: _Distances(row[:, 0], row[:, 1], row[:, 2:].mean(axis=1)) for name, row in rows.items()}


def _scores(played: Played, shots: Shots, truth: _Truth, distances: _Distances, judges: Judges) -> Scores:
    real, made, known = played.real.pictures, shots.pictures, played.known
    pairs = list(zip(made, real, strict=True))
    faces = each(made, lambda picture: first(judges.find(picture)))
    found = truth.landmarks.clone()
    for i, face in enumerate(faces):
        if face is not None:
            found[i] = places_of([face.landmarks])[0]
    count = 1 if is_still(made) else len(made)
    embeddings = batched(judges.embed, made[:count], found[:count]).expand(len(made), -1)
    points = batched(judges.points, made, truth.landmarks)
    matched = list(zip(faces, truth.faces, strict=True))
    both = [
        (one.landmarks, other.landmarks) for one, other in matched if one is not None and other is not None
    ]
    off = [measures.landmark_distance(one, other) for one, other in both]
    missed = sum(one is None and other is not None for one, other in matched)
    return Scores(
        psnr=_mean(measures.psnr(one, other, known) for one, other in pairs),
        ssim=_mean(measures.ssim(one, other, known) for one, other in pairs),
        l1=_mean(measures.l1(one, other, known) for one, other in pairs),
        perceptual=float(distances.whole.mean()),
        csim=float(F.cosine_similarity(embeddings, truth.embeddings).mean()),
        csim_distance=float((embeddings - truth.embeddings).norm(dim=1).mean()),
        akd=measures.mean([*off, *[LOST_PX] * missed]),
        akd68=float((points - truth.points).norm(dim=2).mean()),
        mouth=_in_boxes(pairs, truth.boxes[:, :1], known),
        eyes=_in_boxes(pairs, truth.boxes[:, 1:], known),
        mouth_perceptual=float(distances.mouth.mean()),
        eyes_perceptual=float(distances.eyes.mean()),
        blink_corr=_curves(both, eyes_open, BLINK_STILL),
        mouth_corr=_curves(both, mouth_open, MOUTH_STILL),
        sharpness=_sharpness(pairs, truth.regions),
        flicker=_flicker(shots, played.real, truth.regions),
        lost=sum(face is None for face in faces) / len(faces),
    )


def _in_boxes(pairs: Sequence[tuple[U8, U8]], boxes: F32, known: Mask) -> float | None:
    masks = [measures.boxes_mask(some, SIZE) & known for some in boxes]
    return measures.mean(
        [
            measures.l1(one, other, mask) if mask.any() else None
            for (one, other), mask in zip(pairs, masks, strict=True)
        ]
    )


def _curves(pairs: Sequence[tuple[F32, F32]], opening: Callable[[F32], float], still: float) -> float | None:
    made, real = ([opening(pair[i]) for pair in pairs] for i in (0, 1))
    return measures.correlation(made, real, still)


def eyes_open(landmarks: F32) -> float:
    """Mean opening of both eyes, in their widths."""
    return sum(gap(landmarks, eye) for eye in EYES) / len(EYES)


def mouth_open(landmarks: F32) -> float:
    """Opening between the lips, in the mouth's width."""
    return gap(landmarks, MOUTH)


def _sharpness(pairs: Sequence[tuple[U8, U8]], regions: Sequence[Mask]) -> float | None:
    shown = [
        (one, other, region) for (one, other), region in zip(pairs, regions, strict=True) if region.any()
    ]
    made = [measures.gradient_energy(one, region) for one, _, region in shown]
    return measures.ratio(made, [measures.gradient_energy(other, region) for _, other, region in shown])


def _flicker(made: Shots, real: Shots, regions: Sequence[Mask]) -> float | None:
    def changes(shots: Shots) -> list[float]:
        return [
            measures.l1(picture, neighbour, region)
            for picture, neighbour, region in zip(shots.pictures, shots.neighbours, regions, strict=True)
            if neighbour is not None and region.any()
        ]

    return measures.ratio(changes(made), changes(real))


def over_people(
    rows: Iterable[tuple[str, Mapping[str, float | None]]], names: Sequence[str]
) -> dict[str, float | int | None]:
    """The mean of each figure over people: first over the clips of each, then over them.

    A figure that is None of a clip is left out. Of correlations it is told how many people have one, and
    those of fewer than `CURVE_PEOPLE` are None.
    """
    people: dict[str, list[Mapping[str, float | None]]] = {}
    for person, figures in rows:
        people.setdefault(person, []).append(figures)
    document: dict[str, float | int | None] = {}
    for name in names:
        own = [measures.mean([figures[name] for figures in clips]) for clips in people.values()]
        count = sum(value is not None for value in own)
        told = measures.mean(own) if name not in CURVES or count >= CURVE_PEOPLE else None
        document[name] = None if told is None else round(told, DIGITS)
        if name in CURVES:
            document[f"{name}_people"] = count
    return document


def first(faces: Sequence[Face]) -> Face | None:
    """The one that counts, if there is any."""
    return faces[0] if faces else None


def is_still(pictures: Sequence[U8]) -> bool:
    """Whether it is one picture all the time, which need not be looked at again and again."""
    return all(picture is pictures[0] for picture in pictures)


def each(pictures: Sequence[U8], look: Callable[[U8], Face | None]) -> list[Face | None]:
    """What is seen in every picture; one that comes again is looked at once."""
    seen: dict[int, Face | None] = {}
    for picture in pictures:
        if id(picture) not in seen:
            seen[id(picture)] = look(picture)
    return [seen[id(picture)] for picture in pictures]


def places_of(landmarks: Sequence[F32]) -> Tensor:
    """(N, 478, 2) of landmarks (478, 3) px, from a picture's corner, as the networks that cut faces count."""
    return torch.from_numpy(np.stack([one[:, :2] for one in landmarks]) + np.float32(0.5))


def batched(network: Callable[[Tensor, Tensor], Tensor], pictures: Sequence[U8], landmarks: Tensor) -> Tensor:
    """What a network gives for all pictures, a few at a time."""
    parts = [slice(start, start + BATCH) for start in range(0, len(pictures), BATCH)]
    return torch.cat([network(tensor_of(pictures[part]), landmarks[part]) for part in parts])


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
