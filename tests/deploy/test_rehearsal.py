"""The overlay `dev`, rehearsed: its files, users, variables and arguments, on the image's own files, deliver a mail."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from tests.deploy.containers import Running, asked, folder_for_anybody, start, unpack, valkey
from tests.deploy.image import Image
from tests.deploy.manifests import ROLES, Rendered
from tests.fakes.smtp_server import SmtpServer
from tests.redis_server import free_port

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(300)]

MESSAGE = {"from": "you@example.com", "to": "ada@example.org", "subject": "Hello", "text": "It works."}


@pytest.fixture
def folder() -> Iterator[Path]:
    with folder_for_anybody() as folder:
        yield folder


@pytest.fixture
def server(overlays: dict[str, Rendered], folder: Path) -> Iterator[redis.Redis]:
    with valkey(overlays["dev"], folder / "valkey", free_port()) as client:
        yield client


@pytest.fixture
async def mailpit() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as server:
        yield server


class Cluster:
    """The three services of an overlay, one pod of each."""

    def __init__(self, overlay: Rendered, image: Image, folder: Path, redis_port: int, smtp_port: int) -> None:
        self.api = f"http://127.0.0.1:{(api_port := free_port())}"
        self.running: list[Running] = []
        for role in ROLES:
            work, place = overlay.ours[role], folder / role
            unpack(overlay.files(work), place, {})
            variables = overlay.environment(role)
            variables["RELIABLE_EMAIL_REDIS__URL"] = variables["RELIABLE_EMAIL_REDIS__URL"].replace(
                "valkey:6379", f"127.0.0.1:{redis_port}"
            )
            variables["RELIABLE_EMAIL_FRONTEND__PORT"] = str(api_port)
            variables["RELIABLE_EMAIL_PROVIDERS__MAILPIT__HOST"] = "127.0.0.1"
            variables["RELIABLE_EMAIL_PROVIDERS__MAILPIT__PORT"] = str(smtp_port)
            arguments = [re.sub("^/etc/", f"{place}/etc/", word) for word in work.container["args"]]
            self.running.append(start(image, role, arguments, variables, free_port()))

    def ready(self, overlay: Rendered) -> None:
        for one in self.running:
            one.answers(overlay.ours[one.role].container["readinessProbe"]["httpGet"]["path"])

    def end(self) -> dict[str, tuple[int, str]]:
        return {one.role: one.end() for one in self.running}


async def test_the_overlay_delivers_a_mail_and_drains(
    overlays: dict[str, Rendered], image: Image, folder: Path, server: redis.Redis, mailpit: SmtpServer
) -> None:
    overlay = overlays["dev"]
    key = dict(overlay.files(overlay.ours["frontend"]))["/run/secrets/keys/shop"].decode().strip()
    port = int(server.get_connection_kwargs()["port"])
    cluster = await asyncio.to_thread(Cluster, overlay, image, folder, port, mailpit.port)
    try:
        await asyncio.to_thread(cluster.ready, overlay)
        url = f"{cluster.api}/v1/messages"

        refused, _ = await asyncio.to_thread(asked, url, MESSAGE)
        taken, record = await asyncio.to_thread(asked, url, MESSAGE, Authorization=f"Bearer {key}")
        (mail,) = await mailpit.received(1)
    finally:
        ends = await asyncio.to_thread(cluster.end)

    assert (refused, taken) == (401, 202)
    assert mail.message["X-Reliable-Email-Id"] == record["id"]
    assert {role: code for role, (code, _) in ends.items()} == dict.fromkeys(ROLES, 0), ends
    assert "NOPERM" not in str(ends)


def test_nobody_reads_the_queue_without_a_password(server: redis.Redis) -> None:
    port = int(server.get_connection_kwargs()["port"])

    assert server.ping()
    with pytest.raises(NoPermissionError):
        server.get("{re}:meta")
    with redis.Redis(port=port) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
