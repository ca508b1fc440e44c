from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from services.sender import lease_keeper
from services.sender.delivery import Delivery
from shared.domain.errors import Unavailable
from shared.queue.leases import Lease, Leases
from tests.unit.sender.leases import delivery_of

LEASE_SECONDS = 60.0


class Register(Leases):
    """Leases that are renewed but those in `gone`, and in no shard of `away`."""

    def __init__(self, *, gone: Sequence[str] = (), away: Sequence[int] = ()) -> None:
        self.lease_ms = int(LEASE_SECONDS * 1000)
        self.gone = gone
        self.away = away
        self.calls: list[tuple[int, int]] = []

    async def extend(self, shard: int, leases: Sequence[Lease]) -> list[bool]:
        self.calls.append((shard, len(leases)))
        if shard in self.away:
            raise Unavailable("away")
        return [lease.id not in self.gone for lease in leases]


def ends_in(seconds: float, number: int = 0, shard: int = 0) -> Delivery:
    """Return a delivery whose lease ends in so many seconds."""
    return delivery_of(number, until=time.monotonic() + seconds, shard=shard)


@pytest.mark.parametrize(
    ("left", "is_renewed"), [(59.0, False), (41.0, False), (39.0, True), (0.0, True), (-5.0, True)]
)
async def test_a_lease_is_renewed_once_a_third_of_it_has_passed(left: float, is_renewed: bool) -> None:
    delivery, before = ends_in(left), time.monotonic()

    await lease_keeper.renew(Register(), [delivery])

    assert (delivery.until >= before + LEASE_SECONDS) is is_renewed


async def test_a_lease_that_was_taken_is_known_to_be_lost() -> None:
    taken, kept = ends_in(10, 1), ends_in(10, 2)
    until = taken.until

    await lease_keeper.renew(Register(gone=[taken.lease.id]), [taken, kept])

    assert (taken.is_lost, taken.until) == (True, until)
    assert not kept.is_lost


async def test_a_lost_lease_is_not_asked_for_again() -> None:
    delivery, register = ends_in(10), Register()
    delivery.is_lost = True

    await lease_keeper.renew(register, [delivery])

    assert register.calls == []


async def test_each_shard_is_asked_once() -> None:
    register = Register()

    await lease_keeper.renew(register, [ends_in(10, number, number % 2) for number in range(6)])

    assert sorted(register.calls) == [(0, 3), (1, 3)]


async def test_no_call_carries_more_than_is_good() -> None:
    register = Register()

    await lease_keeper.renew(register, [ends_in(10, number) for number in range(600)])

    assert register.calls == [(0, 250), (0, 250), (0, 100)]


async def test_a_shard_that_is_away_keeps_no_other_from_being_renewed() -> None:
    away, here = ends_in(10, 1, shard=0), ends_in(10, 2, shard=1)
    until = away.until

    await lease_keeper.renew(Register(away=[0]), [away, here])

    assert (away.until, away.is_lost) == (until, False)
    assert here.until > until
