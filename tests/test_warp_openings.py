"""What shows through the skin: teeth, lids, irises."""

from __future__ import annotations

import numpy as np
import pytest
from made_motions import changed, difference, inside, rigid, rings
from made_people import made_face

from avatar.generate import WarpGenerator
from avatar.records import F32, U8, Identity, Motion, Observation
from avatar.retarget import Retargeter
from avatar.tools.facemesh import EYES, IRISES, MOUTH
from avatar.tools.scaling import resized
from avatar.warp import ViewWarper

SIDES = (256, 512, 683)


@pytest.fixture(scope="module")
def warper(astronaut_identity: Identity) -> ViewWarper:
    return ViewWarper(astronaut_identity.front, 512)


@pytest.fixture(scope="module")
def acted(astronaut_identity: Identity) -> dict[str, Motion]:
    """Her face at rest, and with lids and lips shut."""
    retarget = Retargeter(astronaut_identity, smoothing=0)
    rest = made_face()
    retarget.prepare([rest])
    shut = made_face()
    for opening in (*EYES, MOUTH):
        for upper, lower in opening.pairs:
            shut.landmarks[[upper, lower]] = (shut.landmarks[upper] + shut.landmarks[lower]) / 2
    return {name: retarget(Observation(face, 0, 0)) for name, face in (("rest", rest), ("shut", shut))}


def whiteness(picture: U8, landmarks: F32, opening: str) -> float:
    """Of the whitest pixels within an opening and just around it: the least of their colours, levels."""
    side = picture.shape[0]
    within = inside(rings(landmarks, side)[opening], side, grown=max(1, side // 170))
    return float(np.percentile(picture[within].min(axis=1), 90))


@pytest.mark.parametrize("side", SIDES)
def test_shut_lips_hide_the_teeth(astronaut_identity: Identity, acted: dict[str, Motion], side: int) -> None:
    warper, generate = ViewWarper(astronaut_identity.front, side), WarpGenerator(astronaut_identity, side)
    smiling, shut = rigid(astronaut_identity), acted["shut"]
    photo = whiteness(
        resized(astronaut_identity.front.texture, side), astronaut_identity.front.landmarks, "mouth"
    )
    assert photo > 200
    assert whiteness(generate(warper(smiling), smiling).rgb, smiling.landmarks, "mouth") > 0.85 * photo
    assert whiteness(generate(warper(shut), shut).rgb, shut.landmarks, "mouth") < 0.8 * photo


@pytest.mark.parametrize("side", SIDES)
def test_shut_lids_show_no_white_and_no_pupil(
    astronaut_identity: Identity, acted: dict[str, Motion], side: int
) -> None:
    warper = ViewWarper(astronaut_identity.front, side)
    open_, shut = warper(acted["rest"]).person, warper(acted["shut"]).person
    for eye in ("right eye", "left eye"):
        ring = rings(acted["rest"].landmarks, side)[eye]
        within = inside(ring, side, grown=-1)
        assert grey_share(open_[within]) > 0.3 and np.percentile(open_[within].sum(axis=1), 3) < 150
        assert grey_share(shut[within]) < 0.15, "the white of an eye has less colour than skin"
        above = within & (np.arange(side)[:, None] < ring[:, 1].mean() - 0.004 * side)
        assert np.percentile(shut[above].sum(axis=1), 3) > 280, "only the line of the lashes is dark"


def grey_share(pixels: U8) -> float:
    """How many of (N, 3) pixels are bright and nearly without colour."""
    colour = pixels.max(axis=1).astype(int) - pixels.min(axis=1)
    return float(((colour < 50) & (pixels.min(axis=1) > 100)).mean())


def test_shut_lids_drag_no_iris_along(astronaut_identity: Identity, acted: dict[str, Motion]) -> None:
    """The skin alone, without the lid that is drawn on shut eyes: where the lids go there is no dark."""
    warper = ViewWarper(astronaut_identity.front, 512)
    shut = changed(acted["rest"], acted["shut"].landmarks)
    assert (shut.blink == 0).all()
    person = warper(shut).person
    for eye in ("right eye", "left eye"):
        ring = rings(acted["rest"].landmarks, 512)[eye]
        middle = np.abs(np.arange(512)[None] - ring[:, 0].mean()) < 0.2 * np.ptp(ring[:, 0])
        lids = inside(rings(shut.landmarks, 512)[eye], 512, grown=4) & middle
        assert np.percentile(person[lids].sum(axis=1), 3) > 200


def test_one_shut_eye_leaves_the_other(
    astronaut_identity: Identity, warper: ViewWarper, acted: dict[str, Motion]
) -> None:
    landmarks = acted["rest"].landmarks.copy()
    for upper, lower in EYES[0].pairs:
        landmarks[upper] = landmarks[lower]
    person = warper(changed(acted["rest"], landmarks, (1, 0))).person
    rest = warper(acted["rest"]).person
    outlines = rings(acted["rest"].landmarks, 512)
    assert difference(person, rest, inside(outlines["left eye"], 512, grown=3)) < 0.5
    assert difference(person, rest, inside(outlines["right eye"], 512, grown=-1)) > 25


@pytest.mark.parametrize("side", SIDES)
def test_irises_move_with_the_gaze(astronaut_identity: Identity, side: int) -> None:
    warper = ViewWarper(astronaut_identity.front, side)
    for number, eye in enumerate(("right eye", "left eye")):
        within = inside(rings(astronaut_identity.front.landmarks, side)[eye], side)
        found = []
        for step in (-0.008, 0.0, 0.008):
            landmarks = astronaut_identity.front.landmarks.copy()
            landmarks[list(IRISES[number]), 0] += step
            person = warper(changed(rigid(astronaut_identity), landmarks)).person
            dark = np.clip(110 - person.astype(np.float32).mean(axis=2), 0, None) * within
            found.append(float((dark * np.arange(side)).sum() / dark.sum()))
        moved = np.diff(found) / (0.008 * side)
        # In the middle the eye is the picture's own, on both sides it is painted: dark in other places.
        assert (moved > 0.4).all() and 0.85 < moved.mean() < 1.15, moved
