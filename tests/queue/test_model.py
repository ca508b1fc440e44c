"""The real scripts, beside the model, through whatever a search for trouble comes upon.

A rule is something that a frontend, a sender, a scheduler, an owner, the clock or the network
does. Every call that reaches a server is run by the model too and must be answered alike
(`watched.py`); after every rule the whole keyspace must be what the model says, and the
invariant must hold. Leases and calls are never forgotten: any of them may come back at any time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from shared.domain.errors import AnswerLost, QueueError
from shared.domain.message import Acceptance, Attempt, OnAmbiguous, Priority, Reason, Record, RouteStep, Submission
from shared.domain.outcome import Outcome
from shared.domain.states import FINAL, LIVE, TRANSITIONS, RecipientState, State
from shared.queue import Queue, calls, connection, pieces, submissions
from shared.queue.leases import Begin, Decided, FlowRequest, Lease, Leases, Release, Settlement
from shared.queue.owners import Change
from shared.queue.submissions import Bounds, Prepared
from tests.queue.conftest import TEST_CLOCK, changed_texts
from tests.queue.model import Message, Shard
from tests.queue.scenario import (
    AMBIGUOUS_DELAY_MS,
    DAY,
    HOUR,
    LEASE_MS,
    MAX_AGE_MS,
    MAX_ROUNDS,
    MINUTE,
    START,
    envelope,
)
from tests.queue.watched import Sent, StillTime, Trouble, Watch, WatchedScripts, differences, load, watched_core
from tests.redis_server import IN_MEMORY, RedisServer

T = TypeVar("T")

POOLS: Final = ("default", "other")
PROVIDERS: Final = ("relay", "ses-eu")
TENANTS: Final = (*["default"] * 9, "other")
PRIORITIES: Final = (Priority.NORMAL, Priority.CRITICAL, Priority.BULK)
#: The clocks of two machines differ by no more, and so the shared one never goes back further.
SKEW_MS: Final = 5_000
#: At most so many messages may wait in each shard: some submissions meet a full queue.
ROOM: Final = 12
#: The model's own pieces are small, so that the search need not carry megabytes.
SMALL: Final = 1_000

#: A story needs so many steps to get anywhere.
STEPS: Final = 80

_prefixes = itertools.count()


class Hand:
    """What a sender knows of one lease: its attempt in flight, what it decided, what it has to close."""

    def __init__(self, lease: Lease, sender: Leases) -> None:
        self.lease = lease
        self.sender = sender
        self.number = lease.attempts
        self.provider = PROVIDERS[0]
        self.is_open = False
        self.is_over = False
        self.pending = lease.pending
        self.closed: Attempt | None = None
        self.decided: tuple[Decided, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.lease.id[-6:]} {self.lease.token} attempt {self.number}>"


def at_machine(choose: Callable[[Any], Sequence[T]]) -> st.SearchStrategy[T]:
    """Return a strategy that draws from what the running machine offers."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choose(machine)))


def some(strategy: st.SearchStrategy[T], most: int) -> st.SearchStrategy[list[T]]:
    return st.lists(strategy, min_size=1, max_size=most)


hands = at_machine(lambda machine: (machine.hands_free() + machine.hands_in_flight()) * 8 + machine.hands)
free = at_machine(lambda machine: machine.hands_free() * 8 + machine.hands)
in_flight = at_machine(lambda machine: machine.hands_in_flight() * 8 + machine.hands)
lost = at_machine(lambda machine: machine.hands_lost())
waiting = at_machine(lambda machine: machine.ids_likely(are_live=True))
ended = at_machine(lambda machine: machine.ids_likely(are_live=False))
outcomes = st.sampled_from(sorted(Outcome))
shards = at_machine(lambda machine: range(machine.queue.core.shards))
limits = st.sampled_from([250, 1, 2])
instants = at_machine(lambda machine: [machine.now + ahead for ahead in (MINUTE, 1, HOUR, 0, -MINUTE)])
durations = st.sampled_from([MINUTE, 1, HOUR, 0])

submitted = st.fixed_dictionaries(
    {
        "recipients": st.integers(1, 3),
        "tenant": st.sampled_from(TENANTS),
        "pool": st.sampled_from(POOLS),
        "priority": st.sampled_from(PRIORITIES),
        "fails_on_doubt": st.booleans(),
        "is_large": st.integers(0, 4).map(lambda number: number == 4),
    },
    optional={
        "send": st.one_of(instants.map(lambda at: ("send_at", at)), durations.map(lambda ms: ("delay_ms", ms))),
        "end": st.one_of(
            st.just(("ttl_ms", DAY)),
            st.sampled_from([MINUTE, 1, HOUR]).map(lambda ms: ("ttl_ms", ms)),
            instants.map(lambda at: ("expires_at", at)),
        ),
        "key": st.tuples(st.sampled_from("ab"), st.sampled_from("xxy")),
    },
)

flows = st.lists(
    st.builds(
        FlowRequest, st.sampled_from(POOLS), st.sampled_from(PRIORITIES), st.sampled_from([9, 1, 0]), st.booleans()
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda request: (request.pool, request.priority),
)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done: how often, when at all, and with which arguments."""

    weight: int
    when: Callable[[Any], Any]
    arguments: st.SearchStrategy[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One action with its arguments."""

    name: str
    arguments: dict[str, Any]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})")


ACTIONS: Final[dict[str, Action]] = {}

Method = TypeVar("Method", bound=Callable[..., None])


def action(
    weight: int, *, when: Callable[[Any], Any] = lambda _: True, **arguments: st.SearchStrategy[Any]
) -> Callable[[Method], Method]:
    """Declare that the search may do what a method does."""

    def declare(method: Method) -> Method:
        ACTIONS[method.__name__] = Action(weight, when, st.fixed_dictionaries(arguments))
        return method

    return declare


def steps() -> st.SearchStrategy[Step]:
    """Return a strategy for the next step. Hypothesis' own choice of rules knows no weights."""
    possible = at_machine(lambda machine: machine.possible())
    return possible.flatmap(lambda name: ACTIONS[name].arguments.map(lambda arguments: Step(name, arguments)))


class QueueMachine(RuleBasedStateMachine):
    """The queue, and all that is done to it."""

    url: str
    shards: int
    #: Everything that any run came upon.
    moves: Counter[Any]
    statuses: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.now = START
        self.latest = START
        self.time = StillTime()
        calls.time = connection.time = self.time  # type: ignore[attr-defined]
        self.watch = Watch(WatchedScripts({**changed_texts(), "_clock": TEST_CLOCK}), self.time)
        core = watched_core(self.url, f"model{next(_prefixes)}", self.watch, self.shards)
        numbers = itertools.count()
        submissions.secrets = SimpleNamespace(  # type: ignore[attr-defined]
            token_bytes=lambda size: sha256(b"%d" % next(numbers)).digest()[:size]
        )
        bounds = Bounds(queued_messages=ROOM * self.shards)
        self.queue = Queue.join(core, bounds=bounds, wall_ms=lambda: self.now)
        self.senders = [Leases(core, LEASE_MS, MAX_ROUNDS, MAX_AGE_MS, name) for name in "st"]
        self.watch.shards = {core.tag(shard): Shard(START) for shard in range(self.shards)}
        self.absent: frozenset[str] = frozenset()
        self.ids: list[str] = []
        self.hands: list[Hand] = []
        self.run(self._begin())

    async def _begin(self) -> None:
        await load(self.queue.core, self.watch.scripts)
        for server in await self.queue.core.servers.primaries():
            server.learn_clock(START)
        await self._set_clocks()

    def teardown(self) -> None:
        self.run(self._clear_away())
        self.runner.close()
        for shard in self.watch.shards.values():
            type(self).moves.update(shard.moves)
        type(self).statuses.update(self.watch.statuses)

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.runner.get_loop().run_until_complete(doing)

    def ask(self, doing: Coroutine[Any, Any, T]) -> T | None:
        """Run a call of the client; None where its answer was lost for good."""
        try:
            return self.run(doing)
        except AnswerLost:
            return None

    async def _set_clocks(self) -> None:
        for tag, shard in self.watch.shards.items():
            shard.now = self.now
            await self.queue.core.plain(tag, [("SET", f"{tag}:frozen-clock", self.now)])
            for name in shard.lapse():
                await self.queue.core.plain(tag, [("UNLINK", f"{tag}:{name}")])

    async def _clear_away(self) -> None:
        for server in await self.queue.core.servers.primaries():
            keys = (await server.exchange([("KEYS", f"{{{self.queue.core.prefix}[:}}]*")], 1))[0]
            await server.exchange([("UNLINK", key) for key in keys], 1)
        await self.queue.close()

    # What the model knows

    def model_of(self, message_id: str) -> Message | None:
        for shard in self.watch.shards.values():
            if message_id in shard.messages:
                return shard.messages[message_id]
        return None

    def is_current(self, hand: Hand) -> bool:
        message = self.model_of(hand.lease.id)
        return message is not None and message.token == hand.lease.token

    def has_ended(self) -> bool:
        """Return whether a message has ended and is still there."""
        return any(not message.is_live for shard in self.watch.shards.values() for message in shard.messages.values())

    def hands_free(self) -> list[Hand]:
        """Return the leases that hold and under which nothing is in flight."""
        return [hand for hand in self.hands if self.is_current(hand) and not hand.is_open and not hand.is_over]

    def hands_in_flight(self) -> list[Hand]:
        """Return the leases that hold and under which an attempt is in flight."""
        return [hand for hand in self.hands if self.is_current(hand) and hand.is_open]

    def hands_lost(self) -> list[Hand]:
        """Return the leases that no longer hold although an attempt is in flight, those that may still help more often."""
        lost = [(hand, self.model_of(hand.lease.id)) for hand in self.hands if hand.is_open and not self.is_current(hand)]
        helpful = [hand for hand, message in lost if message and message.is_live and message.attempts == hand.number]
        return helpful * 8 + [hand for hand, _ in lost]

    def ids_likely(self, *, are_live: bool) -> list[str]:
        """Return all ids ever made, those more often of messages that are live, or ended and not all sent."""
        messages = [(id_, self.model_of(id_)) for id_ in self.ids]
        chosen = [id_ for id_, message in messages if message and message.is_live is are_live]
        return chosen * 4 + [id_ for id_ in chosen if self.may_go_again(id_)] * 8 + self.ids

    def may_go_again(self, message_id: str) -> bool:
        """Return whether a requeue might find somebody to send to."""
        message = self.model_of(message_id)
        return message is not None and message.state in {State.FAILED, State.PARTLY_SENT, State.EXPIRED}

    def sent_likely(self) -> list[Sent]:
        """Return all calls ever sent, the latest more often."""
        return self.watch.sent[-8:] * 4 + self.watch.sent

    def instants_ahead(self) -> list[int]:
        """Return when something next becomes due, runs out, or may be dropped."""
        instants = set()
        for shard in self.watch.shards.values():
            for message in shard.messages.values():
                ends = message.finished or 0
                instants |= {message.position, message.expires or 0, ends + HOUR, ends + DAY, ends + 2 * DAY}
        return [instant for instant in sorted(instants) if instant > self.now][:3] or [self.now + MINUTE]

    # The frontend

    @initialize(
        absent=st.frozensets(st.deferred(lambda: st.sampled_from(sorted(ACTIONS))), max_size=8),
        wishes=st.lists(submitted, min_size=2, max_size=6),
    )
    def start(self, absent: frozenset[str], wishes: list[dict[str, Any]]) -> None:
        """Begin with some messages; some things never happen in this run, so that others happen more often."""
        self.absent = absent
        self.submit(wishes, loses_pieces=False)

    @rule(step=st.deferred(steps))
    def do(self, step: Step) -> None:
        getattr(self, step.name)(**step.arguments)

    def possible(self) -> list[str]:
        """Return what can be done now, each as often as it weighs."""
        likely = [name for name, action in ACTIONS.items() if name not in self.absent and action.when(self)]
        return [name for name in likely for _ in range(ACTIONS[name].weight)] or ["look"]

    @action(4, wishes=some(submitted, 4), loses_pieces=st.integers(0, 9).map(lambda number: number == 9))
    def submit(self, wishes: list[dict[str, Any]], loses_pieces: bool) -> None:
        shard = self.queue.submissions.flush_shard()
        batch = [self._prepare(wish, shard) for wish in wishes]
        for prepared in batch:
            if prepared.content and not loses_pieces:
                self._write_pieces(prepared)
        for prepared, result in zip(batch, self.run(self.queue.submissions.submit(batch)), strict=True):
            self.ids.append(prepared.id)
            if isinstance(result, Acceptance) and result.id == prepared.id and not result.replayed:
                self._check_accepted(result)
            assert not isinstance(result, QueueError) or isinstance(result, AnswerLost), result

    def _prepare(self, wish: dict[str, Any], shard: int) -> Prepared:
        content = envelope(
            wish["recipients"],
            text="x" * (2 * SMALL if wish["is_large"] else 10),
            on_ambiguous=OnAmbiguous.FAIL if wish["fails_on_doubt"] else OnAmbiguous.RETRY,
        )
        fields = dict(wish[name] for name in ("send", "end") if name in wish)
        if "key" in wish:
            fields["idempotency_key"], fields["fingerprint"] = wish["key"]
        chosen = {name: wish[name] for name in ("tenant", "pool", "priority")}
        return self.queue.submissions.prepare(Submission(content, **chosen, **fields), shard)

    def _write_pieces(self, prepared: Prepared) -> None:
        self.run(self.queue.submissions.write_pieces(prepared))
        shard = self.watch.shards[self.queue.core.tag(prepared.shard)]
        shard.write_pieces(prepared.id, prepared.arguments["pieces"])

    def _check_accepted(self, result: Acceptance) -> None:
        message = self.model_of(result.id)
        assert message is not None
        told = (result.send_at, result.expires_at, result.pool, result.priority)
        assert told == (message.send, message.expires, message.pool, message.priority)

    # The sender

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
                self.hands.append(Hand(lease, sender))

    @action(7, which=st.integers(0, 1), shard=shards, answers=some(st.tuples(outcomes, st.integers(0, 2)), 6))
    def work(self, which: int, shard: int, answers: list[tuple[Outcome, int]]) -> None:
        """Do what a sender does all day: lease what there is, begin it, and settle what was answered."""
        before = len(self.hands)
        self.lease(
            which, shard, [FlowRequest(pool, priority, 9) for pool in POOLS for priority in PRIORITIES], 250, 10**6
        )
        if mine := self.hands[before:]:
            self.begin(mine, PROVIDERS[0])
            answered = [
                (hand, outcome, bool(how)) for hand, (outcome, how) in zip(mine, answers, strict=False) if how < 2
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
        assert len(self.run(self.senders[0].whole(lease)).text or "") in {10, 2 * SMALL}

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
        for hand in mine:
            hand.is_open |= answers is None  # a sender that heard nothing may have sent
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
            if self.ask(hand.sender.begin(hand.lease.shard, wishes)) is None:
                hand.number -= times

    @staticmethod
    def _decided(hand: Hand, recipient: int) -> Decided:
        if recipient % 2:
            return Decided(recipient, RecipientState.FAILED, None, None, Reason("recipient_rejected", "no such user"))
        return Decided(recipient, RecipientState.SENT, hand.provider, f"id-{recipient}")

    @action(6, when=lambda machine: machine.hands_in_flight(), chosen=some(st.tuples(in_flight, outcomes, st.booleans()), 3))
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

    @action(2, when=lambda machine: machine.hands, chosen=some(hands, 3))
    def extend(self, chosen: list[Hand]) -> None:
        shard = chosen[0].lease.shard
        leases = [hand.lease for hand in chosen if hand.lease.shard == shard]
        self.ask(chosen[0].sender.extend(shard, leases))

    @action(
        3,
        when=lambda machine: machine.hands_free(),
        chosen=some(free, 3),
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

    # The scheduler

    @action(5, shard=shards, limit=limits)
    def sweep(self, shard: int, limit: int) -> None:
        for chore in (self._promote, self._expire, self._reap):
            self.ask(chore(shard, limit))

    @action(4, when=lambda machine: machine.hands_in_flight(), hand=in_flight, times=st.integers(1, 3))
    def lose_senders(self, hand: Hand, times: int) -> None:
        """Let a lease run out, take back what ran out with it, and let the next sender die of it too."""
        for number in range(times):
            message = self.model_of(hand.lease.id)
            if message is None or not message.is_live:
                return
            if number:
                self._let_pass(AMBIGUOUS_DELAY_MS)
                self.ask(self._promote(hand.lease.shard, 250))
                self.work(0, hand.lease.shard, [])
            if message.state is State.SENDING:
                self._let_pass(max(1, message.position - self.now))
                self.ask(self._reap(hand.lease.shard, 250))

    @action(1, when=lambda machine: machine.hands_free(), hand=free)
    def lose_primary(self, hand: Hand) -> None:
        """Forget a begin that was answered: the replica that took over never saw it."""
        if not hand.is_open and not hand.is_over:
            hand.number, hand.is_open = hand.number + 1, True

    @action(2, shard=shards, limit=limits, which=st.integers(0, 2))
    def do_one_chore(self, shard: int, limit: int, which: int) -> None:
        self.ask((self._promote, self._reap, self._expire)[which](shard, limit))

    @action(2, when=lambda machine: machine.has_ended(), shard=shards, limit=limits)
    def drop(self, shard: int, limit: int) -> None:
        self.ask(self.queue.chores.drop_content(shard, keep_ms=HOUR, limit=limit))
        self.ask(self.queue.chores.trim(shard, finished_ms=DAY, failed_ms=2 * DAY, limit=limit))

    def _promote(self, shard: int, limit: int) -> Coroutine[Any, Any, Any]:
        return self.queue.chores.promote(shard, limit)

    def _expire(self, shard: int, limit: int) -> Coroutine[Any, Any, Any]:
        return self.queue.chores.expire(shard, limit)

    def _reap(self, shard: int, limit: int) -> Coroutine[Any, Any, Any]:
        bounds = {"ambiguous_delay_ms": AMBIGUOUS_DELAY_MS, "max_rounds": MAX_ROUNDS, "max_age_ms": MAX_AGE_MS}
        return self.queue.chores.reap(shard, **bounds, limit=limit)

    # The owner

    @action(2, chosen=some(waiting, 2))
    def cancel(self, chosen: list[str]) -> None:
        self.ask(self.queue.owners.cancel(chosen))

    @action(4, when=lambda machine: machine.has_ended(), chosen=some(ended, 3))
    def requeue(self, chosen: list[str]) -> None:
        self.ask(self.queue.owners.requeue(chosen))

    @action(1, when=lambda machine: machine.has_ended(), chosen=some(ended, 2))
    def delete(self, chosen: list[str]) -> None:
        self.ask(self.queue.owners.delete(chosen))

    @action(
        2,
        message_id=waiting,
        send_at=st.one_of(st.just("keep"), st.none(), instants),
        expires_at=st.one_of(st.just("keep"), st.none(), instants),
        priority=st.one_of(st.none(), st.sampled_from(PRIORITIES)),
        pool=st.one_of(st.none(), st.sampled_from(POOLS)),
    )
    def change(self, message_id: str, **fields: Any) -> None:
        self.ask(self.queue.owners.change(message_id, Change(**fields)))

    @action(1, source=st.sampled_from(POOLS), limit=st.sampled_from([250, 3]), steps=st.integers(1, 12))
    def move(self, source: str, limit: int, steps: int) -> None:
        (target,) = {*POOLS} - {source}
        cursor = None
        for _ in range(steps):
            step = self.ask(self.queue.owners.move(source, target, cursor, limit))
            if step is None or step.next_cursor is None:
                return
            cursor = step.next_cursor

    # The network and the clock

    @action(3, trouble=st.sampled_from(Trouble))
    def trouble_ahead(self, trouble: Trouble) -> None:
        self.watch.trouble = trouble

    @action(5, when=lambda machine: machine.watch.sent, sent=at_machine(lambda machine: machine.sent_likely()))
    def arrive_again(self, sent: Sent) -> None:
        """Let a call arrive once more, as it was sent, whenever that was."""
        self.ask(self.queue.core.plain(sent.tag, [sent.command]))

    @action(8, instant=at_machine(lambda machine: machine.instants_ahead()), more=st.sampled_from([0, 0, -1, 1]))
    def go_on(self, instant: int, more: int) -> None:
        """Let time pass until something is due, almost or just now."""
        self._let_pass(max(1, instant + more - self.now))

    @action(2, by=st.sampled_from([1, 999, 2_500, 30_000, LEASE_MS, HOUR, 11 * HOUR, DAY]))
    def wait(self, by: int) -> None:
        self._let_pass(by)

    def _let_pass(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.latest = max(self.latest, self.now)
        self.run(self._set_clocks())

    @action(1, by=st.sampled_from([1, 700, 2_500]))
    def step_back(self, by: int) -> None:
        self.now = max(self.now - by, self.latest - SKEW_MS)
        self.run(self._set_clocks())

    # What must always be so

    @action(
        2, states=st.sampled_from([FINAL, (State.FAILED, State.PARTLY_SENT), (State.SENT,)]), limit=st.integers(1, 3)
    )
    def look(self, states: tuple[State, ...], limit: int) -> None:
        """Readers see what the model says."""
        for message_id in self.ids:
            self._look_at(message_id)
        self._look_at_depths()
        self._look_at_ended(states, limit)

    def _look_at(self, message_id: str) -> None:
        message = self.model_of(message_id)
        record = self.run(self.queue.views.read(message_id))
        if message is None or message.tenant != "default":
            assert record is None
        else:
            assert record is not None
            assert seen(record) == expected(message)

    def _look_at_depths(self) -> None:
        depths = self.run(self.queue.views.depths())
        for state in State:
            every = [message for shard in self.watch.shards.values() for message in shard.messages.values()]
            assert depths.total(state) == sum(message.state is state for message in every), state
        slots = [(shard, self.now // 10_000 - back) for shard in self.watch.shards.values() for back in range(1, 7)]
        rates = [shard.rates[slot].value for shard, slot in slots if slot in shard.rates]
        assert depths.accepted_per_second == sum(rate["accepted"] for rate in rates) / 60
        assert depths.sent_per_second == sum(rate["sent"] for rate in rates) / 60

    def _look_at_ended(self, states: tuple[State, ...], limit: int) -> None:
        found: list[tuple[int, str]] = []
        after = None
        while True:
            page = self.run(self.queue.views.page(states, limit, after))
            found += [(record.finished_at or 0, record.id) for record in page.records]
            if page.next is None:
                break
            after = page.next
        assert found == sorted(
            (
                (message.finished or 0, message.id)
                for shard in self.watch.shards.values()
                for message in shard.messages.values()
                if message.state in states and message.tenant == "default"
            ),
            reverse=True,
        )

    @invariant()
    def nothing_differs(self) -> None:
        assert not (found := self.run(differences(self.queue.core, self.watch))), "\n".join(found)


def seen(record: Record) -> dict[str, Any]:
    """Return what a reader sees of a message."""
    return {
        "state": record.state,
        "flow": (record.pool, record.priority),
        "times": (record.created_at, record.send_at, record.expires_at, record.finished_at, record.cancel_requested_at),
        "counts": (record.rounds, record.requeues, record.attempts_total),
        "marks": (record.content_dropped, record.possible_duplicate),
        "waiting": record.waiting and record.waiting.code,
        "reason": record.reason and record.reason.code,
        "recipients": [recipient.state for recipient in record.recipients],
        "attempts": [(attempt.number, attempt.provider, attempt.outcome) for attempt in record.attempts],
        "events": [(event.type.partition(".")[2], event.at, event.attempt) for event in record.events],
    }


def expected(message: Message) -> dict[str, Any]:
    """Return what a reader must see of a message."""
    everyone = (
        RecipientState.PENDING if message.is_live else RecipientState(message.state) if not message.ends else None
    )
    ends = [message.ends[number].state if number in message.ends else everyone for number in range(message.recipients)]
    created = message.accepted_at
    first = message.events[0].state if created == message.events[0].at else message.first_told
    events = [(event.state, event.at, event.attempts or None) for event in message.events]
    return {
        "state": message.state,
        "flow": (message.pool, message.priority),
        "times": (created, message.send, message.expires, message.finished, message.cancel),
        "counts": (message.rounds, message.requeues, message.attempts),
        "marks": (message.dropped, message.duplicate),
        "waiting": message.waiting,
        "reason": message.reason,
        "recipients": ends,
        "attempts": [(told["number"], told["provider"], told["outcome"]) for told, _ in message.kept_attempts()],
        "events": [(first, created, None), *events[1:]][-100:],
    }


@pytest.fixture
def small_pieces_and_a_clock_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "INLINE_BYTES", SMALL)
    monkeypatch.setattr(pieces, "PIECE_BYTES", SMALL)
    monkeypatch.setattr(calls, "_PAUSE_SECONDS", 0.0)
    for module in (calls, connection):
        monkeypatch.setattr(module, "time", module.time)  # type: ignore[attr-defined]
    monkeypatch.setattr(submissions, "secrets", submissions.secrets)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One node that holds all slots refuses what a cluster refuses."""
    folder: Path = tmp_path_factory.mktemp("cluster")
    with RedisServer(folder, *IN_MEMORY, "--cluster-enabled", "yes") as node:
        node.command("CLUSTER", "ADDSLOTSRANGE", 0, 16_383)
        while b"cluster_state:ok" not in node.command("CLUSTER", "INFO"):
            pass
        yield f"redis-cluster://127.0.0.1:{node.port}"


def search(url: str, shards: int) -> type[QueueMachine]:
    """Run machines on one server, and return their class with what they came upon."""
    attributes = {"url": url, "shards": shards, "moves": Counter(), "statuses": Counter()}
    machine = type("Machine", (QueueMachine,), attributes)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=settings.default.max_examples * 4 // 5,
            stateful_step_count=STEPS,
            suppress_health_check=[*HealthCheck],
            report_multiple_bugs=False,
        ),
    )
    return machine


@pytest.mark.usefixtures("small_pieces_and_a_clock_of_our_own")
def test_one_server_does_what_the_model_says(server: RedisServer) -> None:
    search(server.url, 1)


@pytest.mark.usefixtures("small_pieces_and_a_clock_of_our_own")
def test_a_cluster_does_what_the_model_says(cluster: str) -> None:
    search(cluster, 3)
