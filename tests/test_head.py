"""The head mask: face, hair and ears of a person, and not his shoulders."""

from __future__ import annotations

import numpy as np
from made_people import made_identity

from avatar.identity.head import head_mask
from avatar.records import U8, Identity, View
from avatar.tools.facemesh import CHIN, OVAL, face_height
from avatar.tools.outlines import fill_ring


def face_of(view: View, side: int) -> U8:
    return fill_ring(view.landmarks[list(OVAL), :2] * side - np.float32(0.5), (side, side))


def test_the_head_is_the_face_and_the_hair_without_the_shoulders(astronaut_identity: Identity) -> None:
    someone = astronaut_identity.front
    side = someone.head.shape[0]
    assert (someone.head <= someone.alpha).all()
    assert someone.head[face_of(someone, side) > 250].mean() > 250
    height, chin = face_height(someone.landmarks) * side, someone.landmarks[CHIN, :2] * side
    x, y = int(chin[0]), int(chin[1])
    hair = int(someone.landmarks[OVAL[0], 1] * side - 0.15 * height)
    assert someone.head[hair, x] > 200, "the hair above the forehead"
    below = slice(y + int(0.25 * height), None)
    assert someone.alpha[below].max() == 255
    assert someone.head[below].max() == 0, "the suit is the person's, not the head's"


def test_a_gap_ends_the_head() -> None:
    someone = made_identity().front
    side = 300
    alpha = face_of(someone, side)
    alpha[:20] = 255  # a hat that floats over the head
    head = head_mask(alpha, someone.landmarks)
    assert head[:20].max() == 0
    assert head[alpha > 0].sum() >= 0.98 * alpha[20:].sum()


def test_a_person_everywhere_is_bounded() -> None:
    someone = made_identity().front
    head = head_mask(np.full((300, 300), 255, np.uint8), someone.landmarks)
    assert 0.1 < (head > 127).mean() < 0.6
