"""Which server holds a slot: one server, whichever Sentinel names, or the primaries of a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import parse_url

from shared.domain.errors import ConfigurationError, Fault, Unavailable
from shared.queue.keys import SLOTS


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


#: Asks one server a command and gives its reply; how the topologies learn.
Ask = Callable[[Address, tuple[Any, ...]], Awaitable[Any]]


class Topology(Protocol):
    """Knows the primary of each slot, as far as it was learned."""

    def primary_of(self, slot: int) -> Address | None:
        """Return the slot's primary, or None while it is unknown."""
        ...

    def primaries(self) -> Sequence[Address]:
        """Return every primary that is known."""
        ...

    async def learn(self, ask: Ask) -> None:
        """Ask anew. Raises Unavailable when nobody could tell."""
        ...

    def moved(self, slot: int, address: Address) -> None:
        """Take a server's word that a slot lies elsewhere."""
        ...


@dataclass(slots=True)
class Single:
    """One server holds every slot."""

    address: Address

    def primary_of(self, slot: int) -> Address | None:  # noqa: ARG002 - one server has all slots
        """Return the slot's primary, or None while it is unknown."""
        return self.address

    def primaries(self) -> Sequence[Address]:
        """Return every primary that is known."""
        return (self.address,)

    async def learn(self, ask: Ask) -> None:
        """There is nothing to learn."""

    def moved(self, slot: int, address: Address) -> None:
        """Nothing moves."""


@dataclass(slots=True)
class Sentinel:
    """The server that a majority's Sentinels name at this moment."""

    sentinels: tuple[Address, ...]
    name: str
    _primary: Address | None = None

    def primary_of(self, slot: int) -> Address | None:  # noqa: ARG002 - one server has all slots
        """Return the slot's primary, or None while it is unknown."""
        return self._primary

    def primaries(self) -> Sequence[Address]:
        """Return every primary that is known."""
        return (self._primary,) if self._primary else ()

    async def learn(self, ask: Ask) -> None:
        """Ask anew. Raises Unavailable when nobody could tell."""
        for sentinel in self.sentinels:
            try:
                named = await ask(sentinel, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name))
            except Unavailable:
                continue
            if named:
                self._primary = Address(named[0].decode(), int(named[1]))
                return
        raise Unavailable(f"no Sentinel of {', '.join(map(str, self.sentinels))} knows a primary named {self.name!r}")

    def moved(self, slot: int, address: Address) -> None:
        """Nothing moves but by the Sentinels' word."""


@dataclass(slots=True)
class Cluster:
    """Every primary of a Redis Cluster holds some of the slots."""

    seeds: tuple[Address, ...]
    _slots: list[Address | None] = field(default_factory=lambda: [None] * SLOTS)

    def primary_of(self, slot: int) -> Address | None:
        """Return the slot's primary, or None while it is unknown."""
        return self._slots[slot]

    def primaries(self) -> Sequence[Address]:
        """Return every primary that is known."""
        # Neighbours are nearly always the same object, and to hash 16,384 addresses costs ten milliseconds.
        return sorted({address for address, _ in groupby(self._slots) if address})

    async def learn(self, ask: Ask) -> None:
        """Ask anew. Raises Unavailable when nobody could tell."""
        for node in (*self.primaries(), *self.seeds):
            try:
                ranges = await ask(node, ("CLUSTER", "SLOTS"))
            except Unavailable:
                continue
            for first, last, primary, *_replicas in ranges:
                # A node that does not know its own name answers with an empty one: it is the one we asked.
                address = Address(primary[0].decode() if primary[0] else node.host, int(primary[1]))
                self._slots[first : last + 1] = [address] * (last + 1 - first)
            return
        raise Unavailable(f"no node of the cluster answers: {', '.join(map(str, self.seeds))}")

    def moved(self, slot: int, address: Address) -> None:
        """Take a server's word that a slot lies elsewhere."""
        self._slots[slot] = address


def parse(url: str) -> tuple[Topology, dict[str, Any]]:
    """Return the topology that a URL names, and what a connection to its servers needs.

    `redis://`, `rediss://` (TLS), `redis-cluster://h1:6379,h2:6379` and
    `redis-sentinel://h1:26379,h2:26379/<master>/<database>`; the last two also with `rediss-`.
    """
    scheme = urlsplit(url).scheme
    if scheme in {"redis", "rediss"}:
        options: dict[str, Any] = dict(parse_url(url))
        address = Address(options.pop("host", "localhost"), options.pop("port", 6379))
        tls = options.pop("connection_class", None) is not None
        return Single(address), {**options, "tls": tls}
    kind, options, hosts, path = _parse_many(url)
    if kind == "cluster":
        return Cluster(_addresses(hosts, 6379)), options
    if kind == "sentinel" and path:
        options["db"] = int(path[1]) if len(path) > 1 else 0
        return Sentinel(_addresses(hosts, 26379), path[0]), options
    raise ConfigurationError(
        (
            Fault(
                "redis.url",
                "bad_url",
                f"{scheme}:// is not understood; use redis://, rediss://, redis-cluster://h1:6379,h2:6379 "
                "or redis-sentinel://h1:26379,h2:26379/<master>/0",
            ),
        )
    )


def _parse_many(url: str) -> tuple[str, dict[str, Any], str, list[str]]:
    parts = urlsplit(url)
    family, _, kind = parts.scheme.partition("-")
    credentials, _, hosts = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    options: dict[str, Any] = {"tls": family == "rediss"}
    if username:
        options["username"] = unquote(username)
    if password:
        options["password"] = unquote(password)
    return (
        kind if family in {"redis", "rediss"} else "",
        options,
        hosts,
        [part for part in parts.path.split("/") if part],
    )


def _addresses(hosts: str, port: int) -> tuple[Address, ...]:
    found = []
    for host in hosts.split(","):
        parts = urlsplit(f"//{host}")
        found.append(Address(parts.hostname or "localhost", parts.port or port))
    return tuple(found)
