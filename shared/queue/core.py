"""What every part of the queue's client needs: the scripts, the shards, and the way to call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shared.domain.errors import AnswerLost, ScriptDefect, Unavailable
from shared.queue.calls import PATIENCE_SECONDS, Call, Caller, Replication, Watch
from shared.queue.connection import Command, Servers
from shared.queue.keys import provider_tag, service_tag, shard_tag, slot
from shared.queue.script import Scripts
from shared.queue.topology import Passwords, parse

T = TypeVar("T")

#: A call carries at most this much, in both directions: 1,000 messages block a primary for 10 to
#: 20 ms, a lease of 100 messages of 2 MB blocked it for 540 ms.
MAX_MESSAGES: Final = 250
MAX_CALL_BYTES: Final = 512 * 1024

SCHEMA: Final = 1


@dataclass(slots=True)
class Core:
    """One queue in one Redis: where its shards lie and how its scripts are called."""

    servers: Servers
    caller: Caller
    scripts: Scripts
    prefix: str
    shards: int = 1
    replication: Replication = field(default_factory=Replication)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        prefix: str = "re",
        passwords: Passwords | None = None,
        client_name: str = "reliable-email",
        replication: Replication | None = None,
        watch: Watch | None = None,
        scripts: Scripts | None = None,
    ) -> Core:
        """Return the core for a URL; nothing is asked of Redis yet. Raises ConfigurationError."""
        topology, options = parse(url, passwords or Passwords())
        options["client_name"] = client_name
        servers = Servers(topology, options)
        return cls(servers, Caller(servers, watch), scripts or Scripts(), prefix, 1, replication or Replication())

    async def learn_shards(self, configured: int) -> int:
        """Learn how many shards the queue has, the first process to open it deciding; return it.

        Raises ScriptDefect where a newer version of the service wrote the queue.
        """
        schema, shards = await self.run("meta", service_tag(self.prefix), {"schema": SCHEMA, "shards": configured})
        if int(schema) > SCHEMA:
            raise ScriptDefect(
                f"the queue has schema {int(schema)}; this version knows {SCHEMA}. Upgrade this process."
            )
        self.shards = int(shards)
        return self.shards

    def tag(self, shard: int) -> str:
        """Return the tag of a shard."""
        return shard_tag(self.prefix, shard)

    def provider_tag(self, provider: str) -> str:
        """Return the tag of a provider's shared state."""
        return provider_tag(self.prefix, provider)

    def now_ms(self, shard: int = 0) -> float:
        """Return what the clock of the shard's primary shows, as far as it was learned."""
        address = self.servers.topology.primary_of(slot(self.tag(shard)))
        return self.servers.at(address).now_ms() if address is not None else 0.0

    @property
    def service_tag(self) -> str:
        """The tag of what belongs to no shard."""
        return service_tag(self.prefix)

    def call(self, name: str, tag: str, arguments: dict[str, Any], bodies: Sequence[bytes] = ()) -> Call:
        """Return one call of the script `name`, yet to be run."""
        return Call(self.scripts[name], tag, arguments, bodies, may_be_late=name == "settle")

    async def run(
        self,
        name: str,
        tag: str,
        arguments: dict[str, Any],
        *,
        seconds: float = PATIENCE_SECONDS,
        durable: bool = False,
    ) -> list[Any]:
        """Run one script; `durable` waits for as many replicas as are configured. Raises QueueError."""
        replication = self.replication if durable else Replication()
        return await self.caller.run(self.call(name, tag, arguments), seconds=seconds, replication=replication)

    async def run_everywhere(self, name: str, arguments: Mapping[str, Any]) -> list[list[Any]]:
        """Run one script in every shard and return the answers in the order of shards."""
        calls = [self.call(name, self.tag(shard), dict(arguments)) for shard in range(self.shards)]
        answers = await self.caller.run_all(calls)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return [answer for answer in answers if isinstance(answer, list)]

    async def plain(self, tag: str, commands: Sequence[Command], seconds: float = PATIENCE_SECONDS) -> list[Any]:
        """Run plain commands on the server that holds `tag`, once. Raises QueueError."""
        try:
            server = await self.servers.primary_of(slot(tag))
            replies = await server.exchange(commands, seconds)
        except (Unavailable, AnswerLost):
            await self._relearn()
            raise
        for reply in replies:
            if isinstance(reply, Exception):
                await self._relearn()
                raise Unavailable(f"Redis at {server.address}: {reply}") from reply
        return replies

    async def _relearn(self) -> None:
        try:
            await self.servers.learn()
        except Unavailable:
            return  # the caller's own error says more

    async def close(self) -> None:
        """Close all connections."""
        await self.servers.close()


def in_batches(items: Iterable[T], size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Yield lists that one call may carry: at least one item, else within both bounds."""
    batch: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and (len(batch) >= MAX_MESSAGES or total + size > MAX_CALL_BYTES):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += size
    if batch:
        yield batch


async def gather_all(coroutines: Iterable[Any]) -> list[Any]:
    """Run coroutines side by side and raise the first error only when all have ended."""
    results = await asyncio.gather(*coroutines, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return list(results)
