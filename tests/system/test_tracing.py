"""Tracing as an operator has it: real processes, a collector that listens for OTLP, the command line."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import aiohttp

from tests.fakes.collector import Collector
from tests.fakes.smtp_server import SmtpServer
from tests.services.sender.cluster import Cluster, relay
from tests.services.sender.conftest import journal, other_smtp, smtp
from tests.system.test_crashes import FAST, ROOT, Process, cluster, redis
from tests.traces import TRACE_ID, TRACEPARENT

__all__ = ["cluster", "journal", "other_smtp", "redis", "smtp"]


async def submit(frontend: Process) -> None:
    """Submit a scheduled message as a step of a client's trace."""
    message = {
        "from": "shop@example.com",
        "to": "ada@example.org",
        "text": "Hello.",
        "subject": "Hi",
        "delay_seconds": 1,
    }
    port = frontend.told("api_listening")["port"]
    async with aiohttp.ClientSession(headers={"traceparent": TRACEPARENT}) as client:
        while True:
            async with client.post(f"http://127.0.0.1:{port}/v1/messages", json=message) as answer:
                if answer.status != 503:  # it is before it has Redis
                    assert answer.status == 202, await answer.text()
                    return


async def test_one_trace_leads_from_the_client_through_all_processes_to_the_provider(
    cluster: Cluster, smtp: SmtpServer
) -> None:
    async with Collector() as collector:
        tracing = {"endpoint": collector.url}
        config = cluster.config(relay(smtp), frontend={"port": 0}, tracing=tracing, **FAST)
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "x-team=mail"}
        async with (
            Process("frontend", config, **headers) as frontend,
            Process("scheduler", config, **headers) as scheduler,
            Process("sender", config, **headers) as sender,
        ):
            await frontend.says("api_listening")
            await submit(frontend)
            await smtp.received(1)
            # The last spans are handed over by the end.
            assert [await process.terminate() for process in (frontend, scheduler, sender)] == [0, 0, 0]
        ours = [span for span in collector.spans if span.trace_id == TRACE_ID]
    assert {(span.service, span.name) for span in ours} == {
        ("reliable-email-frontend", "POST /v1/messages"),
        ("reliable-email-frontend", "enqueue"),
        ("reliable-email-scheduler", "promote"),
        ("reliable-email-sender", "deliver"),
        ("reliable-email-sender", "attempt relay"),
        ("reliable-email-sender", "exchange"),
    }
    assert {headers.get("x-team") for headers in collector.headers} == {"mail"}


async def test_a_collector_that_refuses_or_is_away_holds_up_no_mail(cluster: Cluster, smtp: SmtpServer) -> None:
    async with Collector(answers_with=500) as collector:
        refuses, is_away = collector.url, "http://127.0.0.1:9/v1/traces"
        for endpoint in (refuses, is_away):
            before = len(smtp.mails)
            config = cluster.config(relay(smtp), tracing={"endpoint": endpoint}, **FAST)
            async with Process("sender", config) as sender:
                await cluster.submit()
                await smtp.received(before + 1)
                assert await sender.terminate() == 0
            assert '"library_logged"' in sender.log


async def test_a_collector_that_never_answers_does_not_hold_up_the_end(cluster: Cluster, smtp: SmtpServer) -> None:
    """What is drained has ended well, whatever becomes of its spans."""
    hang = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hang.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1") as silent:
        port = silent.sockets[0].getsockname()[1]
        tracing = {"endpoint": f"http://127.0.0.1:{port}/v1/traces"}
        config = cluster.config(relay(smtp), tracing=tracing, **{**FAST, "sender": {"grace_seconds": 1}})
        async with Process("sender", config) as sender:
            await cluster.submit(trace=TRACEPARENT)
            await smtp.received(1)
            assert await sender.terminate() == 0
        hang.set()
    assert '"spans_lost"' in sender.log
    assert '"drain_overran"' not in sender.log


def test_without_the_extra_an_endpoint_is_refused_with_the_cure(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('[tracing]\nendpoint = "http://localhost:4318/v1/traces"\n')
    # The packages are hidden as if they were not installed.
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").write_text("")
    command = (sys.executable, "-m", "reliable_email", "scheduler", "--config", str(config))
    environ = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    ended = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 2
    assert "tracing.endpoint" in ended.stderr
    assert "pip install 'reliable-email[tracing]'" in ended.stderr
    assert "Traceback" not in ended.stderr
