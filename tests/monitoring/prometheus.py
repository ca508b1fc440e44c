"""A real Prometheus on loopback, in a folder of its own, that looks once a second."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import aiohttp
import pytest
import yaml

from tests.redis_server import free_port

#: What every deployment calls us. Dashboards ask which job to show; rules take every series of ours, of whatever job,
#: but for the two that read what every program has.
JOB: Final = "reliable-email"

#: How long an alert is pending here, whatever its rule says: from one look at its rule to the next.
SHORT_FOR: Final = "1s"
_START_SECONDS: Final = 30
_LOOK_SECONDS: Final = 0.1


class Refused(Exception):
    """A query that Prometheus does not understand or cannot answer; its text is Prometheus's own."""


class Series(NamedTuple):
    """One series of an answer: its labels, and its values by their instants in seconds since the epoch."""

    labels: dict[str, str]
    values: dict[float, float]


def executable() -> str:
    """Return the program, or skip the test that asks for it."""
    found = shutil.which("prometheus")
    if found is None:
        # `.ci/run` installs it: what is skipped there would never be tested.
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("the prometheus command judges queries and rules")
    return found


def hastened(rules: Path, into: Path) -> None:
    """Copy rule files, whose expressions stay as they are, so that alerts fire and resolve within seconds.

    Every `for` becomes a second, `keep_firing_for` and the groups' own intervals go.
    """
    into.mkdir()
    for path in sorted(rules.glob("*.yaml")):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            group.pop("interval", None)
            for rule in group["rules"]:
                rule.pop("keep_firing_for", None)
                if "for" in rule:
                    rule["for"] = SHORT_FOR
        (into / path.name).write_text(json.dumps(document))


class Prometheus:
    """The server: it watches `targets`, which are addresses by the names of their instances."""

    def __init__(self, folder: Path, targets: Mapping[str, str], rules: Path) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._folder = folder
        self._command = [
            executable(),
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--enable-feature=exemplar-storage",
            "--log.level=warn",
        ]
        folder.mkdir()
        hastened(rules, folder / "rules")
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules/*.yaml"],
            "scrape_configs": [
                {
                    "job_name": JOB,
                    "static_configs": [
                        {"targets": [address], "labels": {"instance": name}} for name, address in targets.items()
                    ],
                }
            ],
        }
        (folder / "prometheus.yaml").write_text(json.dumps(configuration))  # every JSON is YAML
        self._ends = AsyncExitStack()
        self._client: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as ends:
            with (self._folder / "log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            ends.push_async_callback(_end, process)
            self._client = await ends.enter_async_context(aiohttp.ClientSession(self.url))
            async with asyncio.timeout(_START_SECONDS):
                while not await self._is_ready():
                    assert process.returncode is None, (self._folder / "log").read_text()
                    await asyncio.sleep(_LOOK_SECONDS)
            self._ends = ends.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._ends.aclose()

    async def _is_ready(self) -> bool:
        try:
            async with self._session.get("/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def _session(self) -> aiohttp.ClientSession:
        assert self._client is not None
        return self._client

    async def query(self, expression: str) -> list[Series]:
        """Return what an expression is now. Raises Refused."""
        result = await self._ask("query", query=expression)
        return [_series({**one, "values": [one["value"]]}) for one in result["result"]]

    async def over(self, expression: str, start: float, end: float) -> list[Series]:
        """Return what an expression was at every half second between two instants. Raises Refused."""
        result = await self._ask("query_range", query=expression, start=start, end=end, step=0.5)
        return [_series(one) for one in result["result"]]

    async def until(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression has a value. Raises TimeoutError with the expression."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    if await self.query(expression):
                        return
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise TimeoutError(f"in {seconds} s it was never so that {expression}") from None

    async def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, str]]:
        """Return the labels of each exemplar that was seen between two instants in the series of an expression."""
        found = await self._ask("query_exemplars", query=expression, start=start, end=end)
        return [exemplar["labels"] for series in found for exemplar in series["exemplars"]]

    async def rules(self) -> list[dict[str, Any]]:
        """Return every rule as Prometheus has it, with its health and its last error."""
        return [rule for group in (await self._ask("rules"))["groups"] for rule in group["rules"]]

    async def _ask(self, what: str, **parameters: Any) -> Any:
        async with self._session.get(f"/api/v1/{what}", params=parameters) as answer:
            body = await answer.json()
        if body["status"] != "success":
            raise Refused(body["error"])
        return body["data"]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    await process.wait()


def _series(one: dict[str, Any]) -> Series:
    return Series(one["metric"], {float(at): float(value) for at, value in one["values"]})
