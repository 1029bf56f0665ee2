"""The slot: newest wins, drops are counted, closing wakes and drains."""

from __future__ import annotations

import threading
import time

from avatar.tools.slot import Slot


def test_newest_wins_and_the_replaced_are_counted() -> None:
    slot: Slot[int] = Slot()
    for item in range(5):
        assert slot.put(item)
    assert slot.get(0) == 4
    assert slot.dropped == 4
    assert slot.get(0) is None
    slot.put(5)
    assert slot.get(0) == 5
    assert slot.dropped == 4


def test_get_waits_for_a_new_item_only_so_long() -> None:
    slot: Slot[int] = Slot()
    start = time.monotonic()
    assert slot.get(0.05) is None
    assert time.monotonic() - start >= 0.045


def test_get_is_woken_by_a_put() -> None:
    slot: Slot[str] = Slot()
    threading.Timer(0.02, slot.put, ["late"]).start()
    assert slot.get(5) == "late"


def test_closing_keeps_the_last_item_and_takes_no_more() -> None:
    slot: Slot[int] = Slot()
    slot.put(1)
    slot.close()
    slot.close()
    assert not slot.finished
    assert not slot.put(2)
    assert slot.get(None) == 1
    assert slot.finished
    assert slot.get(None) is None
    assert slot.dropped == 0


def test_closing_wakes_those_who_wait() -> None:
    empty: Slot[int] = Slot()
    threading.Timer(0.02, empty.close).start()
    assert empty.get(None) is None
    full: Slot[int] = Slot()
    full.put(1)
    threading.Timer(0.02, full.close).start()
    assert not full.offer(2)
    assert full.get(0) == 1


def test_offer_waits_for_room_and_loses_nothing() -> None:
    slot: Slot[int] = Slot()
    assert slot.offer(0)
    assert not slot.offer(1, timeout=0.01)
    taken: list[int] = []

    def take() -> None:
        while (item := slot.get(5)) is not None:
            taken.append(item)

    thread = threading.Thread(target=take)
    thread.start()
    for item in range(1, 200):
        assert slot.offer(item, timeout=5)
    slot.close()
    thread.join(5)
    assert taken == list(range(200))
    assert slot.dropped == 0


def test_falsy_items_are_items() -> None:
    slot: Slot[int] = Slot()
    slot.put(0)
    assert slot.get(0) == 0


def test_room_is_waited_for_only_so_long_and_a_closed_slot_keeps_nobody() -> None:
    slot: Slot[int] = Slot()
    assert slot.wait_for_room(0)
    slot.put(1)
    assert not slot.wait_for_room(0.01)
    taker = threading.Timer(0.05, slot.get)
    taker.start()
    assert slot.wait_for_room(5)
    taker.join()
    slot.put(2)
    slot.close()
    assert slot.wait_for_room()
