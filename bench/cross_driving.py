"""Pictures of other people, driven by a clip's person: whose face it stays, and what it takes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from avatar.capture import read_picture
from avatar.capture.pictures import PICTURE_SUFFIXES
from avatar.errors import PictureError
from avatar.identity.enroll import enroll
from avatar.pipeline import warper_for
from avatar.records import F32, U8, Face, Identity
from avatar.retarget import Retargeter
from avatar.tools.facemesh import face_model
from avatar.tools.geometry import fit_similarity, vector_from_rotation
from bench.judges import Judges
from bench.scores import batched, each, first, is_still, places_of
from bench.self_driving import SIDE, Driver, Open, Window, evenly

MOMENTS = 16
"""At most so many of a clip's moments drive each picture."""
CALM = 4
"""So many of them, those with the least expression, are what both faces are compared with themselves at."""


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A picture to be driven."""

    name: str
    identity: Identity
    window: Window
    picture: U8
    """(SIZE, SIZE, 3), as the window shows it."""
    landmarks: F32
    """(478, 3), pixels of that, found in it as in any made picture."""


@dataclass(frozen=True, slots=True)
class CrossScores:
    """How well a method drove a picture by a clip."""

    csim: float
    csim_distance: float
    expression: float | None
    expression_alike: float | None
    pose: float | None
    lost: float


NAMES = tuple(one.name for one in fields(CrossScores))


def open_portraits(folder: Path, judges: Judges) -> tuple[list[Portrait], dict[str, str]]:
    """The pictures of a folder, their biggest face each, and by name why others were left out.

    Raises:
        PictureError: there is no such folder.
    """
    if not folder.is_dir():
        raise PictureError(f"{folder}: there is no such folder")
    portraits, skipped = [], {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICTURE_SUFFIXES:
            try:
                portraits.append(_portrait(path, judges))
            except PictureError as error:
                skipped[path.name] = str(error)
    return portraits, skipped


def _portrait(path: Path, judges: Judges) -> Portrait:
    picture = read_picture(path)
    identity = enroll(
        picture, name=path.name, find=lambda rgb: judges.search(rgb)[:1], segment=judges.segment
    )
    window = Window(identity)
    shown = window.of_picture(identity.picture)
    found = first(judges.find(shown))
    landmarks = window.of_crop(identity.front.landmarks) if found is None else found.landmarks
    return Portrait(path.name, identity, window, shown, landmarks)


def drive(
    portrait: Portrait,
    driver: Driver,
    faces: Sequence[Face | None],
    judges: Judges,
    methods: Mapping[str, Open],
) -> dict[str, CrossScores]:
    """Let every method move the picture as the clip's person moved; `copy` shows the picture still.

    Args:
        portrait: the picture.
        driver: the clip.
        faces: what is found in the clip at each of the driver's moments.
        judges: who looks at the pictures.
        methods: generators by name.

    Returns:
        By method; empty if the driver was not found in any picture.
    """
    used = [i for i in evenly(range(len(faces)), MOMENTS) if faces[i] is not None]
    if not used:
        return {}
    identity = portrait.identity
    retarget = Retargeter(identity, mode="relative", smoothing=0.0)
    retarget.prepare([one.face for one in driver.seen])
    opened = {name: open_it(identity) for name, open_it in methods.items()}
    warpers = {name: warper_for(generate, identity, SIDE) for name, generate in opened.items()}
    made: dict[str, list[U8]] = {name: [] for name in opened}
    for i in used:
        observation = driver.seen[driver.choice.moments[i]]
        motion = retarget(observation)
        for name, generate in opened.items():
            warped = warpers[name](motion, observation.captured_ns)
            made[name].append(portrait.window.of_portrait(generate(warped, motion).rgb))
    made["copy"] = [portrait.picture] * len(used)
    wanted = [face for i in used if (face := faces[i]) is not None]
    with torch.inference_mode():
        return {name: _scores(portrait, pictures, wanted, judges) for name, pictures in made.items()}


def _scores(
    portrait: Portrait, pictures: Sequence[U8], wanted: Sequence[Face], judges: Judges
) -> CrossScores:
    faces = each(pictures, lambda picture: first(judges.find(picture)))
    own = portrait.landmarks
    landmarks = places_of([own if face is None else face.landmarks for face in faces])
    count = 1 if is_still(pictures) else len(pictures)
    embeddings = batched(judges.embed, pictures[:count], landmarks[:count])
    of_picture = batched(judges.embed, [portrait.picture], places_of([own]))
    pairs = [(made, real) for made, real in zip(faces, wanted, strict=True) if made is not None]
    return CrossScores(
        csim=float(F.cosine_similarity(embeddings, of_picture).mean()),
        csim_distance=float((embeddings - of_picture).norm(dim=1).mean()),
        expression=expression_error(pairs),
        expression_alike=expression_alike(pairs),
        pose=pose_error(pairs),
        lost=sum(face is None for face in faces) / len(faces),
    )


def calmest(faces: Sequence[Face]) -> list[int]:
    """The `CALM` faces with the least expression."""
    acted = [float(np.linalg.norm(face.blendshapes[1:])) for face in faces]
    return [int(i) for i in np.argsort(acted, kind="stable")[:CALM]]


def expression_error(pairs: Sequence[tuple[Face, Face]]) -> float | None:
    """How far the change of a made face is from the change of the driver's (made, driver), 0..1.

    Both changes are from the mean of the moments at which the driver was calmest; the mean of the absolute
    differences of all blendshapes. None without a pair.
    """
    if not pairs:
        return None
    made, driver = _changes(pairs)
    return float(np.abs(made - driver).mean())


def expression_alike(pairs: Sequence[tuple[Face, Face]]) -> float | None:
    """Cosine of the same changes, all moments and blendshapes together; None if one face does not change."""
    if not pairs:
        return None
    made, driver = _changes(pairs)
    lengths = float(np.linalg.norm(made) * np.linalg.norm(driver))
    return float((made * driver).sum()) / lengths if lengths > 1e-9 else None


def _changes(pairs: Sequence[tuple[Face, Face]]) -> tuple[F32, F32]:
    """(N, 51) of the made faces and of the driver's."""
    calm = calmest([driver for _, driver in pairs])
    made, driver = (np.stack([pair[i].blendshapes[1:] for pair in pairs]) for i in (0, 1))
    return made - made[calm].mean(axis=0), driver - driver[calm].mean(axis=0)


def pose_error(pairs: Sequence[tuple[Face, Face]]) -> float | None:
    """The angle between the turns of both heads since the driver was calmest [degrees], as above."""
    if not pairs:
        return None
    calm = calmest([driver for _, driver in pairs])
    made, driver = (_turns([pair[i] for pair in pairs], calm) for i in (0, 1))
    angles = [
        np.linalg.norm(vector_from_rotation(np.asarray(one @ other.T, np.float32)))
        for one, other in zip(made, driver, strict=True)
    ]
    return float(np.degrees(np.mean(angles)))


def _turns(faces: Sequence[Face], calm: Sequence[int]) -> F32:
    """(N, 3, 3): each head's rotation since its mean over `calm`."""
    model = face_model()
    rotations = np.stack([fit_similarity(model.mean, one.landmarks, model.rigid).rotation for one in faces])
    u, _, vt = np.linalg.svd(rotations[list(calm)].mean(axis=0))
    return np.asarray(rotations @ (u @ vt).T, np.float32)
