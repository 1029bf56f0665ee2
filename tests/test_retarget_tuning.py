"""What may be changed while somebody drives: strength, smoothing, reach, and the portrait itself."""

from __future__ import annotations

import numpy as np
import pytest
from made_drivers import SMILE, Driver, assert_never_crossed, jump, off
from made_people import made_face, made_identity

from avatar.records import Identity
from avatar.retarget import Tuning
from avatar.retarget.retarget import TURN_LIMIT
from avatar.tools.geometry import vector_from_rotation


@pytest.fixture(scope="module")
def person() -> Identity:
    return made_identity()


@pytest.fixture(scope="module")
def other() -> Identity:
    return made_identity(SMILE, turn=(0.05, -0.2, 0.08), stretch=(1.1, 0.95, 1))


def turned(drive: Driver, by: float) -> float:
    """How far the head turns to the side when the driver's does by `by` [rad], after it has come to rest."""
    motion = drive.hold(made_face(turn=(0, by, 0)), 1.5)[-1]
    return float(abs(vector_from_rotation(motion.head[:, :3])[1]))


def test_strength_scales_expression_and_head(person: Identity) -> None:
    moved = {}
    for strength in (0.0, 0.5, 1.0, 1.5):
        drive = Driver(person, smoothing=0)
        drive.hold(made_face(), 3.0)
        drive.retarget.tuning = Tuning(strength=strength, smoothing=0)
        moved[strength] = off(drive(made_face(SMILE)), person.neutral), turned(drive, 0.1)
    np.testing.assert_allclose(moved[0.0], 0, atol=0.01)
    assert moved[0.5][0] == pytest.approx(moved[1.0][0] / 2, rel=0.1)
    assert moved[1.5][0] == pytest.approx(moved[1.0][0] * 1.5, rel=0.1)
    assert moved[0.5][1] == pytest.approx(moved[1.0][1] / 2, rel=0.1)


def test_reach_limits_how_far_the_head_turns(person: Identity) -> None:
    drive = Driver(person, smoothing=0)
    drive.hold(made_face(), 3.0)
    assert turned(drive, 1.2) == pytest.approx(TURN_LIMIT["relative"], rel=0.05)
    drive.retarget.tuning = Tuning(smoothing=0, reach=0.3)
    assert turned(drive, 1.2) == pytest.approx(0.3 * TURN_LIMIT["relative"], rel=0.05)


def test_smoothing_changes_without_a_jump_and_is_later_the_more_it_smooths(person: Identity) -> None:
    left = {}
    for smoothing in (0.0, 1.0, 3.0):
        drive = Driver(person)
        calm = drive.hold(made_face(), 3.0)[-1]
        drive.retarget.tuning = Tuning(smoothing=smoothing)
        assert jump(calm, drive(made_face())) < 0.01
        smiling = [drive(made_face(SMILE)) for _ in range(60)]
        left[smoothing] = jump(smiling[1], smiling[-1])
    assert left[0.0] < 0.01 < left[1.0] < left[3.0]


def test_another_portrait_knows_the_driver_at_once(person: Identity, other: Identity) -> None:
    before = Driver(person, smoothing=0)
    before.hold(made_face(turn=(0, 0.25, 0)), 3.0)
    before.retarget.tuning = Tuning(strength=0.8, smoothing=0)
    after = Driver(other, smoothing=0)
    after.count = before.count
    after.retarget.take_over(before.retarget)
    assert after.retarget.tuning == before.retarget.tuning
    # Learnt anew, this face, which smiles and looks straight ahead, would be the one of rest.
    motion = after(made_face(SMILE))
    assert off(motion, other.neutral) > 3
    assert abs(vector_from_rotation(motion.head[:, :3])[1]) > 0.1
    assert off(after(made_face(turn=(0, 0.25, 0))), other.neutral) < 0.3


@pytest.mark.parametrize("away_s", [0.2, 0.9, 6.0], ids=["held", "easing", "left alone"])
def test_another_portrait_goes_on_where_the_driver_was_lost(
    person: Identity, other: Identity, away_s: float
) -> None:
    before, after = Driver(person), Driver(other)
    before.retarget.tuning = Tuning(alive=True)
    before.hold(made_face(), 2.0)
    smiling = before.hold(made_face(SMILE, turn=(0, 0.25, 0)), 1.0)[-1]
    last = before.hold(None, away_s)[-1]
    after.count = before.count
    after.retarget.take_over(before.retarget)
    goes_on, expected = after(None), before(None)
    np.testing.assert_allclose(goes_on.head[:, :3], expected.head[:, :3], atol=1e-5)
    assert goes_on.blink == pytest.approx(expected.blink, abs=1e-6)
    assert_never_crossed(goes_on)
    if away_s < 0.4:
        assert off(goes_on, other.neutral) > 0.5 * off(smiling, person.neutral)
    else:
        assert jump(last, expected) < 1.0, "nothing jumps in between"


def test_another_portrait_takes_over_while_the_driver_comes_back(person: Identity, other: Identity) -> None:
    before, after = Driver(person), Driver(other)
    before.hold(made_face(), 2.0)
    before.hold(made_face(SMILE), 1.0)
    before.hold(None, 1.0)
    before(made_face(turn=(0, 0.3, 0)))
    after.count = before.count
    after.retarget.take_over(before.retarget)
    expected, goes_on = before(made_face(turn=(0, 0.3, 0))), after(made_face(turn=(0, 0.3, 0)))
    np.testing.assert_allclose(goes_on.head[:, :3], expected.head[:, :3], atol=1e-3)


def test_a_calm_face_that_was_asked_for_before_is_taken_after(person: Identity, other: Identity) -> None:
    before, after = Driver(person), Driver(other)
    before.retarget.set_neutral()
    after.retarget.take_over(before.retarget)
    assert off(after(made_face(SMILE)), other.neutral) < 0.01
