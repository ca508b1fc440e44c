"""The rest of the search's world: scheduler, owners, network, clock, and readers who must see what the model says."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import orjson
from hypothesis import strategies as st

from shared.domain.message import Record
from shared.domain.states import FINAL, RecipientState, State
from shared.queue.owners import Change
from shared.queue.pauses import Pause
from tests.queue.machine import SKEW_MS
from tests.queue.machine_sender import Hand, SenderMachine
from tests.queue.model_message import Message
from tests.queue.scenario import AMBIGUOUS_DELAY_MS, DAY, HOUR, LEASE_MS, MAX_AGE_MS, MAX_ROUNDS, MINUTE
from tests.queue.search import (
    POOLS,
    PRIORITIES,
    action,
    at_machine,
    ended,
    free,
    in_flight,
    instants,
    limits,
    paused,
    pauses,
    shards,
    some,
    waiting,
)
from tests.queue.watched import Sent, Trouble


class WorldMachine(SenderMachine):
    """The queue, and all that is done to it."""

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

    # The operator

    @action(1, pause=pauses, ahead=st.sampled_from([MINUTE, 1_000, HOUR, 0, None]), shard=shards)
    def pause(self, pause: Pause, ahead: int | None, shard: int) -> None:
        """Pause something, and let a sender come upon it."""
        until = None if ahead is None else self.now + ahead
        self.ask(self.queue.pauses.pause(replace(pause, until=until, since=self.now)))
        self.work(0, shard, [])

    @action(2, when=lambda machine: machine.service.paused(), pause=paused)
    def resume(self, pause: Pause) -> None:
        self.ask(self.queue.pauses.resume(pause.scale, pause.name))

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

    @action(1, by=st.sampled_from([1, 700, 2_500]))
    def step_back(self, by: int) -> None:
        self.now = max(self.now - by, self.latest - SKEW_MS)
        self.run(self._set_clocks())

    # The readers

    @action(
        2, states=st.sampled_from([FINAL, (State.FAILED, State.PARTLY_SENT), (State.SENT,)]), limit=st.integers(1, 3)
    )
    def look(self, states: tuple[State, ...], limit: int) -> None:
        """Readers see what the model says."""
        for message_id in self.ids:
            self._look_at(message_id)
        self._look_at_depths()
        self._look_at_ended(states, limit)
        self._look_at_pauses()

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
        slots = [
            (shard, str(self.now // 10_000 - back)) for shard in self.watch.shards.values() for back in range(1, 7)
        ]
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

    def _look_at_pauses(self) -> None:
        found = {pause.what: (pause.until, pause.since) for pause in self.run(self.queue.pauses.all())}
        paused = self.service.paused().items()
        assert found == {what: (until, orjson.loads(told)["since"]) for what, (until, told) in paused}


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
