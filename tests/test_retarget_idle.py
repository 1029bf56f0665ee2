"""A portrait that is left alone breathes and blinks, if that is wanted, and nothing ever jumps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from made_drivers import Driver, assert_never_crossed, jump, off
from made_people import made_face, made_identity

from avatar.records import Identity
from avatar.retarget import Tuning
from avatar.retarget.idle import BLINK_EVERY_S, Idle


@pytest.fixture(scope="module")
def person() -> Identity:
    return made_identity()


def alive(person: Identity) -> Driver:
    drive = Driver(person)
    drive.retarget.tuning = Tuning(alive=True)
    return drive


def test_without_being_asked_it_stands_still(person: Identity) -> None:
    motions = Driver(person).hold(None, 20)
    assert max(off(motion, person.neutral) for motion in motions) < 1e-3


def test_it_breathes_and_blinks_gently(person: Identity) -> None:
    motions = alive(person).hold(None, 30)
    assert 4 <= blinks([float(motion.blink.min()) for motion in motions]) <= 11
    for motion in motions:
        assert_never_crossed(motion)
    still = [motion for motion in motions if motion.blink.max() == 0]
    moved = [off(motion, person.neutral) for motion in still]
    assert 0.3 < max(moved) < 3, "pixels of a 256 crop"
    calm = [jump(one, other) for one, other in itertools.pairwise(still)]
    assert np.percentile(calm, 90) < 0.2


def test_a_driver_who_goes_and_comes_sees_no_jump(person: Identity) -> None:
    drive = alive(person)
    motions = drive.hold(made_face(), 3) + drive.hold(None, 6) + drive.hold(made_face(), 3)
    open_eyed = [
        jump(one, other)
        for one, other in itertools.pairwise(motions)
        if one.blink.max() == other.blink.max() == 0
    ]
    assert max(open_eyed) < 1.0
    assert off(motions[-1], person.neutral) < 0.3, "driven again, it is as the driver is"


def test_a_short_loss_of_the_face_is_no_idleness(person: Identity) -> None:
    drive = alive(person)
    before = drive.hold(made_face(), 3)[-1]
    assert max(jump(before, motion) for motion in drive.hold(None, 0.3)) < 0.05


def test_who_was_never_seen_is_alone_from_the_first_frame_on(person: Identity) -> None:
    drive = alive(person)
    drive.count = 30 * 3600 * 24  # the clock of a computer that has been on for a day
    motions = drive.hold(None, 10)
    assert off(motions[0], person.neutral) < 1e-3, "at rest, not in the middle of a breath"
    assert blinks([float(motion.blink.min()) for motion in motions]) >= 1


def test_left_alone_again_it_blinks_again(person: Identity) -> None:
    drive = alive(person)
    drive.hold(None, 60)
    drive.hold(made_face(), 2)
    motions = drive.hold(None, 12)
    assert blinks([float(motion.blink.min()) for motion in motions]) >= 1


def test_blinks_come_at_other_times_for_another_seed() -> None:
    times = range(0, 60_000_000_000, 10_000_000)
    seen = []
    for seed in range(4):
        idle = Idle(seed)
        seen.append([idle.blink(seed + time) for time in times])
        assert 60 / (BLINK_EVERY_S[1] + 0.5) - 1 <= blinks(seen[-1]) <= 60 / BLINK_EVERY_S[0]
    assert all(one != other for one, other in itertools.pairwise(seen))


def blinks(shut: list[float]) -> int:
    """How often the lids went shut by more than half."""
    closed = np.array(shut) > 0.5
    return int((closed[1:] & ~closed[:-1]).sum())
