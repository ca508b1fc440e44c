"""Senders and schedulers on one queue, inside the test's own process, and the verbs that tests speak in."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from services.scheduler import app as scheduler_app
from services.sender import app as sender_app
from shared.domain.message import Acceptance, Address, Envelope, Record, Submission
from shared.domain.states import LIVE, State
from shared.queue import Queue
from shared.runtime import joining
from shared.runtime.process import Lifetime
from shared.runtime.reloading import Load
from shared.settings.load import load
from shared.settings.model import Settings
from tests.fakes.smtp_server import Mail, SmtpServer
from tests.queue.invariant import faults_of
from tests.services.sender.journal import Journal, Line

#: Short enough to wait for, long enough for a process that shares two processors with others.
FAST: Final[dict[str, dict[str, Any]]] = {
    "sender": {"lease_seconds": 2, "grace_seconds": 5},
    "scheduler": {"grace_seconds": 5},
    "retry": {"base_seconds": 0.2, "max_seconds": 0.4, "ambiguous_delay_seconds": 0.2},
}


def letter(to: str = "ada@example.org", *more: str, **fields: Any) -> Envelope:
    """Return a small message."""
    return Envelope(
        sender=Address("shop@example.com"),
        to=tuple(map(Address, (to, *more))),
        **{"subject": "Receipt", "text": "Thank you.\n", "message_id_domain": "example.com", **fields},
    )


def relay(server: SmtpServer, name: str = "relay", **keys: Any) -> dict[str, Any]:
    """Return the configuration of a provider that sends through a server."""
    return {"name": name, "kind": "smtp", "host": "127.0.0.1", "port": server.port, "tls": "none", **keys}


def toml(tree: dict[str, Any]) -> str:
    """Return a configuration as text: tables of plain values, and lists of them."""
    lines = []
    for section, content in tree.items():
        for table in content if isinstance(content, list) else [content]:
            lines.append(f"[[{section}]]" if isinstance(content, list) else f"[{section}]")
            for key, value in table.items():
                inner = (
                    {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
                )
                lines += [f"{name} = {_value(one)}" for name, one in inner.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key} = {_value(one)}' for key, one in value.items())}}}"
    return json.dumps(value)


def merged(*trees: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return sections laid over one another, key by key."""
    result: dict[str, dict[str, Any]] = {}
    for tree in trees:
        for section, keys in tree.items():
            result[section] = {**result.get(section, {}), **keys}
    return result


class _Run(Protocol):
    def __call__(self, settings: Settings, lifetime: Lifetime, load: Load | None) -> Awaitable[None]: ...


@dataclass(slots=True)
class Member:
    """A sender or a scheduler that runs in this process."""

    task: asyncio.Task[None]
    lifetime: Lifetime
    ops_port: int
    config: Path

    async def stop(self) -> None:
        """Let it drain, and see it end without an error."""
        if not self.lifetime.draining.is_set():
            self.lifetime.stop()
        overrun = asyncio.ensure_future(self.lifetime.overrun())
        await asyncio.wait({self.task, overrun}, return_when=asyncio.FIRST_COMPLETED)
        overrun.cancel()
        if not self.task.done():
            self.task.cancel()
            raise AssertionError("it did not end within its grace period")
        self.lifetime.close()
        await self.task

    async def metric(self, name: str, **labels: str) -> float:
        """Return what one of its metrics shows, 0 where it does not show it."""
        return sum(await self.series(name, **labels))

    async def series(self, name: str, **labels: str) -> list[float]:
        """Return what each series of a metric shows that has these labels."""
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{self.ops_port}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
            samples = [sample for family in families for sample in family.samples]
        full = f"reliable_email_{name}"
        return [sample.value for sample in samples if sample.name == full and labels.items() <= sample.labels.items()]

    async def shows(self, wanted: float, name: str, **labels: str) -> None:
        """Wait until one of its metrics shows this; gauges are set every few seconds, and nothing is logged of it."""
        async with asyncio.timeout(30):
            while True:
                found = await self.series(name, **labels)
                if found and sum(found) == wanted:
                    return
                await asyncio.sleep(0.02)


@dataclass(slots=True)
class Cluster:
    """One queue under a prefix of its own, and whoever works on it."""

    url: str
    prefix: str
    folder: Path
    journal: Journal
    queue: Queue = field(init=False)
    members: list[Member] = field(default_factory=list)
    files: int = 0
    #: The variables that processes see.
    environ: dict[str, str] = field(default_factory=dict)

    async def open(self, shards: int = 1) -> None:
        """Join the queue as its clients' side."""
        self.queue = joining.connect(
            self.settings({"name": "none", "kind": "sandbox"}, redis={"shards": shards}), "test"
        )
        await self.queue.core.learn_shards(shards)

    async def close(self) -> None:
        """End whoever still works, judge the queue, and leave."""
        try:
            for member in self.members:
                await member.stop()
            faults = await faults_of(self.queue.core)
            assert not faults, "\n".join(faults)
        finally:
            await self.queue.close()

    # Configuration and processes

    def config(self, *providers: dict[str, Any], **sections: dict[str, Any]) -> Path:
        """Write a configuration file and return its path."""
        self.files += 1
        path = self.folder / f"config-{self.files}.toml"
        path.write_text(self._written(*providers, **sections))
        return path

    def _written(self, *providers: dict[str, Any], **sections: dict[str, Any]) -> str:
        own: dict[str, dict[str, Any]] = {"redis": {"url": self.url, "prefix": self.prefix}, "ops": {"port": 0}}
        return toml({**merged(own, FAST, sections), "providers": list(providers)})

    def settings(self, *providers: dict[str, Any], **sections: dict[str, Any]) -> Settings:
        """Return the settings of a configuration."""
        return load(str(self.config(*providers, **sections)), {})

    async def sender(self, *providers: dict[str, Any], **sections: dict[str, Any]) -> Member:
        """Start a sender with these providers, and see it listen."""
        return await self._start("sender", sender_app.run, self.config(*providers, **sections))

    async def sender_by(self, config: Path) -> Member:
        """Start a sender with a configuration file."""
        return await self._start("sender", sender_app.run, config)

    async def scheduler(self, **sections: dict[str, Any]) -> Member:
        """Start a scheduler."""
        config = self.config({"name": "none", "kind": "sandbox"}, **sections)
        return await self._start("scheduler", scheduler_app.run, config)

    async def reload(self, member: Member, *providers: dict[str, Any], **sections: dict[str, Any]) -> Line:
        """Give a member another configuration, as SIGHUP does, and return what it says of it when it is in force."""
        member.config.write_text(self._written(*providers, **sections))
        return await self.hang_up(member, "configuration_reloaded")

    async def hang_up(self, member: Member, event: str) -> Line:
        """Do what SIGHUP does, and return the line that says what came of it."""
        before = len(self.journal.told(event))
        member.lifetime.hangup.ring()
        return (await self.journal.saw(event, times=before + 1))[-1]

    async def _start(self, role: str, run: _Run, config: Path) -> Member:
        settings = load(str(config), self.environ)
        before = len(self.journal.told("ops_listening"))
        grace = settings.sender.grace_seconds if role == "sender" else settings.scheduler.grace_seconds
        lifetime = Lifetime(role, grace)
        task = asyncio.ensure_future(run(settings, lifetime, lambda: load(str(config), self.environ)))
        task.add_done_callback(lambda done: self.journal.note(event="member_ended", role=role, error=_error(done)))
        *_, line = await self.journal.saw("ops_listening", times=before + 1)
        member = Member(task, lifetime, line["port"], config)
        self.members.append(member)
        return member

    async def sends_through(self, *servers: SmtpServer, **keys: Any) -> Member:
        """Start a scheduler and a sender with one relay for each server: `relay`, `relay-2`, …"""
        await self.scheduler()
        names = ["relay", *(f"relay-{number}" for number in range(2, len(servers) + 1))]
        return await self.sender(*(relay(server, name, **keys) for server, name in zip(servers, names, strict=True)))

    # Messages

    async def submit(self, envelope: Envelope | None = None, **fields: Any) -> str:
        """Submit one message and return its id."""
        return (await self.submit_all([envelope or letter()], **fields))[0]

    async def submit_all(self, envelopes: Sequence[Envelope], *, at_once: int = 250, **fields: Any) -> list[str]:
        """Submit messages that are alike in all but their envelopes, and return their ids."""
        submissions = self.queue.submissions
        ids = []
        for start in range(0, len(envelopes), at_once):
            shard = submissions.flush_shard()
            batch = [
                submissions.prepare(Submission(envelope, **fields), shard)
                for envelope in envelopes[start : start + at_once]
            ]
            for prepared in batch:
                await submissions.write_pieces(prepared)
            results = await submissions.submit(batch)
            assert all(isinstance(result, Acceptance) for result in results), results
            ids += [prepared.id for prepared in batch]
        return ids

    async def view(self, message_id: str) -> Record:
        """Return the record of a message that must be there."""
        record = await self.queue.views.read(message_id)
        assert record is not None
        return record

    async def came_to(self, state: State, message_id: str) -> Record:
        """Wait until a message is in a state, and return its record."""

        async def is_so() -> bool:
            return (await self.view(message_id)).state is state

        await self.journal.until_so(is_so, f"{message_id} is {state}")
        return await self.view(message_id)

    async def ended(self, message_id: str) -> Record:
        """Wait until a message has ended, and return its record."""

        async def is_so() -> bool:
            return (await self.view(message_id)).is_final

        await self.journal.until_so(is_so, f"{message_id} has ended")
        return await self.view(message_id)

    async def drained(self) -> None:
        """Wait until no message can still be sent."""
        await self.journal.until_so(self._is_empty, "the queue is empty")

    async def _is_empty(self) -> bool:
        depths = await self.queue.views.depths()
        return not any(depths.total(state) for state in LIVE)

    async def count(self, state: State) -> int:
        """Return how many messages are in a state."""
        return (await self.queue.views.depths()).total(state)

    async def redis_now(self) -> int:
        """Return the clock by which everything is judged, in milliseconds."""
        ((seconds, micros),) = await self.queue.core.plain(self.queue.core.tag(0), [("TIME",)])
        return int(seconds) * 1000 + int(micros) // 1000

    async def is_heard(self, bell: str) -> None:
        """Wait until somebody listens for the bell `wake` or `due` of the first shard."""
        tag = self.queue.core.tag(0)
        while (await self.queue.core.plain(tag, [("PUBSUB", "SHARDNUMSUB", f"{tag}:{bell}")]))[0][1] == 0:
            pass

    async def clock_reaches(self, instant: int) -> None:
        """Wait until Redis's clock shows an instant of the next few moments."""
        while await self.redis_now() < instant:
            pass

    async def stored(self, message_id: str) -> dict[str, str]:
        """Return a message's record as it is stored."""
        tag = self.queue.core.tag(0)
        (flat,) = await self.queue.core.plain(tag, [("HGETALL", f"{tag}:message:{message_id}")])
        texts = [value.decode() for value in flat]
        return dict(zip(texts[::2], texts[1::2], strict=True))

    async def leased(self) -> list[str]:
        """Return the ids of all messages that some sender holds."""
        tags = map(self.queue.core.tag, range(self.queue.core.shards))
        found = [await self.queue.core.plain(tag, [("ZRANGE", f"{tag}:leased", 0, -1)]) for tag in tags]
        return [id_.decode() for (members,) in found for id_ in members]


def ids_of(mails: Sequence[Mail]) -> list[str]:
    """Return our ids of the messages that a server took, in the order of their arrival."""
    return [mail.message["X-Reliable-Email-Id"] for mail in mails]


def _error(task: asyncio.Task[None]) -> str:
    return "cancelled" if task.cancelled() else repr(task.exception())
