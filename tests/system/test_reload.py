"""SIGHUP to real processes, as an operator sends it."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import aiohttp

from shared.domain.states import State
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.conftest import journal, other_smtp, smtp
from tests.system.test_crashes import FAST, Process, cluster, redis

__all__ = ["cluster", "journal", "other_smtp", "redis", "smtp"]


async def submit(process: Process, key: str) -> int:
    """Submit a message with a key over HTTP, and return the status of the answer, which is 503 before it has Redis."""
    port = process.told("api_listening")["port"]
    headers = {"Authorization": f"Bearer {key}"}
    content = {"from": "shop@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works."}
    async with aiohttp.ClientSession() as client:
        while True:
            async with client.post(f"http://127.0.0.1:{port}/v1/messages", json=content, headers=headers) as answer:
                if answer.status != 503:
                    return answer.status


async def test_a_sender_under_load_takes_other_providers_and_another_log_on_sighup(
    cluster: Cluster, smtp: SmtpServer, other_smtp: SmtpServer
) -> None:
    config = cluster.config(relay(smtp, "old", concurrency=5), logging={"level": "warning"}, **FAST)
    async with Process("sender", config) as sender:
        ids = await cluster.submit_all([letter()] * 300)
        await smtp.received(30)

        changed = cluster.config(relay(other_smtp, "new"), logging={"level": "debug"}, **FAST)
        changed.replace(config)
        sender.send(signal.SIGHUP)
        await sender.says("configuration_reloaded")
        await other_smtp.until(lambda: len(smtp.mails) + len(other_smtp.mails) == len(ids))
        code = await sender.terminate()

    records = [await cluster.view(message_id) for message_id in ids]
    assert sorted(ids_of(smtp.mails) + ids_of(other_smtp.mails)) == sorted(ids)
    assert {(record.state, record.attempts_total) for record in records} == {(State.SENT, 1)}
    assert other_smtp.mails
    assert code == 0
    assert '"attempt_begun"' in sender.log


async def test_a_frontend_takes_another_key_from_a_file_on_sighup(
    cluster: Cluster, smtp: SmtpServer, tmp_path: Path
) -> None:
    secret = tmp_path / "key"
    old, new = "old-0123456789abcdef", "new-0123456789abcdef"
    secret.write_text(old)
    config = cluster.config(relay(smtp), frontend={"port": 0}, **FAST)
    with config.open("a") as file:
        file.write(f'[[frontend.keys]]\nname = "shop"\nsecret = {{file = "{secret}"}}\n')
    async with Process("frontend", config) as frontend:
        await frontend.says("api_listening")
        before = [await submit(frontend, key) for key in (old, new)]

        secret.write_text(new)
        frontend.send(signal.SIGHUP)
        await frontend.says("configuration_reloaded")
        after = [await submit(frontend, key) for key in (old, new)]

    assert (before, after) == ([202, 401], [401, 202])


async def test_a_scheduler_goes_on_with_what_it_has_where_the_file_is_gone(cluster: Cluster, smtp: SmtpServer) -> None:
    """Without a file there would be the defaults, and mail would go into an outbox."""
    config = cluster.config(relay(smtp), **FAST)
    async with Process("scheduler", config) as scheduler:
        await scheduler.says("ops_listening")
        config.unlink()
        scheduler.send(signal.SIGHUP)
        await scheduler.says("configuration_refused")
        code = await scheduler.terminate()

    line: dict[str, Any] = scheduler.told("configuration_refused")
    assert (line["where"], line["code"], code) == (str(config), "unreadable", 0)
