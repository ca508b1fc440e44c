"""Which server holds a slot: one server, whichever Sentinel names, or the primaries of a cluster."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final, Protocol

from shared.domain.errors import ConfigurationError, Fault, Unavailable
from shared.queue.keys import SLOTS
from shared.settings.model import RedisSettings
from shared.settings.redis_url import BadRedisUrl, parse_redis_url


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


#: What a connection needs beside an address: `tls`, `db`, `username`, `password`, `client_name`.
Options = dict[str, Any]

#: What of it is no Sentinel's business.
_OF_REDIS: Final = frozenset({"db", "username", "password"})

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

    def options_of(self, address: Address, options: Options) -> Options:
        """Return what a connection to this server needs, where `options` is what one to Redis needs."""
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

    def options_of(self, address: Address, options: Options) -> Options:  # noqa: ARG002 - every server is Redis
        """Return what a connection to this server needs."""
        return options


@dataclass(slots=True)
class Sentinel:
    """The server that a majority's Sentinels name at this moment."""

    sentinels: tuple[Address, ...]
    name: str
    password: str | None = field(default=None, repr=False)
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

    def options_of(self, address: Address, options: Options) -> Options:
        """Return what a connection to this server needs: a Sentinel has no databases, and a password of its own."""
        if address not in self.sentinels:
            return options
        own = {"password": self.password} if self.password is not None else {}
        return {name: value for name, value in options.items() if name not in _OF_REDIS} | own


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

    def options_of(self, address: Address, options: Options) -> Options:  # noqa: ARG002 - every server is Redis
        """Return what a connection to this server needs."""
        return options


@dataclass(frozen=True, slots=True)
class Passwords:
    """What a queue shows to be let in: to Redis, and to the Sentinels."""

    redis: str | None = field(default=None, repr=False)
    sentinel: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: RedisSettings) -> Passwords:
        """Return those of a configuration."""
        secrets = (settings.password, settings.sentinel_password)
        return cls(*(secret.reveal() if secret is not None else None for secret in secrets))


def parse(url: str, passwords: Passwords = Passwords()) -> tuple[Topology, Options]:
    """Return the topology that a URL names, and what a connection to its Redis needs. Raises ConfigurationError."""
    try:
        read = parse_redis_url(url)
    except BadRedisUrl as error:
        raise ConfigurationError((Fault("redis.url", "invalid_value", error.detail),)) from None
    options: Options = {"tls": read.tls, "db": read.database}
    if read.user:
        options["username"] = read.user
    if passwords.redis is not None:
        options["password"] = passwords.redis
    addresses = tuple(Address(host, port) for host, port in read.hosts)
    match read.kind:
        case "single":
            return Single(addresses[0]), options
        case "sentinel":
            return Sentinel(addresses, read.master, passwords.sentinel), options
        case "cluster":
            return Cluster(addresses), options
