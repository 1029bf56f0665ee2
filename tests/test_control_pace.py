"""When the head is drawn smaller, and when bigger again."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from control_fakes import status

from avatar.control import Pace
from avatar.control.pace import CALM_MAX_S, CALM_S, PATIENCE_S, SHARES, WARM_UP_S

SLOW = (15.0, 15.0)
GOOD = (29.9, 0.0)


class Clock:
    """Feeds statuses twice a second."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.now, self.dropped = pace, WARM_UP_S, 0.0

    def go(self, seconds: float, weather: Callable[[], tuple[float, float]]) -> list[float]:
        """The moments at which the level changed, from now on; `weather` gives fps and drops a second."""
        begun, changed = self.now, []
        while self.now < begun + seconds:
            self.now += 0.5
            fps, drops = weather()
            self.dropped += drops / 2
            if self.pace(status(seconds=self.now, fps=fps, dropped=round(self.dropped))):
                changed.append(self.now - begun)
        return changed


def test_a_machine_that_is_too_slow_gets_less_to_do_step_by_step() -> None:
    clock = Clock(Pace(30.0))
    changed = clock.go(60, lambda: SLOW)
    assert clock.pace.share == SHARES[-1]
    assert len(changed) == len(SHARES) - 1
    assert PATIENCE_S <= changed[0] <= PATIENCE_S + 1.5


@pytest.mark.parametrize(
    "weather", [(15.0, 0.0), (30.0, 30.0), (29.0, 3.0)], ids=["dark room", "60 fps", "few"]
)
def test_a_slow_or_a_fast_camera_is_no_slow_machine(weather: tuple[float, float]) -> None:
    assert Clock(Pace(30.0)).go(120, lambda: weather) == []


def test_a_short_trouble_changes_nothing() -> None:
    clock = Clock(Pace(30.0))
    for _ in range(10):
        assert clock.go(PATIENCE_S - 1, lambda: SLOW) == []
        assert clock.go(2, lambda: GOOD) == []


def test_it_comes_back_when_the_trouble_is_over() -> None:
    clock = Clock(Pace(30.0))
    clock.go(30, lambda: SLOW)
    changed = clock.go(4 * CALM_S, lambda: GOOD)
    assert clock.pace.level == 0
    assert changed[0] >= CALM_S - 1


def test_where_the_bigger_one_is_always_too_much_it_tries_less_and_less() -> None:
    pace = Pace(30.0)
    clock = Clock(pace)
    changed = clock.go(4000, lambda: SLOW if pace.level == 0 else GOOD)
    ups = changed[1::2]
    waits = [later - earlier for earlier, later in itertools.pairwise(ups)]
    assert waits == sorted(waits)
    assert waits[0] < 3 * CALM_S
    assert waits[-1] <= CALM_MAX_S + 3 * PATIENCE_S
    assert len(ups) < 15


def test_what_is_seen_while_something_else_goes_on_does_not_count() -> None:
    pace = Pace(30.0)
    clock = Clock(pace)

    def disturbed() -> tuple[float, float]:
        pace.disturbed()
        return SLOW

    assert clock.go(60, disturbed) == []


def test_the_beginning_does_not_count() -> None:
    pace = Pace(30.0)
    for half in range(int(2 * WARM_UP_S)):
        assert not pace(status(seconds=half / 2, fps=3.0, dropped=10 * half))
