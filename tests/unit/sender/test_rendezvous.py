from __future__ import annotations

from collections import Counter

import pytest

from services.sender.rendezvous import LONGEST_SECONDS, STEP_SECONDS, hold_back_seconds

TEN = frozenset(f"sender-{number}" for number in range(10))


def test_a_sender_that_stands_alone_waits_for_nobody() -> None:
    assert hold_back_seconds("sender-1", {"sender-1"}, 0) == 0
    assert hold_back_seconds("sender-1", set(), 0) == 0


@pytest.mark.parametrize("shard", range(5))
def test_every_place_in_a_shard_s_order_is_taken_once(shard: int) -> None:
    places = sorted(hold_back_seconds(sender, TEN, shard) for sender in TEN)

    assert places == pytest.approx([place * STEP_SECONDS for place in range(10)])


def test_shards_have_orders_of_their_own() -> None:
    first = Counter(min(TEN, key=lambda sender: hold_back_seconds(sender, TEN, shard)) for shard in range(1000))

    assert set(first) == TEN
    assert max(first.values()) < 2 * min(first.values())


def test_one_that_leaves_changes_nothing_in_the_order_of_the_others() -> None:
    left = TEN - {"sender-3"}
    before = sorted(left, key=lambda sender: hold_back_seconds(sender, TEN, 7))

    assert sorted(left, key=lambda sender: hold_back_seconds(sender, left, 7)) == before


def test_nobody_holds_back_for_long() -> None:
    crowd = {f"sender-{number}" for number in range(1000)}

    assert max(hold_back_seconds(sender, crowd, 0) for sender in list(crowd)[:50]) <= LONGEST_SECONDS
