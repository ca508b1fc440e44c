"""A queue whose every script call is watched on the wire: the model runs the same call and must answer the same.

Between the client and the server the answer of a call can be lost, or the call itself; and every
call that was sent is remembered, so that it can arrive again later, as it was, like a command
that lay in a frozen server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson

from shared.domain.errors import AnswerLost
from shared.queue.calls import Caller
from shared.queue.connection import Command, Server, Servers
from shared.queue.core import Core
from shared.queue.script import Scripts
from shared.queue.topology import Address, parse
from tests.queue.invariant import Keyspace, faults_in, read_keyspace
from tests.queue.model import Shard
from tests.queue.scenario import as_text

#: A slow machine must not look like a lost answer.
_SECONDS: Final = 30.0
#: Scripts that only read; what they answer is judged by what the client makes of it.
_READERS: Final = frozenset({"read", "page", "depths", "examine", "pauses"})


class Trouble(StrEnum):
    """What happens to the next call on its way."""

    ANSWER_LOST = "answer lost"  # it is run; the client hears nothing, and calls again
    REQUEST_LOST = "request lost"  # it is not run; the client hears nothing, and calls again
    ANSWER_LOST_FOR_GOOD = "answer lost for good"  # it is run; the client's patience ends
    REQUEST_LOST_FOR_GOOD = "request lost for good"  # it is not run; the client's patience ends


class StillTime:
    """Stands in for `time` in the client: it goes on only where the test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    perf_counter = monotonic


@dataclass(frozen=True, slots=True, repr=False)
class Sent:
    """One call as it was sent."""

    script: str
    tag: str
    command: Command

    def __repr__(self) -> str:
        return f"<{self.script} {self.command[4].decode()}>"


@dataclass(slots=True)
class Watch:
    """Holds the model of each shard against what its server does."""

    scripts: WatchedScripts
    time: StillTime
    shards: dict[str, Shard] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    trouble: Trouble | None = None
    statuses: Counter[str] = field(default_factory=Counter)

    def script_of(self, command: Command) -> str | None:
        """Return the name of the script that a command runs in one of the shards."""
        if command[0] not in {"EVAL", "EVALSHA"} or command[3] not in self.shards:
            return None
        return next(name for name, script in self.scripts.items() if command[1] in {script.sha, script.source})

    def send(self, commands: Sequence[Command]) -> Trouble | None:
        """Remember calls that are about to be sent, and return what will happen to them."""
        calls = [(script, command) for command in commands if (script := self.script_of(command))]
        if not calls or all(script in _READERS for script, _ in calls):
            return None
        self.sent += [Sent(script, command[3], command) for script, command in calls]
        trouble, self.trouble = self.trouble, None
        if trouble in {Trouble.ANSWER_LOST_FOR_GOOD, Trouble.REQUEST_LOST_FOR_GOOD}:
            self.time.seconds += 3
        return trouble

    def answered(self, command: Command, reply: Any) -> None:
        """Let the model run a call that was run, and compare the answers."""
        script = self.script_of(command)
        if script is None or script in _READERS:
            return
        assert not isinstance(reply, Exception), f"{script}: {reply}"
        shard = self.shards[command[3]]
        call = orjson.loads(command[4])
        wanted = shard.execute(script, call, command[5:])
        assert int(reply[0]) == shard.now, script
        found = _normal(script, reply[1:] if reply[1] != b"ok" else reply[2:])
        assert found == wanted, f"{script} {call}\n  found  {found}\n  wanted {wanted}"
        self.statuses.update(f"{script} {status}" for status in _statuses(script, found))


class WatchedScripts(Scripts):
    """Scripts that can be looked through."""

    def items(self) -> list[tuple[str, Any]]:
        return list(self._scripts.items())


class WatchedServer(Server):
    """A server on whose wire a watch sits."""

    def __init__(self, address: Address, options: dict[str, Any], watch: Watch) -> None:
        super().__init__(address, options)
        self._watch = watch

    async def exchange(self, commands: Sequence[Command], seconds: float) -> list[Any]:  # noqa: ARG002 - see _SECONDS
        trouble = self._watch.send(commands)
        if trouble in {Trouble.REQUEST_LOST, Trouble.REQUEST_LOST_FOR_GOOD}:
            raise AnswerLost(trouble)
        replies = await super().exchange(commands, _SECONDS)
        for command, reply in zip(commands, replies, strict=True):
            self._watch.answered(command, reply)
        if trouble is not None:
            raise AnswerLost(trouble)
        return replies


class WatchedServers(Servers):
    """Servers, each with the watch on its wire."""

    def __init__(self, url: str, watch: Watch) -> None:
        topology, options = parse(url)
        super().__init__(topology, options)
        self._watch = watch

    def at(self, address: Address) -> Server:
        if address not in self._servers:
            self._servers[address] = WatchedServer(address, self._options, self._watch)
        return self._servers[address]


def watched_core(url: str, prefix: str, watch: Watch, shards: int) -> Core:
    """Return the core of a queue that the watch follows."""
    servers = WatchedServers(url, watch)
    return Core(servers, Caller(servers), watch.scripts, prefix, shards)


async def load(core: Core, scripts: WatchedScripts) -> None:
    """Let every server know every script, so that a run does not depend on which ran before."""
    for server in await core.servers.primaries():
        await server.exchange([("SCRIPT", "LOAD", script.source) for _, script in scripts.items()], _SECONDS)


async def differences(core: Core, watch: Watch) -> list[str]:
    """Return in what the stored keyspace differs from the model's, and every breach of the invariant."""
    keyspace = await read_keyspace(core)
    found = {tag: dict[str, Any]() for tag in watch.shards}
    for key, value in _stored(keyspace).items():
        tag, _, name = key.partition("}:")
        found[tag + "}"][name] = value
    differing = []
    for tag, shard in watch.shards.items():
        wanted = shard.keyspace()
        if wanted != found[tag]:
            differing += [
                f"{tag} {name}:\n  found  {found[tag].get(name)}\n  wanted {wanted.get(name)}"
                for name in sorted(wanted.keys() | found[tag].keys())
                if wanted.get(name) != found[tag].get(name)
            ]
    return differing + faults_in(keyspace, core.prefix, core.shards)


def _stored(keyspace: Keyspace) -> dict[str, Any]:
    """Return a keyspace in the model's words; what is empty is left out."""
    stored = {}
    for key, entry in keyspace.items():
        kind, value = key.partition("}:")[2].partition(":")[0], entry.value
        if kind == "attempts":
            value = [[orjson.loads(part) if part else None for part in line.partition("\n")[::2]] for line in value]
        elif kind == "recipients":
            value = {index: _end(told) for index, told in value.items()}
        elif kind in {"counts", "rate"}:
            value = {name: int(number) for name, number in value.items() if number != "0"}
        elif kind == "operation":
            value = orjson.loads(value)
        elif kind == "piece":
            value = True
        if value:
            stored[key] = value
    return stored


def _end(told: str) -> list[Any]:
    state, _, about = told.partition(" ")
    return [state, orjson.loads(about)]


def _normal(script: str, answer: list[Any]) -> list[Any]:
    """Return an answer as words; the record, the decided and the body in a lease are parsed."""
    if script != "lease" or answer in ([b"stale"], [b"too_late"]):
        return _words(answer)
    return [_words(answer[0]), *([*_words(entry[:3]), *_lent(entry)] for entry in answer[1:])]


def _lent(entry: Sequence[Any]) -> list[Any]:
    flat = as_text(entry[3])
    return [dict(zip(flat[::2], flat[1::2], strict=True)), sorted(map(int, entry[4])), entry[5]]


def _words(answer: list[Any]) -> list[Any]:
    return [_words(item) if isinstance(item, list) else str(as_text(item)) for item in answer]


def _statuses(script: str, answer: list[Any]) -> list[str]:
    """Return the statuses that an answer tells."""
    if answer == ["too_late"] or script in {"change", "extend"}:
        return answer[:1] if script != "extend" else answer
    if script in {"submit", "begin", "settle", "release"}:
        return [one[0] for one in answer]
    if script in {"cancel", "requeue", "delete"}:
        return answer[::2]
    return ["stale" if answer == ["stale"] else "answered"]
