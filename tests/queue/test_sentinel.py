"""A queue whose primary is the one that a real Sentinel names."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from reliable_email.embedded import server_command
from shared.queue.core import Core
from shared.queue.topology import Passwords
from tests.redis_server import IN_MEMORY, RedisServer, free_port

_DATABASE = 3

#: Starts a primary with the first password under a Sentinel with the second, and returns the Sentinel's port.
StartPair = Callable[[str, str], int]


@contextmanager
def sentinel(directory: Path, primary: RedisServer, of_redis: str, of_sentinel: str) -> Iterator[int]:
    """Run a Sentinel that watches a primary under the name `main`; yield its port."""
    port = free_port()
    settings = directory / "sentinel.conf"
    lines = [f"port {port}", "bind 127.0.0.1", f"sentinel monitor main 127.0.0.1 {primary.port} 1"]
    lines += [f"sentinel auth-pass main {of_redis}"] if of_redis else []
    lines += [f"requirepass {of_sentinel}"] if of_sentinel else []
    settings.write_text("\n".join(lines))
    command = [server_command(port, directory)[0], str(settings), "--sentinel"]
    with (directory / "sentinel.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while not _answers(port):
            assert time.monotonic() < deadline, (directory / "sentinel.log").read_text()
            time.sleep(0.01)
        yield port
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _answers(port: int) -> bool:
    with redis.Redis(port=port, socket_timeout=5) as client:
        try:
            client.execute_command("PING")
        except redis.AuthenticationError:
            return True
        except redis.ConnectionError:
            return False
        return True


@pytest.fixture
def start_pair(tmp_path: Path) -> Iterator[StartPair]:
    with ExitStack() as stack:

        def start(of_redis: str, of_sentinel: str) -> int:
            primary = stack.enter_context(RedisServer(tmp_path / "primary", *IN_MEMORY))
            primary.command("CONFIG", "SET", "requirepass", of_redis)
            return stack.enter_context(sentinel(tmp_path, primary, of_redis, of_sentinel))

        yield start


@pytest.mark.parametrize(
    ("of_redis", "of_sentinel"), [("", ""), ("hunter2", ""), ("hunter2", "hunter3"), ("", "hunter3")]
)
async def test_sentinels_and_redis_each_get_their_own_password(
    start_pair: StartPair, of_redis: str, of_sentinel: str
) -> None:
    port = start_pair(of_redis, of_sentinel)
    passwords = Passwords(of_redis or None, of_sentinel or None)
    core = Core.connect(f"redis-sentinel://127.0.0.1:{port}/main/{_DATABASE}", passwords=passwords)

    (client,) = await core.plain(core.tag(0), [("CLIENT", "INFO")])
    await core.servers.close()

    assert f" db={_DATABASE} ".encode() in client
