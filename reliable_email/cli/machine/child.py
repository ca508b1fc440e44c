"""One process that `up` keeps running."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.runtime.logs import get_logger

#: Pauses before a process is started again grow from the first to the longest, twice each time,
#: and begin anew once it has run for a while: a configuration that breaks it must not spin.
_FIRST_PAUSE_SECONDS: Final = 0.5
_LONGEST_PAUSE_SECONDS: Final = 30.0
_RAN_WELL_SECONDS: Final = 60.0

#: Beyond its own grace period, in which it is to end by itself.
_OVERTIME_SECONDS: Final = 5.0

#: Two that begin side by side would each restore the mask that the other had set.
_ONE_AT_A_TIME: Final = asyncio.Lock()

log = get_logger()


@dataclass(frozen=True, slots=True)
class Order:
    """What to start: `inherits` are descriptors that the process keeps open, besides `stdin`."""

    name: str
    command: Sequence[str]
    log: Path
    grace_seconds: float
    environ: Mapping[str, str] | None = None
    stdin: int = asyncio.subprocess.DEVNULL
    inherits: Sequence[int] = ()


class Child:
    """A process that is started again whenever it ends by itself.

    `on_start` is told of every process before it is waited for, `on_end` how one ended, in words,
    its code, and after how many seconds the next one starts.
    """

    def __init__(
        self,
        order: Order,
        *,
        on_start: Callable[[Child], Awaitable[None]],
        on_end: Callable[[Child, str, int, float], None],
    ) -> None:
        self.name = order.name
        self._order = order
        self._on_start = on_start
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._gone = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process that runs, None between two."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def keep(self) -> None:
        """Keep the process running until `stop`."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not self._stopping.is_set():
                started = loop.time()
                how, code = await self._live()
                if self._stopping.is_set():
                    return
                if loop.time() - started > _RAN_WELL_SECONDS:
                    pause = _FIRST_PAUSE_SECONDS
                log.warning("child_exited", child=self.name, exit_code=code)
                self._on_end(self, how, code, pause)
                await self._wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:
            self._gone.set()

    async def _live(self) -> tuple[str, int]:
        """Start a process and wait for its end; return how it ended in words, and its code."""
        try:
            self._process = await spawn(self._order)
        except OSError as error:
            return f"cannot be started: {error.strerror}", -1
        log.info("child_started", child=self.name, pid=self._process.pid)
        if self._stopping.is_set():
            self._signal(signal.SIGTERM)
        await self._on_start(self)
        code = await self._process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}", code

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def stop(self) -> None:
        """Ask the process to end, wait as long as it may need, and end it by force after that."""
        self._stopping.set()
        self._signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._order.grace_seconds + _OVERTIME_SECONDS):
                await self._gone.wait()
                return
        self.kill()
        await self._gone.wait()

    def hurry(self) -> None:
        """Ask a process that is ending to settle and leave."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


async def spawn(order: Order) -> asyncio.subprocess.Process:
    """Start a process that leaves Ctrl-C and the end of the terminal to `up`."""
    order.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with order.log.open("ab") as output:
        async with _ONE_AT_A_TIME:
            with _blocked(signal.SIGINT, signal.SIGHUP):
                return await asyncio.create_subprocess_exec(
                    *order.command,
                    stdin=order.stdin,
                    stdout=output,
                    stderr=output,
                    env=order.environ,
                    pass_fds=order.inherits,
                )


@contextlib.contextmanager
def _blocked(*signals: signal.Signals) -> Iterator[None]:
    """Block signals; a process that is started meanwhile keeps them blocked all its life.

    A terminal sends both to the whole group, and Valkey exits on Ctrl-C even where it was started
    with SIGINT ignored: senders could then not write down what they sent.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
