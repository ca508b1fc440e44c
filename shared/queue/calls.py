"""Calling scripts: by hash, on the server that holds their shard, with an end to every patience.

A call is repeated, with the same tokens, only while its deadline has not passed; every call but a
settlement also tells Redis when its caller will have given up, so that a server that was frozen
does not do late what nobody waits for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MasterDownError,
    MovedError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from shared.domain.errors import AnswerLost, NotReplicated, QueueError, QueueFull, ScriptDefect, Unavailable
from shared.queue.connection import Command, Server, Servers
from shared.queue.keys import slot
from shared.queue.script import Script
from shared.queue.topology import Address

#: The frontend answers within 3 s whatever Redis does, so no call lasts longer.
PATIENCE_SECONDS: Final = 2.0

_PAUSE_SECONDS: Final = 0.02
_LONGEST_PAUSE_SECONDS: Final = 0.3

#: Answers that mean "not now": nothing was done.
_NOT_NOW: Final = (AskError, ClusterDownError, MasterDownError, ReadOnlyError, TryAgainError)
_NOT_NOW_WORDS: Final = ("MISCONF", "NOREPLICAS", "BUSY", "LOADING", "UNKILLABLE", "FAILOVER")


#: How a call fails, in one word; the narrower errors first.
_KINDS: Final[Mapping[type[QueueError], str]] = {
    NotReplicated: "not_replicated",
    AnswerLost: "answer_lost",
    Unavailable: "unavailable",
    QueueFull: "full",
    ScriptDefect: "defect",
}
KINDS: Final = tuple(_KINDS.values())

#: What a script said, and how many replicas confirmed what it wrote.
_Said = tuple[Any, int]


@dataclass(slots=True)
class Call:
    """One call of one script for one tag."""

    script: Script
    tag: str
    arguments: dict[str, Any]
    bodies: Sequence[bytes] = ()
    may_be_late: bool = False

    def command(self, now_ms: float, seconds: float, *, whole: bool) -> Command:
        """Return the command; `whole` carries the source for a server that forgot the script."""
        if not self.may_be_late:
            self.arguments["not_after"] = int(now_ms + seconds * 1000)
        start = ("EVAL", self.script.source) if whole else ("EVALSHA", self.script.sha)
        return (*start, 1, self.tag, orjson.dumps(self.arguments), *self.bodies)


@dataclass(frozen=True, slots=True)
class Replication:
    """How many replicas must confirm a write before its answer counts, and how long to wait for them."""

    replicas: int = 0
    seconds: float = 0.5


class Watch:
    """Is told of calls, and does not mind; the base of whoever counts them."""

    def exchanged(self, script: str, seconds: float) -> None:
        """Redis has answered a write that began with a call of `script`."""

    def failed(self, script: str, kind: str) -> None:
        """A call has failed for good; `kind` is one of KINDS."""


class Caller:
    """Runs calls, and tells `watch` of them."""

    def __init__(self, servers: Servers, watch: Watch | None = None) -> None:
        self._servers = servers
        self._watch = watch or Watch()

    async def run(
        self, call: Call, *, seconds: float = PATIENCE_SECONDS, replication: Replication = Replication()
    ) -> list[Any]:
        """Run one call and return what follows the instant and the status `ok` in its answer.

        Raises a QueueError; the status `stale` of a lease call is an answer too, given as None.
        """
        (result,) = await self.run_all([call], seconds=seconds, replication=replication)
        if isinstance(result, QueueError):
            raise result
        return result

    async def run_all(
        self, calls: Sequence[Call], *, seconds: float = PATIENCE_SECONDS, replication: Replication = Replication()
    ) -> list[list[Any] | QueueError]:
        """Run calls, those of one server in one write, and return each one's answer or error."""
        deadline = time.monotonic() + seconds
        results: list[list[Any] | QueueError] = [Unavailable("not tried")] * len(calls)
        uncertain: set[int] = set()
        left = list(range(len(calls)))
        pause = _PAUSE_SECONDS
        while left:
            outcomes = await self._once([calls[i] for i in left], deadline, replication)
            again = []
            for index, outcome in zip(left, outcomes, strict=True):
                results[index] = outcome
                if isinstance(outcome, AnswerLost):
                    uncertain.add(index)
                elif isinstance(outcome, Unavailable) and index in uncertain:
                    # What was lost before stays possible, whatever this try came to.
                    results[index] = AnswerLost(str(outcome))
                if isinstance(outcome, (Unavailable, AnswerLost)) and not isinstance(outcome, NotReplicated):
                    again.append(index)
            left = again
            if left and time.monotonic() + pause >= deadline:
                break
            if left:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                await self._relearn()
        for call, result in zip(calls, results, strict=True):
            if isinstance(result, QueueError):
                self._watch.failed(call.script.name, kind_of(result))
        return results

    async def _relearn(self) -> None:
        try:
            await self._servers.learn()
        except Unavailable:
            return  # the next try says so, with the address

    async def _once(
        self, calls: Sequence[Call], deadline: float, replication: Replication
    ) -> list[list[Any] | QueueError]:
        by_server: dict[Server, list[int]] = {}
        results: list[list[Any] | QueueError] = [Unavailable("not tried")] * len(calls)
        for index, call in enumerate(calls):
            try:
                server = await self._servers.primary_of(slot(call.tag))
            except Unavailable as error:
                results[index] = error
            else:
                by_server.setdefault(server, []).append(index)
        groups = [
            self._group(server, [calls[i] for i in indexes], deadline, replication)
            for server, indexes in by_server.items()
        ]
        for indexes, answers in zip(by_server.values(), await asyncio.gather(*groups), strict=True):
            for index, answer in zip(indexes, answers, strict=True):
                results[index] = answer
        return results

    async def _group(
        self, server: Server, calls: Sequence[Call], deadline: float, replication: Replication
    ) -> list[list[Any] | QueueError]:
        try:
            if not server.knows_clock:
                await _learn_clock(server)
            replies, confirmed = await self._exchange(server, calls, deadline, replication, whole=False)
        except QueueError as error:
            return [error] * len(calls)
        return [
            await self._understand(server, call, (reply, confirmed), deadline, replication)
            for call, reply in zip(calls, replies, strict=True)
        ]

    async def _exchange(
        self,
        server: Server,
        calls: Sequence[Call],
        deadline: float,
        replication: Replication,
        *,
        whole: bool,
        asking: bool = False,
    ) -> tuple[list[Any], int]:
        seconds = max(0.01, deadline - time.monotonic())
        commands = [call.command(server.now_ms(), seconds, whole=whole) for call in calls]
        if asking:
            commands.insert(0, ("ASKING",))  # it holds for the next command on this connection alone
        if replication.replicas:
            commands.append(("WAIT", replication.replicas, int(replication.seconds * 1000)))
        started = time.perf_counter()
        replies = await server.exchange(commands, seconds)
        self._watch.exchanged(calls[0].script.name, time.perf_counter() - started)
        confirmed = replies.pop() if replication.replicas else 0
        return replies[1:] if asking else replies, confirmed if isinstance(confirmed, int) else 0

    async def _understand(
        self, server: Server, call: Call, said: _Said, deadline: float, replication: Replication
    ) -> list[Any] | QueueError:
        """Turn a reply into an answer, after the one repetition that some replies ask for."""
        try:
            reply = said[0]
            if isinstance(reply, NoScriptError):
                said = await self._again(server, call, deadline, replication)
            elif isinstance(reply, MovedError):
                self._servers.topology.moved(slot(call.tag), Address(reply.host, reply.port))
                server = self._at(reply)
                said = await self._again(server, call, deadline, replication)
            elif isinstance(reply, AskError):
                server = self._at(reply)
                said = await self._again(server, call, deadline, replication, asking=True)
            if _too_late(said[0]):
                server.learn_clock(float(said[0][0]))
                said = await self._again(server, call, deadline, replication)
        except QueueError as error:
            return error
        reply, confirmed = said
        if isinstance(reply, ResponseError):
            return _error_of(call, reply)
        if _too_late(reply):
            return Unavailable(f"Redis at {server.address} was reached too late")
        server.learn_clock(float(reply[0]))
        answer = list(reply[1:] if reply[1] != b"ok" else reply[2:])
        if call.script.writes and confirmed < replication.replicas:
            words = f"{confirmed} of {replication.replicas} replicas confirmed within {replication.seconds} s"
            return NotReplicated(words, answer)
        return answer

    def _at(self, redirection: AskError) -> Server:
        return self._servers.at(Address(redirection.host, redirection.port))

    async def _again(
        self, server: Server, call: Call, deadline: float, replication: Replication, *, asking: bool = False
    ) -> _Said:
        """Repeat a call on one server; `asking` follows a slot that is just moving there."""
        if not server.knows_clock:
            await _learn_clock(server)
        replies, confirmed = await self._exchange(server, [call], deadline, replication, whole=True, asking=asking)
        return replies[0], confirmed


def kind_of(error: QueueError) -> str:
    """Return the word for the way in which a call failed."""
    return next((word for kind, word in _KINDS.items() if isinstance(error, kind)), "defect")


async def _learn_clock(server: Server) -> None:
    try:
        (reply,) = await server.exchange([("TIME",)], PATIENCE_SECONDS / 2)
    except AnswerLost as error:
        raise Unavailable(str(error)) from error
    if isinstance(reply, ResponseError):
        raise Unavailable(f"Redis at {server.address}: {reply}")
    server.learn_clock(int(reply[0]) * 1000 + int(reply[1]) / 1000)


def _too_late(reply: Any) -> bool:
    return isinstance(reply, list) and reply[1:] == [b"too_late"]


def _error_of(call: Call, reply: ResponseError) -> QueueError:
    words = str(reply)
    if isinstance(reply, OutOfMemoryError) or "OOM " in words:
        return QueueFull(f"Redis has no memory left for `{call.script.name}`: {words}")
    if isinstance(reply, _NOT_NOW) or words.startswith(_NOT_NOW_WORDS):
        return Unavailable(f"Redis does not take `{call.script.name}` now: {words}")
    return ScriptDefect(f"`{call.script.name}` failed inside Redis: {words}")
