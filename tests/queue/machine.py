"""The machine of the search: one queue, its model, its clock, and what both know of each other."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Coroutine, Iterator
from hashlib import shake_256
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shared.domain.errors import AnswerLost, QueueError
from shared.domain.message import Acceptance, OnAmbiguous, Submission
from shared.domain.states import State
from shared.queue import Queue, calls, connection, leases, submissions
from shared.queue.connection import Command
from shared.queue.leases import Leases
from shared.queue.submissions import Bounds, Prepared
from tests.queue.conftest import TEST_CLOCK, changed_texts
from tests.queue.model import Shard
from tests.queue.model_message import Message
from tests.queue.scenario import DAY, HOUR, LEASE_MS, MAX_AGE_MS, MAX_ROUNDS, MINUTE, START, envelope
from tests.queue.search import ACTIONS, Step, action, some, steps, submitted
from tests.queue.watched import Sent, StillTime, Watch, WatchedScripts, differences, load, watched_core

T = TypeVar("T")

#: The clocks of two machines differ by no more, and so the shared one never goes back further.
SKEW_MS: Final = 5_000
#: At most so many messages may wait in each shard: some submissions meet a full queue.
ROOM: Final = 12
#: Contents of more bytes lie in pieces, each of as many.
PIECE_BYTES: Final = 1_000

_prefixes = itertools.count()


class Machine(RuleBasedStateMachine):
    """One queue beside its model."""

    url: str
    patch: pytest.MonkeyPatch
    shard_count: int
    #: Everything that any run came upon.
    moves: Counter[Any]
    statuses: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.now = START
        self.latest = START
        self.time = StillTime()
        for module in (calls, connection, leases):
            self.patch.setattr(module, "time", self.time)
        self.watch = Watch(WatchedScripts({**changed_texts(), "_clock": TEST_CLOCK}), self.time)
        core = watched_core(self.url, f"model{next(_prefixes)}", self.watch, self.shard_count)
        numbers = itertools.count()
        dice = SimpleNamespace(token_bytes=lambda size: shake_256(b"%d" % next(numbers)).digest(size))
        self.patch.setattr(submissions, "secrets", dice)
        bounds = Bounds(queued_messages=ROOM * self.shard_count)
        self.queue = Queue.join(core, bounds=bounds, wall_ms=lambda: self.now)
        self.senders = [Leases(core, LEASE_MS, MAX_ROUNDS, MAX_AGE_MS, name) for name in "st"]
        self.watch.shards = {core.tag(shard): Shard(START) for shard in range(self.shard_count)}
        #: What belongs to the whole service, and no message.
        self.service = self.watch.shards[core.service_tag] = Shard(START)
        self.absent: frozenset[str] = frozenset()
        self.ids: list[str] = []
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
        commands: list[Command] = []
        for tag, shard in self.watch.shards.items():
            shard.now = self.now
            commands.append(("SET", f"{tag}:frozen-clock", self.now))
            commands += [("UNLINK", f"{tag}:{name}") for name in shard.lapse()]
        await self.queue.core.plain(self.queue.core.service_tag, commands)  # one server holds everything

    async def _clear_away(self) -> None:
        for server in await self.queue.core.servers.primaries():
            keys = (await server.exchange([("KEYS", f"{{{self.queue.core.prefix}[:}}]*")], 1))[0]
            await server.exchange([("UNLINK", key) for key in keys], 1)
        await self.queue.close()

    def _let_pass(self, milliseconds: int) -> None:
        self.now += milliseconds
        self.latest = max(self.latest, self.now)
        self.run(self._set_clocks())

    # What the model knows

    def model_of(self, message_id: str) -> Message | None:
        for shard in self.watch.shards.values():
            if message_id in shard.messages:
                return shard.messages[message_id]
        return None

    def has_ended(self) -> bool:
        """Return whether a message has ended and is still there."""
        return any(not message.is_live for shard in self.watch.shards.values() for message in shard.messages.values())

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
        instants |= {until for until, _ in self.service.pauses.values() if until is not None}
        return [instant for instant in sorted(instants) if instant > self.now][:3] or [self.now + MINUTE]

    def all_messages(self) -> Iterator[Message]:
        """Yield every message that is there."""
        for shard in self.watch.shards.values():
            yield from shard.messages.values()

    # What happens

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
            text="x" * (2 * PIECE_BYTES if wish["is_large"] else 10),
            on_ambiguous=OnAmbiguous.FAIL if wish["fails_on_doubt"] else OnAmbiguous.RETRY,
        )
        fields = dict(wish[name] for name in ("send", "end") if name in wish)
        if "key" in wish:
            fields["idempotency_key"], fields["fingerprint"] = wish["key"]
        chosen = {name: wish[name] for name in ("tenant", "pool", "priority", "trace")}
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

    @invariant()
    def nothing_differs(self) -> None:
        assert not (found := self.run(differences(self.queue.core, self.watch))), "\n".join(found)
