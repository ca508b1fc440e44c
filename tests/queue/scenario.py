"""A queue under a clock that stands still until the test moves it, and the verbs that tests speak in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from shared.domain.message import Acceptance, Address, Attachment, Attempt, Envelope, Priority, Record, Submission
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from shared.queue import Queue
from shared.queue.connection import Command, Server
from shared.queue.keys import slot
from shared.queue.leases import Begin, Begun, Decided, FlowRequest, Lease, Leases, Release, Settled, Settlement
from shared.queue.owners import Done
from shared.queue.submissions import Prepared, Result
from tests.queue.invariant import Entry, Keyspace, kind_of, read_keyspace

#: Where every scenario begins: 2030-01-01T00:00:00Z, later than any machine's clock.
START: Final = 1_893_456_000_000
SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

LEASE_MS: Final = 60 * SECOND
MAX_ROUNDS: Final = 3
MAX_AGE_MS: Final = 10 * HOUR
AMBIGUOUS_DELAY_MS: Final = 90 * SECOND

OTHER_TENANT: Final = "other"
RELAY: Final = "relay"
TRACE: Final = f"00-{'ab' * 16}-{'cd' * 8}-01"

#: What a settlement says of an attempt that failed for now.
TEMPORARY: Final[dict[str, Any]] = {"delay_ms": MINUTE, "counts_round": True, "waiting": "backoff"}


def envelope(recipients: int = 1, **fields: Any) -> Envelope:
    """Return an envelope to so many recipients."""
    return Envelope(
        sender=Address("shop@example.com"),
        to=tuple(Address(f"r{number}@example.org") for number in range(recipients)),
        **{"subject": "Receipt", "text": "Thank you.", "message_id_domain": "example.com", **fields},
    )


def large_envelope(pieces: int = 2) -> Envelope:
    """Return an envelope whose content lies in so many pieces."""
    content = bytes((pieces - 1) * 1024 * 1024 + 300 * 1024)
    return envelope(attachments=(Attachment("f", "text/plain", len(content), content),))


def attempt(number: int = 1, outcome: Outcome = Outcome.ACCEPTED, **fields: Any) -> Attempt:
    """Return a closed attempt at `relay` that began at the start and took 12 ms."""
    usual = {"number": number, "provider": RELAY, "started_at": START, "duration_ms": 12, "outcome": outcome}
    return Attempt(**{**usual, **fields})


@dataclass(slots=True)
class Scenario:
    """One queue, its clock, and its first shard."""

    queue: Queue
    now: int = START

    @classmethod
    async def of(cls, queue: Queue) -> Scenario:
        """Return the scenario of a queue, its clock standing at `START`."""
        queue.leases.lease_ms, queue.leases.max_rounds, queue.leases.max_age_ms = LEASE_MS, MAX_ROUNDS, MAX_AGE_MS
        scenario = cls(queue)
        await scenario.set_clock(START)
        return scenario

    @property
    def tag(self) -> str:
        """The tag of the first shard."""
        return self.queue.core.tag(0)

    # The clock and the server

    async def set_clock(self, now: int) -> None:
        """Let every primary's clock stand at `now`."""
        self.now = now
        core = self.queue.core
        by_server: dict[Server, list[Command]] = {}
        for tag in (*map(core.tag, range(core.shards)), core.service_tag, core.provider_tag(RELAY)):
            server = await core.servers.primary_of(slot(tag))
            by_server.setdefault(server, []).append(("SET", f"{tag}:frozen-clock", now))
        for server, commands in by_server.items():
            await server.exchange(commands, 5)
            server.learn_clock(now)

    async def advance(self, milliseconds: int) -> None:
        """Move the clock."""
        await self.set_clock(self.now + milliseconds)

    async def redis(self, *command: Any) -> Any:
        """Run one plain command on the first shard's server."""
        (reply,) = await self.queue.core.plain(self.tag, [command])
        return reply

    async def writes(self) -> int:
        """Return how many changes the first shard's server has made since it started."""
        info = as_text(await self.redis("INFO", "persistence"))
        return int(next(line for line in info.splitlines() if line.startswith("rdb_changes")).partition(":")[2])

    async def remaining_ms(self, name: str) -> int:
        """Return in how many milliseconds a key of the first shard ends, -1 for never."""
        return int(await self.redis("PTTL", f"{self.tag}:{name}"))

    async def call(self, script: str, **arguments: Any) -> Any:
        """Run one script in the first shard and return what follows `ok`, as text."""
        return as_text(await self.queue.core.run(script, self.tag, arguments))

    async def keyspace(self) -> Keyspace:
        """Return what is kept of messages: no answers to operations, no numbers of leases, no counts of nothing."""
        found = await read_keyspace(self.queue.core)
        for key, entry in found.items():
            if kind_of(key) == "counts":
                found[key] = Entry({name: number for name, number in entry.value.items() if number != "0"}, entry.ends)
        return {key: entry for key, entry in found.items() if kind_of(key) not in {"operation", "sender"}}

    async def stored(self, message_id: str) -> dict[str, str]:
        """Return a message's record as it is stored."""
        flat = as_text(await self.redis("HGETALL", f"{self.tag}:message:{message_id}"))
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def stored_field(self, message_id: str, name: str) -> str | None:
        """Return one field of a message's record as it is stored."""
        value = await self.redis("HGET", f"{self.tag}:message:{message_id}", name)
        return None if value is None else value.decode()

    async def members(self, name: str) -> dict[str, int]:
        """Return what lies in one of the shard's sorted sets, with its instants."""
        flat = as_text(await self.redis("ZRANGE", f"{self.tag}:{name}", 0, -1, "WITHSCORES"))
        return {member: int(float(score)) for member, score in zip(flat[::2], flat[1::2], strict=True)}

    async def kinds_left(self) -> set[str]:
        """Return the kinds of keys that the first shard holds."""
        return {kind_of(key) for key in await self.keyspace() if key.startswith(self.tag)}

    # The frontend's verbs

    def prepare(self, content: Envelope | None = None, /, **fields: Any) -> Prepared:
        """Return a submission as it will be stored, in the first shard unless its key says otherwise."""
        shown = content or envelope(fields.pop("recipients", 1))
        return self.queue.submissions.prepare(Submission(shown, **fields), 0)

    async def send(self, prepared: Prepared) -> Result:
        """Submit one message and return what came of it."""
        (result,) = await self.queue.submissions.submit([prepared])
        return result

    async def submit_raw(self, *batch: Prepared) -> list[list[str]]:
        """Submit messages by one call and return the script's own words for each."""
        arguments = {"idempotency_ms": DAY, "messages": [dict(prepared.arguments) for prepared in batch]}
        call = self.queue.core.call("submit", self.tag, arguments, [prepared.body for prepared in batch])
        answer: list[list[str]] = as_text(await self.queue.core.caller.run(call))
        return answer

    async def submit(self, content: Envelope | None = None, /, **fields: Any) -> str:
        """Submit one message, which must be accepted, and return its id."""
        prepared = self.prepare(content, **fields)
        await self.queue.submissions.write_pieces(prepared)
        result = await self.send(prepared)
        assert isinstance(result, Acceptance), result
        return result.id

    async def view(self, message_id: str) -> Record:
        """Return the record of a message that must be there."""
        record = await self.queue.views.read(message_id)
        assert record is not None
        return record

    async def state(self, message_id: str) -> State:
        """Return the state of a message that must be there."""
        return (await self.view(message_id)).state

    # The sender's verbs

    async def lease(
        self, *, pool: str = "default", priority: Priority = Priority.NORMAL, quota: int = 250, **more: Any
    ) -> list[Lease]:
        """Lease what waits in one flow of the first shard."""
        leased = await self.queue.leases.lease(0, [FlowRequest(pool, priority, quota)], **more)
        return list(leased.leases)

    async def leased(self, message_id: str) -> Lease:
        """Lease the one message that waits, which must be this."""
        record = await self.view(message_id)
        (lease,) = await self.lease(pool=record.pool, priority=record.priority)
        assert lease.id == message_id
        return lease

    async def submit_and_lease(self, content: Envelope | None = None, /, **fields: Any) -> Lease:
        """Submit one message and lease it."""
        return await self.leased(await self.submit(content, **fields))

    async def begin(self, lease: Lease, number: int = 1, **fields: Any) -> Begun:
        """Begin one attempt at `relay` for all that is pending."""
        wish = Begin(**{"lease": lease, "number": number, "provider": RELAY, "recipients": lease.pending, **fields})
        (begun,) = await self.queue.leases.begin(0, [wish])
        return begun

    async def submit_and_begin(self, content: Envelope | None = None, /, **fields: Any) -> Lease:
        """Submit one message, lease it, and begin its first attempt."""
        lease = await self.submit_and_lease(content, **fields)
        assert (await self.begin(lease)).status == "begun"
        return lease

    async def settle(self, lease: Lease, number: int = 1, **fields: Any) -> Settled:
        """Settle one attempt: accepted for all, unless `fields` say otherwise."""
        if not fields.keys() & {"all_state", "decided", "delay_ms", "fail_rest"}:
            fields["all_state"] = RecipientState.SENT
        closed = fields.pop("attempt", None) or attempt(number, recipients=lease.pending)
        (settled,) = await self.queue.leases.settle(0, [Settlement(lease, closed, **fields)])
        return settled

    async def retried(self, lease: Lease, delay_ms: int = MINUTE) -> Lease:
        """Return the next lease of a message that waits for its next round."""
        await self.advance(delay_ms)
        await self.promote()
        return await self.leased(lease.id)

    async def lose_sender(self) -> None:
        """Let a begun lease run out, and take it back."""
        await self.advance(LEASE_MS)
        assert await self.reap() == [State.RETRYING]

    async def release(self, lease: Lease, **fields: Any) -> Settled:
        """Hand one lease back."""
        (released,) = await self.queue.leases.release(0, [Release(lease, **fields)])
        return released

    def other_sender(self) -> Leases:
        """Return the leases of another sender."""
        return Leases(self.queue.core, LEASE_MS, MAX_ROUNDS, MAX_AGE_MS)

    # The scheduler's verbs

    async def promote(self) -> list[State]:
        """Make ready what is due; return the states before."""
        return [due.state_before for due in (await self.queue.chores.promote(0)).messages]

    async def reap(self, **changes: int) -> list[State]:
        """Take back leases that ran out; return the states after."""
        bounds = {"ambiguous_delay_ms": AMBIGUOUS_DELAY_MS, "max_rounds": MAX_ROUNDS, "max_age_ms": MAX_AGE_MS}
        return [reaped.state for reaped in await self.queue.chores.reap(0, **{**bounds, **changes})]

    # The owner's verbs

    async def cancel(self, message_id: str) -> Done:
        """Cancel one message."""
        return (await self.queue.owners.cancel([message_id]))[0].done

    async def requeue(self, message_id: str) -> Done:
        """Requeue one message."""
        return (await self.queue.owners.requeue([message_id]))[0].done

    async def delete(self, message_id: str) -> Done:
        """Delete one message."""
        return (await self.queue.owners.delete([message_id]))[0].done

    # Messages in a state

    async def message_in(self, state: State, **fields: Any) -> str:
        """Return a message that came to `state` on the usual way (`sending`: leased, nothing begun)."""
        if state is State.SCHEDULED:
            return await self.submit(delay_ms=HOUR, **fields)
        if state is State.QUEUED:
            return await self.submit(**fields)
        if state is State.CANCELLED:
            message_id = await self.submit(**fields)
            assert await self.cancel(message_id) is Done.DONE
            return message_id
        if state is State.EXPIRED:
            message_id = await self.submit(**{"expires_at": self.now, **fields})
            await self.queue.chores.expire(0)
            return message_id
        if state is State.SENDING:
            return (await self.submit_and_lease(**fields)).id
        lease = await self.submit_and_begin(**{"recipients": 2 if state is State.PARTLY_SENT else 1, **fields})
        await self.settle(lease, **_ENDS[state])
        return lease.id

    async def submit_for(self, tenant: str, **fields: Any) -> str:
        """Submit a message of another tenant."""
        return await self.submit(tenant=tenant, **fields)


#: How an attempt is settled that leads to a state.
_ENDS: Final[dict[State, dict[str, Any]]] = {
    State.RETRYING: {"delay_ms": 5 * SECOND, "waiting": "backoff"},
    State.SENT: {"all_state": RecipientState.SENT},
    State.FAILED: {"all_state": RecipientState.FAILED, "reason": "message_rejected"},
    State.PARTLY_SENT: {
        "decided": (Decided(0, RecipientState.SENT, RELAY, "id-0"),),
        "fail_rest": "recipients_rejected",
    },
}


def as_text(reply: Any) -> Any:
    """Return a reply with its bytes as text."""
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    return [as_text(item) for item in reply] if isinstance(reply, list) else reply
