"""`reliable-email doctor`: is everything as it should be, and can what is not be mended?"""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from reliable_email.cli.config import ConfigOption
from reliable_email.cli.faults import failure, print_faults
from reliable_email.cli.up import DEFAULT_DATA, DataOption
from shared.domain.errors import ConfigurationError, QueueError
from shared.settings.load import load

if TYPE_CHECKING:
    from shared.queue.core import Core
    from shared.queue.doctor import Finding
    from shared.settings.model import Settings

#: Findings that are printed one by one; of more the number says enough.
_SHOWN: Final = 100


def doctor(
    config: ConfigOption = None,
    data: DataOption = DEFAULT_DATA,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what is wrong with messages.")] = False,
    recount: Annotated[
        bool, typer.Option("--recount", help="Count all messages anew; only while no process runs.")
    ] = False,
) -> None:
    """Look at Redis, its settings and every message of the queue, while it works on.

    Reads configuration and Redis: that of redis.url, else the one that `up` runs on --data.
    Exits with 0 where nothing is wrong, with 1 where something is.
    """
    try:
        settings = load(config, os.environ, secrets_of={"redis"})
    except ConfigurationError as error:
        print_faults(error)
        raise typer.Exit(2) from error
    try:
        sound = asyncio.run(_examine(_at_home(settings, data), repair=repair, recount=recount))
    except QueueError as error:
        raise failure(str(error)) from error
    if not sound:
        raise typer.Exit(1)


def _at_home(settings: Settings, data: Path) -> Settings:
    """Return the settings with the server that `up` runs, where none is configured."""
    if settings.redis.url:
        return settings
    try:
        port = json.loads((data / "run" / "valkey.json").read_bytes())["ports"]["redis"]
    except (OSError, ValueError, LookupError):
        return settings
    return replace(settings, redis=replace(settings.redis, url=f"redis://127.0.0.1:{port}/0"))


async def _examine(settings: Settings, *, repair: bool, recount: bool) -> bool:
    from shared.queue import doctor as queue_doctor  # noqa: PLC0415 - not for `--help`
    from shared.queue.core import Core  # noqa: PLC0415 - not for `--help`
    from shared.queue.topology import Passwords  # noqa: PLC0415 - not for `--help`

    core = Core.connect(
        settings.redis.server,
        prefix=settings.redis.prefix,
        passwords=Passwords.of(settings.redis),
        client_name="reliable-email-doctor",
    )
    try:
        is_safe = await _judge_server(core, settings)
        shards = await queue_doctor.shards_in(core)
        if shards is None:
            typer.echo("queue       empty: nothing has opened it yet")
            return is_safe
        core.shards = shards
        messages_are_sound = await _judge_messages(core, repair=repair)
        counts_are_sound = await _judge_counts(core) if recount else True
        return is_safe and messages_are_sound and counts_are_sound
    finally:
        await core.close()


async def _judge_server(core: Core, settings: Settings) -> bool:
    from shared.queue import durability  # noqa: PLC0415 - not for `--help`

    for address, version in (await durability.versions(core)).items():
        typer.echo(f"server      {version} at {address}")
    if settings.durability.mode == "trusted":
        typer.echo("durability  trusted: the settings of the server were not read")
        return True
    findings = await durability.inspect(core)
    for line in findings.unsafe:
        typer.echo(f"durability  unsafe: {line}")
    for line in findings.doubtful:
        typer.echo(f"durability  unwise: {line}")
    if not findings.unsafe and not findings.doubtful:
        typer.echo("durability  every accepted message is on disk before its answer")
    return not findings.unsafe


async def _judge_messages(core: Core, *, repair: bool) -> bool:
    from shared.queue import doctor as queue_doctor  # noqa: PLC0415 - not for `--help`

    looked = 0
    findings: dict[str, Finding] = {}
    async for told in queue_doctor.examine(core):
        if isinstance(told, queue_doctor.Looked):
            looked = told.messages
            continue
        if told.id not in findings and len(findings) < _SHOWN:
            typer.echo(f"message     {told.id} {'; '.join(told.faults)}")
        findings[told.id] = told
    typer.echo(f"queue       {looked:,} messages in {core.shards} shard{'s' if core.shards > 1 else ''}")
    if not findings:
        typer.echo("invariant   holds: each lies in one place, which its record names, with its body")
        return True
    typer.echo(f"invariant   broken for {len(findings):,}" + ("" if repair else "; `doctor --repair` mends them"))
    if not repair:
        return False
    for id_, what in await queue_doctor.repair(core, findings.values()):
        typer.echo(f"repaired    {id_} {what}")
    return True


async def _judge_counts(core: Core) -> bool:
    from shared.queue import doctor as queue_doctor  # noqa: PLC0415 - not for `--help`
    from shared.queue.processes import Processes  # noqa: PLC0415 - not for `--help`

    if running := await Processes(core).census():
        names = ", ".join(sorted({process.role for process in running}))
        typer.echo(f"counts      not counted: messages move while a {names} runs; stop all, and try again")
        return False
    wrong = await queue_doctor.miscounts(core)
    for one in wrong:
        typer.echo(f"counts      {one.name} was {one.kept:,} and is {one.found:,}")
    await queue_doctor.recount(core, wrong)
    if not wrong:
        typer.echo("counts      equal what is there")
    return True
