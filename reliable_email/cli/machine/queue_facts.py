"""What `up` asks the queue before its services start: is it there, is it safe, what lies in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reliable_email.cli.patience import until
from shared.domain.errors import QueueError, ScriptDefect, Unsafe
from shared.domain.states import DEAD, LIVE
from shared.queue import durability
from shared.queue.core import Core
from shared.queue.topology import Passwords
from shared.queue.views import Views
from shared.settings.model import Settings


@dataclass(frozen=True, slots=True)
class QueueFacts:
    """The server as it calls itself, whether it was asked for its settings, and what lies in the queue."""

    server: str
    waiting: int
    failed: int


async def ask(url: str, settings: Settings, complain: Callable[[str], None]) -> QueueFacts:
    """Wait until Redis is there and return what is found in it; `complain` is told once why it has to wait.

    Raises Unsafe where its settings could lose accepted messages, ScriptDefect where a newer
    version of the service wrote the queue.
    """
    core = Core.connect(
        url,
        prefix=settings.redis.prefix,
        passwords=Passwords.of(settings.redis),
        client_name="reliable-email-up",
    )

    async def once() -> QueueFacts | None:
        try:
            return await _ask(core, settings)
        except (Unsafe, ScriptDefect):
            raise
        except QueueError as error:
            complain(str(error))
            return None

    try:
        return await until(once)
    finally:
        await core.close()


async def _ask(core: Core, settings: Settings) -> QueueFacts:
    servers = await durability.versions(core)
    if settings.durability.mode == "strict":
        findings = await durability.inspect(core)
        if findings.unsafe:
            raise Unsafe("Redis would lose accepted messages:\n" + "\n".join(f"  {line}" for line in findings.unsafe))
    await core.learn_shards(settings.redis.shards)
    depths = await Views(core).depths()
    return QueueFacts(
        server=", ".join(sorted(set(servers.values()))),
        waiting=sum(depths.total(state) for state in LIVE),
        failed=sum(depths.total(state) for state in DEAD),
    )
