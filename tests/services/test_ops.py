from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from shared.domain.errors import ConfigurationError
from shared.runtime.logs import LineSink
from shared.runtime.metrics import Metrics
from shared.runtime.ops import Ops


@pytest.fixture
async def ops() -> AsyncIterator[Ops]:
    ops = Ops("scheduler", "127.0.0.1", 0, Metrics("scheduler", "0.1.0"))
    await ops.start()
    yield ops
    await ops.stop()


@pytest.fixture
async def client(ops: Ops) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{ops.port}") as session:
        yield session


async def test_a_process_whose_loop_turns_is_healthy(client: aiohttp.ClientSession) -> None:
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.json()) == (200, {"healthy": True, "role": "scheduler"})


async def test_a_process_that_starts_is_not_ready(client: aiohttp.ClientSession) -> None:
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (
            503,
            {"ready": False, "role": "scheduler", "reason": "starting"},
        )


async def test_a_process_that_says_so_is_ready(ops: Ops, client: aiohttp.ClientSession) -> None:
    ops.ready()
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.json()) == (200, {"ready": True, "role": "scheduler", "reason": None})


async def test_a_process_tells_why_it_is_not_ready(ops: Ops, client: aiohttp.ClientSession) -> None:
    ops.ready("waiting for Redis")
    async with client.get("/readyz") as answer:
        assert (await answer.json())["reason"] == "waiting for Redis"


async def test_a_process_that_drains_is_not_ready_but_healthy() -> None:
    draining = asyncio.Event()
    ops = Ops("scheduler", "127.0.0.1", 0, Metrics(), draining)
    await ops.start()
    ops.ready()
    draining.set()
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{ops.port}") as client,
        client.get("/readyz") as ready,
        client.get("/healthz") as healthy,
    ):
        shown = (ready.status, (await ready.json())["reason"], healthy.status)
    await ops.stop()

    assert shown == (503, "draining", 200)


async def test_metrics_are_shown_as_prometheus_reads_them(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "# TYPE reliable_email_promoted_total counter" in await answer.text()


async def test_all_metrics_are_shown(client: aiohttp.ClientSession) -> None:
    def names(text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith("# TYPE")]

    async with client.get("/metrics") as answer:
        shown = names(await answer.text())

    assert shown == names(generate_latest(Metrics("scheduler").registry).decode())


async def test_metrics_are_shown_as_openmetrics_to_who_asks(client: aiohttp.ClientSession) -> None:
    accept = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    async with client.get("/metrics", headers=accept) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        families = text_fd_to_metric_families(io.StringIO(await answer.text()))  # type: ignore[no-untyped-call]  # the library has no types for it
        assert "reliable_email_promoted" in {family.name for family in families}


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/nowhere"])
async def test_an_answer_does_not_tell_what_software_gave_it(client: aiohttp.ClientSession, path: str) -> None:
    async with client.get(path) as answer:
        assert "Server" not in answer.headers


async def test_lost_lines_of_the_log_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    sink, metrics = LineSink(None), Metrics()
    monkeypatch.setattr("shared.runtime.ops.current_sink", lambda: sink)
    ops = Ops("sender", "127.0.0.1", 0, metrics)
    await ops.start()
    sink.write(b"lost")
    await ops.stop()

    assert metrics.registry.get_sample_value("reliable_email_log_lines_dropped_total") == 1


async def test_the_lag_of_the_loop_is_watched_while_the_port_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    measured = asyncio.Event()
    monkeypatch.setattr("shared.runtime.ops._PROBE_SECONDS", 0.001)
    monkeypatch.setattr(metrics.event_loop_lag_seconds, "set", lambda _lag: measured.set())
    ops = Ops("sender", "127.0.0.1", 0, metrics)
    await ops.start()
    try:
        await asyncio.wait_for(measured.wait(), 10)
    finally:
        await ops.stop()


async def test_a_probe_is_never_cached(client: aiohttp.ClientSession) -> None:
    async with client.get("/readyz") as answer:
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_taken_port_is_named_with_the_key_to_change(ops: Ops) -> None:
    second = Ops("sender", "127.0.0.1", ops.port, Metrics())

    with pytest.raises(ConfigurationError, match=rf"ops\.port: port {ops.port} on 127\.0\.0\.1 is already taken"):
        await second.start()


async def test_a_host_of_another_machine_is_named_with_the_key_to_change() -> None:
    with pytest.raises(ConfigurationError, match=r"ops\.host: 192\.0\.2\.1 is no address of this machine"):
        await Ops("sender", "192.0.2.1", 0, Metrics()).start()


async def test_a_host_that_does_not_exist_is_named_with_the_key_to_change() -> None:
    with pytest.raises(ConfigurationError, match=r"ops\.host: there is no address"):
        await Ops("sender", "no such host", 0, Metrics()).start()


async def test_a_stopped_port_can_be_taken_again() -> None:
    ops = Ops("sender", "127.0.0.1", 0, Metrics())
    await ops.start()
    await ops.stop()

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", ops.port))


async def test_what_never_started_can_be_stopped() -> None:
    await Ops("sender", "127.0.0.1", 0, Metrics()).stop()
