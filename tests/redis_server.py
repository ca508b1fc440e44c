"""Real Valkey servers for tests, on loopback and in a temporary folder."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from reliable_email.embedded import server_command

#: Most tests judge what the scripts do; the system tests ask for the disk.
IN_MEMORY = ("--appendonly", "no")


def free_port() -> int:
    """Return a port that was free a moment ago, and whose neighbour 10,000 above is free too (the cluster bus)."""
    while True:
        with socket.socket() as probe, socket.socket() as bus:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            if port > 55_000:
                continue
            try:
                bus.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


class RedisServer:
    """One server process. `freeze` and `thaw` stop and continue it; `kill` is kill -9."""

    def __init__(self, directory: Path, *settings: str, port: int | None = None) -> None:
        self.directory = directory
        self.settings = settings
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = server_command(self.port, self.directory, *self.settings)
        # Another server to test against, for one the oldest that is supported.
        command[0] = os.environ.get("TEST_REDIS_SERVER", command[0])
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.command("PING")
            except (redis.ConnectionError, redis.TimeoutError):
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError((self.directory / "server.log").read_text()) from None
                time.sleep(0.01)
            else:
                return

    def command(self, *words: Any) -> Any:
        """Run one command on a connection of its own."""
        with redis.Redis(port=self.port, socket_timeout=5, retry=Retry(NoBackoff(), 0)) as client:
            return client.execute_command(*words)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self._signal(signal.SIGKILL)
            self.process.wait()

    def _signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)


class RedisCluster:
    """A cluster of primaries, each with as many replicas as asked for."""

    def __init__(self, directory: Path, primaries: int = 3, replicas: int = 0, *settings: str) -> None:
        more = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0")
        self.servers = [
            RedisServer(directory / str(number), *more, *settings) for number in range(primaries * (1 + replicas))
        ]
        self.primaries = self.servers[:primaries]
        self.replicas = self.servers[primaries:]

    @property
    def url(self) -> str:
        return "redis-cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.primaries)

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        share = 16_384 // len(self.primaries)
        for number, server in enumerate(self.servers):
            server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            self.servers[0].command("CLUSTER", "MEET", "127.0.0.1", server.port)
        for number, server in enumerate(self.primaries):
            last = 16_383 if number == len(self.primaries) - 1 else (number + 1) * share - 1
            server.command("CLUSTER", "ADDSLOTSRANGE", number * share, last)
        self._until(lambda server: f"cluster_known_nodes:{len(self.servers)}" in self._info(server))
        for number, server in enumerate(self.replicas):
            primary = self.primaries[number % len(self.primaries)]
            server.command("CLUSTER", "REPLICATE", primary.command("CLUSTER", "MYID").decode())
        self._until(lambda server: "cluster_state:ok" in self._info(server))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.kill()

    @staticmethod
    def _info(server: RedisServer) -> str:
        info = server.command("CLUSTER", "INFO")
        return info.decode() if isinstance(info, bytes) else str(info)

    def _until(self, holds: Any) -> None:
        deadline = time.monotonic() + 30
        while not all(holds(server) for server in self.servers):
            if time.monotonic() > deadline:
                raise RuntimeError("the cluster did not form")
            time.sleep(0.05)
