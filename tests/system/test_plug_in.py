"""A kind of provider from a package of its own: built, installed, and used without a touch of this one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from shared.domain.states import State
from tests.fakes.internet import Internet
from tests.fakes.internet.settings import secrets_of
from tests.redis_server import IN_MEMORY, RedisServer
from tests.services.sender.cluster import Cluster, letter
from tests.services.sender.conftest import journal
from tests.services.sender.journal import Journal
from tests.system.test_crashes import Process

__all__ = ["journal"]

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "reliable-email-pigeon"
version = "1.0"

[project.entry-points."reliable_email.providers"]
pigeon = "pigeon:Pigeon"

[tool.hatch.build.targets.wheel]
packages = ["pigeon.py"]
"""

#: A service over HTTP, in what a plug-in may import and nothing else. It speaks as SendGrid does.
PIGEON = '''
"""Sends by pigeon."""
from dataclasses import dataclass
import json
from reliable_email import Capabilities, Fault, HttpOptions, HttpRequest, Outcome, Rule, Secret, accepted, classify

RULES = (Rule(Outcome.MISCONFIGURED, (401, 403)),)


@dataclass(frozen=True, slots=True, kw_only=True)
class PigeonOptions(HttpOptions):
    """The loft."""

    base_url: str = "https://pigeons.example"
    """Where the loft is."""

    api_key: Secret
    """The ring. Example: `api_key = {env = "PIGEON_KEY"}`"""


class Pigeon:
    kind = "pigeon"
    Options = PigeonOptions

    def capabilities(self, options):
        return Capabilities(max_bytes=100_000)

    def build(self, parcel, options):
        envelope = parcel.envelope
        body = {
            "personalizations": [{"to": [{"email": envelope.recipients[number].email} for number in parcel.recipients],
                                  "custom_args": {"reliable_email_id": parcel.id}}],
            "from": {"email": envelope.sender.email},
            "subject": envelope.subject,
            "content": [{"type": "text/plain", "value": envelope.text}],
        }
        headers = {"Authorization": "Bearer " + options.api_key.reveal(), "Content-Type": "application/json"}
        return HttpRequest("POST", options.base_url + "/v3/mail/send", headers, json.dumps(body).encode())

    def classify(self, request, reply):
        return classify(reply, lambda answer, _: accepted(answer.headers["x-message-id"]), lambda _, it: Fault(), RULES)
'''


@pytest.fixture(scope="module")
def loft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build and install the package into a folder, and return that."""
    source, target = tmp_path_factory.mktemp("pigeon"), tmp_path_factory.mktemp("loft")
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "pigeon.py").write_text(PIGEON)
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-index"]
    subprocess.run(
        [*pip, "--no-deps", "--no-build-isolation", "--target", str(target), str(source)], check=True, timeout=100
    )
    return target


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("valkey"), *IN_MEMORY) as running:
        yield running


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    async with Internet("sendgrid") as internet:
        yield internet


@pytest.fixture
async def cluster(redis: RedisServer, journal: Journal, tmp_path: Path) -> AsyncIterator[Cluster]:
    cluster = Cluster(redis.url, "plug-in", tmp_path, journal)
    await cluster.open()
    yield cluster
    await cluster.close()


async def test_a_kind_from_another_package_sends(loft: Path, cluster: Cluster, internet: Internet) -> None:
    desk = internet.desk("sendgrid")
    (name, key) = next(iter(secrets_of(desk).items()))
    config = cluster.config({"name": "loft", "kind": "pigeon", "base_url": desk.url, "api_key": {"env": name}})
    path = os.pathsep.join([str(loft), str(Path(__file__).parents[2])])
    async with Process("sender", config, **{name: key, "PYTHONPATH": path}) as sender:
        message_id = await cluster.submit(letter())
        async with asyncio.timeout(30):
            await desk.ledger.reached(1)
        await sender.terminate()

    record = await cluster.view(message_id)
    assert record.state is State.SENT
    assert [attempt.provider for attempt in record.attempts] == ["loft"]
    assert [taken.message_id for taken in desk.ledger.taken] == [record.id]
