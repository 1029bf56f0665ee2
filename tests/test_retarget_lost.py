"""Faces that go and come: held, eased to rest, joined again, and nothing jumps."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from made_drivers import PERIOD_NS, SMILE, Driver, jump, off
from made_people import blink, made_face, made_identity

from avatar.records import Identity
from avatar.retarget.retarget import EASE_NS, HOLD_NS, RETURN_NS


@pytest.fixture(scope="module")
def laughing() -> Identity:
    return made_identity(SMILE, turn=(0.05, -0.2, 0.08), stretch=(1.1, 0.95, 1))


def test_a_lost_face_is_held_and_then_eased_to_rest(laughing: Identity) -> None:
    drive = Driver(laughing)
    drive.hold(made_face(), 0.3)
    last = drive.hold(made_face(SMILE | blink(0.3), turn=(0, 0.25, 0), shift=(340, 230)), 0.5)[-1]
    assert off(last, laughing.neutral) > 8
    lost = drive.hold(None, (HOLD_NS + EASE_NS) / 1e9 + 0.2)
    times = np.arange(1, len(lost) + 1) * PERIOD_NS
    distance = np.array([off(motion, laughing.neutral) for motion in lost])
    held = times <= HOLD_NS
    assert max(jump(last, lost[i]) for i in np.flatnonzero(held)) == 0
    assert (np.diff(distance) <= 1e-4).all()
    easing = ~held & (times < HOLD_NS + EASE_NS)
    assert (np.diff(distance[easing]) < 0).all()
    assert distance[times >= HOLD_NS + EASE_NS].max() < 1e-3
    steps = [jump(*pair) for pair in pairwise([last, *lost])]
    assert max(steps) < 2.2 * distance[0] / (EASE_NS / PERIOD_NS), "no jump in the easing"


@pytest.mark.parametrize("away", [1, 5, 20, 60])
def test_a_face_that_comes_back_is_joined_without_a_jump(laughing: Identity, away: int) -> None:
    drive = Driver(laughing)
    drive.hold(made_face(turn=(0, -0.2, 0)), 0.3)
    before = drive.hold(made_face(turn=(0, -0.2, 0)), 0.3)[-1]
    lost = [drive(None) for _ in range(away)]
    back = drive.hold(made_face(SMILE | blink(1.0), turn=(0, 0.3, 0), shift=(350, 240)), 1.0)
    whole = jump(lost[-1], back[-1])
    assert whole > 4
    everything = [before, *lost, *back]
    steps = [jump(*pair) for pair in pairwise(everything)]
    assert max(steps) < 2.2 * whole / (RETURN_NS / PERIOD_NS)
    blinks = [float(motion.blink[0]) for motion in everything]
    assert blinks[-1] > 0.9
    assert np.abs(np.diff(blinks)).max() < 0.3, "the lids do not snap"
    assert steps[-1] < 0.01


def test_the_first_face_is_joined_without_a_jump_too(laughing: Identity) -> None:
    drive = Driver(laughing, "absolute")
    waiting = drive.hold(None, 0.3)
    assert off(waiting[-1], laughing.neutral) < 1e-3
    back = drive.hold(made_face(SMILE, turn=(0, 0.4, 0)), 1.0)
    everything = [*waiting, *back]
    steps = [jump(*pair) for pair in pairwise(everything)]
    assert max(steps) < 2.2 * jump(waiting[-1], back[-1]) / (RETURN_NS / PERIOD_NS)


def test_a_face_lost_while_it_is_being_joined_is_held(laughing: Identity) -> None:
    drive = Driver(laughing)
    drive.hold(made_face(), 0.3)
    smile = made_face(SMILE, turn=(0, 0.3, 0))
    everything = [*drive.hold(None, 0.2), *(drive(smile) for _ in range(3)), *(drive(None) for _ in range(5))]
    everything += [drive(smile) for _ in range(30)]
    steps = [jump(*pair) for pair in pairwise(everything)]
    assert max(steps) < 0.4 * jump(everything[0], everything[-1])


def test_before_any_face_there_is_the_resting_portrait(laughing: Identity) -> None:
    drive = Driver(laughing)
    motion = drive(None)
    assert not np.shares_memory(motion.blink, drive(None).blink)
    assert off(motion, laughing.neutral) < 1e-3
    np.testing.assert_allclose(motion.head, np.eye(3, 4), atol=1e-6)
