"""What is told of the network."""

from __future__ import annotations

from avatar.call.weather import FINE, KEPT, REPORTS, TIRED, Weather


def told(weather: Weather, lost: float, round_trip_s: float | None, times: int = REPORTS) -> list[str | None]:
    return [weather(lost, round_trip_s) for _ in range(times)]


def test_losses_and_waiting_packets_are_told_once_and_so_is_their_end() -> None:
    for lost, trip in ((0.3, 0.03), (0.0, 0.6), (0.3, None)):
        weather = Weather()
        assert set(told(weather, 0.0, 0.03, 10)) == {None}, "good weather is nothing to tell"
        assert told(weather, lost, trip) == [None] * (REPORTS - 1) + [TIRED]
        assert set(told(weather, lost, trip, 20)) == {None}
        assert told(weather, 0.01, 0.05) == [None] * (REPORTS - 1) + [FINE]


def test_a_gust_is_not_told() -> None:
    weather = Weather()
    for _ in range(10):
        assert set(told(weather, 0.5, 0.03, REPORTS - 1)) == {None}
        assert weather(0.0, 0.03) is None


def test_a_far_receiver_is_no_tired_network() -> None:
    assert set(told(Weather(), 0.0, 0.5, 20)) == {None}


def test_another_way_that_is_longer_for_good_is_no_tired_network_for_ever() -> None:
    weather = Weather()
    told(weather, 0.0, 0.03, 10)
    assert TIRED in told(weather, 0.0, 0.6, REPORTS)
    assert FINE in told(weather, 0.0, 0.6, KEPT + REPORTS)
