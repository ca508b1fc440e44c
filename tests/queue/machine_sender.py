"""The senders of the search: they lease, begin, fail over, settle, hand back, and come too late."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from shared.domain.message import Attempt, Reason, RouteStep
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState
from shared.queue.leases import Begin, Decided, FlowRequest, Lease, Leases, Release, Settlement
from tests.queue.machine import PIECE_BYTES, Machine
from tests.queue.scenario import AMBIGUOUS_DELAY_MS, MINUTE
from tests.queue.search import (
    EVERY_FLOW,
    PROVIDERS,
    action,
    flows,
    free,
    hands,
    in_flight,
    lost,
    outcomes,
    shards,
    some,
)


class Hand:
    """What a sender knows of one lease: its attempt in flight, what it decided, what it has to close."""

    def __init__(self, lease: Lease, sender: Leases, luck: int) -> None:
        self.lease = lease
        self.sender = sender
        self.luck = luck
        self.number = lease.attempts
        self.provider = PROVIDERS[0]
        self.is_open = False
        self.is_over = False
        self.pending = lease.pending
        self.closed: Attempt | None = None
        self.decided: tuple[Decided, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.lease.id[-6:]} {self.lease.token} attempt {self.number}>"


class SenderMachine(Machine):
    """The queue with its senders. No lease is ever forgotten: any may come back at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.hands: list[Hand] = []

    def is_current(self, hand: Hand) -> bool:
        message = self.model_of(hand.lease.id)
        return message is not None and message.token == hand.lease.token

    def hands_free(self) -> list[Hand]:
        """Return the leases that hold and under which nothing is in flight."""
        return [hand for hand in self.hands if self.is_current(hand) and not hand.is_open and not hand.is_over]

    def hands_in_flight(self) -> list[Hand]:
        """Return the leases that hold and under which an attempt is in flight."""
        return [hand for hand in self.hands if self.is_current(hand) and hand.is_open]

    def hands_likely(self) -> list[Hand]:
        """Return all leases, those more often whose message is leased, under their token or another's."""
        holders = [(hand, self.model_of(hand.lease.id)) for hand in self.hands]
        return [hand for hand, message in holders if message and message.token] * 4 + self.hands

    def hands_lost(self) -> list[Hand]:
        """Return the leases lost with an attempt in flight, those whose verdict may still help more often."""
        lost = [
            (hand, self.model_of(hand.lease.id)) for hand in self.hands if hand.is_open and not self.is_current(hand)
        ]
        helpful = [hand for hand, message in lost if message and message.is_live and message.attempts == hand.number]
        return helpful * 8 + [hand for hand, _ in lost]

    @action(
        3,
        which=st.integers(0, 1),
        shard=shards,
        flows=flows,
        count=st.integers(1, 6),
        room=st.sampled_from([10**6, 600]),
    )
    def lease(self, which: int, shard: int, flows: list[FlowRequest], count: int, room: int) -> None:
        sender = self.senders[which]
        leased = self.ask(sender.lease(shard, flows, count=count, held_bytes=room))
        if leased is not None:
            for lease in leased.leases:
                self._check_lease(lease)
                self.hands.append(Hand(lease, sender, len(self.hands)))

    @action(7, which=st.integers(0, 1), shard=shards, answers=some(st.tuples(outcomes, st.integers(0, 2)), 6))
    def work(self, which: int, shard: int, answers: list[tuple[Outcome, int]]) -> None:
        """Do what a sender does all day: lease what there is, begin it, and settle what was answered."""
        before = len(self.hands)
        self.lease(which, shard, [*EVERY_FLOW], 250, 10**6)
        if mine := self.hands[before:]:
            self.begin(mine, PROVIDERS[0])
            begun = [hand for hand in mine if hand.is_open]
            answered = [
                (hand, outcome, bool(how)) for hand, (outcome, how) in zip(begun, answers, strict=False) if how < 2
            ]
            if answered:
                self.settle(answered)

    def _check_lease(self, lease: Lease) -> None:
        message = self.model_of(lease.id)
        assert message is not None
        assert (lease.token, lease.priority, lease.pool) == (message.token, message.priority, message.pool)
        assert lease.pending == tuple(message.pending)
        assert (lease.size_bytes, lease.pieces, lease.ready_at) == (message.size, message.pieces, message.ready)
        assert lease.waits_since == max(message.accepted_at, message.send or 0)
        assert (lease.attempts, lease.rounds, lease.requeues) == (message.attempts, message.rounds, message.requeues)
        assert lease.strikes == message.strikes
        assert " ".join(sorted(lease.refused)) == (message.refused or "")
        assert (lease.prefer, lease.is_doubtful, lease.expires_at) == (message.prefer, message.doubt, message.expires)
        assert len(self.run(self.senders[0].whole(lease)).text or "") in {10, 2 * PIECE_BYTES}

    def _attempt(self, hand: Hand, outcome: Outcome) -> Attempt:
        route = (RouteStep(hand.provider, chosen=True, code="best"),)
        return Attempt(hand.number, hand.provider, self.now, 12, outcome, recipients=hand.pending, route=route)

    @action(4, when=lambda machine: machine.hands_free(), chosen=some(free, 3), provider=st.sampled_from(PROVIDERS))
    def begin(self, chosen: list[Hand], provider: str) -> None:
        """Begin the next attempt of each; what was in flight before has found a provider that was down."""
        shard = chosen[0].lease.shard
        mine = [hand for hand in dict.fromkeys(chosen) if hand.lease.shard == shard and not hand.is_over]
        wishes = []
        for hand in mine:
            if hand.is_open:
                hand.closed = self._attempt(hand, Outcome.PROVIDER_DOWN)
            hand.number, hand.provider = hand.number + 1, provider
            wishes.append(Begin(hand.lease, hand.number, provider, hand.pending, hand.closed, hand.decided))
        answers = self.ask(chosen[0].sender.begin(shard, wishes)) if wishes else None
        for hand, begun in zip(mine, answers or (), strict=False):
            if begun.status == "begun":
                hand.is_open = True
            else:
                hand.number -= 1
        refused = [hand for hand, begun in zip(mine, answers or (), strict=False) if begun.status == "paused"]
        for hand in mine:
            hand.is_open |= answers is None  # a sender that heard nothing may have sent
            if hand not in refused:  # which has yet to tell what it closed
                hand.closed, hand.decided = None, ()

    @action(3, when=lambda machine: machine.hands_in_flight(), hand=in_flight, take=st.integers(1, 2))
    def fail_over_from_a_part(self, hand: Hand, take: int) -> None:
        """Begin anew for those whom the provider in flight has not decided."""
        if hand.is_open and len(hand.pending) > take:
            hand.closed = self._attempt(hand, Outcome.PARTIAL)
            done, hand.pending = hand.pending[:take], hand.pending[take:]
            hand.decided = tuple(self._decided(hand, recipient) for recipient in done)
            hand.is_open = False
            self.begin([hand], PROVIDERS[1])

    @action(1, when=lambda machine: machine.hands_in_flight(), hand=in_flight, times=st.integers(2, 60))
    def fail_over_often(self, hand: Hand, times: int) -> None:
        """Try one provider after the other, all in one call."""
        if self.is_current(hand) and hand.is_open:
            wishes = []
            for _ in range(times):
                closed = self._attempt(hand, Outcome.THROTTLED)
                hand.number += 1
                wishes.append(Begin(hand.lease, hand.number, hand.provider, hand.pending, closed))
            answers = self.ask(hand.sender.begin(hand.lease.shard, wishes))
            hand.number -= times - sum(begun.status == "begun" for begun in answers or ())

    @staticmethod
    def _decided(hand: Hand, recipient: int) -> Decided:
        if (recipient + hand.luck) % 2:
            return Decided(recipient, RecipientState.FAILED, None, None, Reason("recipient_rejected", "no such user"))
        return Decided(recipient, RecipientState.SENT, hand.provider, f"id-{recipient}")

    @action(
        6, when=lambda machine: machine.hands_in_flight(), chosen=some(st.tuples(in_flight, outcomes, st.booleans()), 3)
    )
    def settle(self, chosen: list[tuple[Hand, Outcome, bool]]) -> None:
        shard = chosen[0][0].lease.shard
        wishes = [
            self._settlement(hand, outcome, fails)
            for hand, outcome, fails in chosen
            if hand.lease.shard == shard and hand.number
        ]
        if wishes:
            self.ask(chosen[0][0].sender.settle(shard, wishes))

    @action(
        4,
        when=lambda machine: machine.hands_lost(),
        hand=lost,
        outcome=st.sampled_from([Outcome.ACCEPTED, Outcome.PARTIAL]),
        whole=st.booleans(),
    )
    def speak_late(self, hand: Hand, outcome: Outcome, whole: bool) -> None:
        """Bring a verdict whose lease was lost."""
        self.settle([(hand, outcome, whole)])

    def _settlement(self, hand: Hand, outcome: Outcome, fails: bool) -> Settlement:
        attempt = self._attempt(hand, outcome)
        hand.is_open, hand.is_over = False, True
        match outcome:
            case Outcome.ACCEPTED:
                return Settlement(hand.lease, attempt, all_state=RecipientState.SENT)
            case Outcome.REJECTED if fails:
                return Settlement(hand.lease, attempt, all_state=RecipientState.FAILED, reason="message_rejected")
            case Outcome.REJECTED:
                refused = hand.lease.refused | {f"no-{hand.provider}"}
                return Settlement(hand.lease, attempt, delay_ms=0, waiting="no_provider_available", refused=refused)
            case Outcome.PARTIAL:
                done = hand.pending if fails else hand.pending[:1]
                decided = tuple(self._decided(hand, recipient) for recipient in done)
                refuses = any(end.state is RecipientState.FAILED for end in decided)
                return Settlement(
                    hand.lease,
                    attempt,
                    decided=decided,
                    reason="recipients_rejected" if refuses else None,
                    delay_ms=MINUTE,
                    counts_round=True,
                )
            case Outcome.AMBIGUOUS:
                return Settlement(
                    hand.lease,
                    attempt,
                    fail_rest="ambiguous" if fails else None,
                    delay_ms=AMBIGUOUS_DELAY_MS,
                    counts_round=True,
                    waiting="ambiguous_delay",
                    is_doubtful=True,
                    prefer=hand.provider,
                )
            case Outcome.TEMPORARY:
                return Settlement(hand.lease, attempt, delay_ms=5_000, counts_round=True, waiting="backoff")
            case _:
                return Settlement(hand.lease, attempt, delay_ms=1_000, waiting="rate_limited")

    @action(3, when=lambda machine: machine.hands, chosen=some(hands, 3))
    def extend(self, chosen: list[Hand]) -> None:
        shard = chosen[0].lease.shard
        leases = [hand.lease for hand in chosen if hand.lease.shard == shard]
        self.ask(chosen[0].sender.extend(shard, leases))

    @action(
        3,
        when=lambda machine: machine.hands,
        chosen=some(hands, 3),
        how=st.sampled_from(
            [
                {},
                {"delay_ms": 1_000, "waiting": "no_provider_available"},
                {"delay_ms": 0, "refused": frozenset({"no-relay"})},
                {"waiting": "turn"},
                {"fail": "no_provider_can_carry"},
            ]
        ),
    )
    def release(self, chosen: list[Hand], how: dict[str, Any]) -> None:
        shard = chosen[0].lease.shard
        releases = [Release(hand.lease, **how) for hand in chosen if hand.lease.shard == shard]
        self.ask(chosen[0].sender.release(shard, releases))
