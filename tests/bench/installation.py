"""The service's own processes, as in production, each pinned to a core."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

import orjson
import psutil

from shared.queue import Queue
from shared.runtime import joining
from shared.settings.load import load
from tests.redis_server import RedisServer, free_port

ROOT: Final = Path(__file__).parents[2]
#: What is measured runs on the first core; the load, Redis and whatever it talks to on the second.
MEASURED, OTHERS = 0, 1


class Installation:
    """A Valkey, and the services that a benchmark asks for."""

    def __init__(self, providers: str, more: str = "", environ: Mapping[str, str] = MappingProxyType({})) -> None:
        self._environ = environ
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self.redis = RedisServer(self.folder / "valkey")
        self.api_port = free_port()
        #: Where the service that was started last shows its metrics.
        self.ops_port = 0
        self._processes: list[subprocess.Popen[bytes]] = []
        self._config = self.folder / "config.toml"
        self._text = f'[redis]\nurl = "{self.redis.url}"\n[frontend]\nport = {self.api_port}\n{more}\n{providers}\n'

    def __enter__(self) -> Self:
        self.redis.start()
        assert self.redis.process is not None
        pin(self.redis.process.pid, OTHERS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self._processes:
            process.wait(40)
        self.redis.kill()

    def start(
        self,
        role: str,
        core: int = MEASURED,
        *,
        program: str = "reliable_email",
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> subprocess.Popen[bytes]:
        """Start a service and wait until it is ready; `program` is the module that is run."""
        self.ops_port = free_port()
        self._config.write_text(self._text)
        environment = {
            **os.environ,
            **self._environ,
            **environ,
            "RELIABLE_EMAIL_OPS__PORT": str(self.ops_port),
            "RELIABLE_EMAIL_LOGGING__FORMAT": "json",
        }
        log = (self.folder / f"{role}.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", program, role, "--config", str(self._config)],
            stdout=log,
            stderr=log,
            env=environment,
            cwd=ROOT,
        )
        log.close()
        self._processes.append(process)
        pin(process.pid, core)
        _await_ready(self.ops_port, process)
        return process

    def kill_last(self) -> None:
        """End the service that was started last as a power cut does."""
        self._processes.pop().kill()

    def queue(self) -> Queue:
        """Return a client of the queue for the benchmark's own use."""
        self._config.write_text(self._text)
        return joining.connect(load(str(self._config), self._environ), "bench")


def pin(pid: int, core: int) -> None:
    """Bind a process to a core, where there are two."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        psutil.Process(pid).cpu_affinity([core])


def _await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
                if answer.status == 200:
                    return
        except OSError:
            pass
        if time.monotonic() > deadline or process.poll() is not None:
            raise RuntimeError(f"a service did not become ready (exit code {process.poll()})")
        time.sleep(0.05)


def load_of(port: int, connections: int, seconds: float, path: str, body_file: Path) -> dict[str, Any]:
    """Run the load generator on the other core and return what it measured."""
    command = [
        sys.executable,
        "-m",
        "tests.bench.load",
        str(port),
        str(connections),
        str(seconds),
        path,
        str(body_file),
    ]
    generator = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    pin(generator.pid, OTHERS)
    output, _ = generator.communicate(timeout=seconds + 60)
    result: dict[str, Any] = orjson.loads(output)
    return result
