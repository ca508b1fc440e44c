"""The life of a process: it starts, runs, drains when asked to, and ends with an exit code that tells how."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from shared.domain.errors import ConfigurationError, ReliableEmailError
from shared.runtime import logs, run_file
from shared.runtime.wake import Bell

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:  # not built for every platform; the standard loop does the same, slower
    from asyncio import new_event_loop

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
#: The configuration is at fault: to start again without a change is useless.
EXIT_CONFIGURATION: Final = 2

#: What is kept of the grace period for settling what did not finish: a share, and at most so long.
_SETTLE_SHARE: Final = 0.2
_SETTLE_SECONDS: Final = 3.0
#: How long a cancelled process may take to unwind before it is ended from outside its event loop.
_UNWIND_SECONDS: Final = 2.0

_ALLOCATIONS_BEFORE_COLLECTION: Final = 50_000

log = logs.get_logger()


class Lifetime:
    """What a process must know of its own end, and of the wish that it reads its configuration anew.

    `draining` is set when it must take nothing new. `grace_over` is set when it must no longer
    wait for what it holds, but settle and leave: a little before the grace period ends, or at
    the second signal. `hangup` rings at SIGHUP.
    """

    def __init__(self, role: str, grace_seconds: float) -> None:
        self.role = role
        self.hangup = Bell()
        self.grace_seconds = grace_seconds
        self.draining = asyncio.Event()
        self.grace_over = asyncio.Event()
        self._settle_seconds = min(grace_seconds * _SETTLE_SHARE, _SETTLE_SECONDS)
        self._must_end = asyncio.Event()
        self._timers: list[asyncio.TimerHandle] = []
        self._loop = asyncio.get_running_loop()
        self._grace_until = float("inf")

    def stop(self, cause: str = "asked") -> None:
        """Begin to drain; a second call ends the grace period at once."""
        if self.draining.is_set():
            self._hurry(cause)
            return
        log.info("drain_started", cause=cause, grace_seconds=self.grace_seconds)
        self.draining.set()
        self._end_grace_after(self.grace_seconds - self._settle_seconds)

    def _hurry(self, cause: str) -> None:
        if not self.grace_over.is_set():
            log.warning("drain_hurried", cause=cause)
            self._end_grace_after(0.0)

    def _end_grace_after(self, seconds: float) -> None:
        for timer in self._timers:
            timer.cancel()
        self._grace_until = self._loop.time() + seconds
        if seconds <= 0:
            self.grace_over.set()
        self._timers = [
            self._loop.call_later(max(seconds, 0.0), self.grace_over.set),
            self._loop.call_later(max(seconds, 0.0) + self._settle_seconds, self._must_end.set),
        ]

    def remaining_seconds(self) -> float:
        """Return how long the process may still wait for what it holds: infinite before a drain."""
        return 0.0 if self.grace_over.is_set() else max(0.0, self._grace_until - self._loop.time())

    async def within_grace(self, finished: asyncio.Event) -> bool:
        """Wait for `finished` until the grace period is over; return whether it came."""
        waits = [asyncio.ensure_future(event.wait()) for event in (finished, self.grace_over)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return finished.is_set()

    async def overrun(self) -> None:
        """Return when the process must be ended whether it has finished or not."""
        await self._must_end.wait()

    def close(self) -> None:
        """Forget the timers."""
        for timer in self._timers:
            timer.cancel()


Main = Callable[[Lifetime], Awaitable[None]]


def run(
    role: str,
    main: Main,
    *,
    grace_seconds: float,
    log_level: str = "info",
    log_format: str = "auto",
    ends_on_hangup: bool = False,
) -> int:
    """Run `main` as a process of its own until it returns, and return the exit code.

    SIGTERM and SIGINT set `draining`; `main` then finishes and returns. The code is 0 where it
    returned in time, 2 where the configuration is at fault, else 1; every end but the first is
    one line in the log. SIGHUP rings `Lifetime.hangup`, or begins a drain too where it `ends_on_hangup`.
    """
    logs.configure(role, log_level, log_format)
    _spare_collections()
    with _signals_of_children_blocked(), asyncio.Runner(loop_factory=new_event_loop) as runner:
        code = runner.run(_live(role, main, grace_seconds, ends_on_hangup=ends_on_hangup))
        run_file.withdraw()
        # The runner waits for tasks and threads that are left. One that swallows its cancellation,
        # or asks a dead name server, would hold the process until it is killed without a word.
        watchdog = threading.Timer(_UNWIND_SECONDS, os._exit, (code,))
        watchdog.daemon = True
        watchdog.start()
    watchdog.cancel()
    return code


@contextlib.contextmanager
def _signals_of_children_blocked() -> Iterator[None]:
    """Leave Ctrl-C and the end of a terminal to `up`, where it started this process.

    They go to the whole group: without this the services would drain in the same instant as
    their parent, which must end them before it ends Valkey. `up` blocks them from the start;
    this holds also where whatever spawned the process has reset its mask.
    """
    if run_file.run_file() is None:
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _spare_collections() -> None:
    """Let the collector of cycles look seldom, and not at what was there at the start.

    Requests and messages make hundreds of objects each and hardly a cycle: with the defaults a
    tenth of a busy frontend goes into looking for some.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION, 20, 50)


async def _live(role: str, main: Main, grace_seconds: float, *, ends_on_hangup: bool) -> int:
    lifetime = Lifetime(role, grace_seconds)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_callback_failure)
    # Handlers must be set even for the defaults: the kernel lets process 1 ignore every signal it does not handle.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lifetime.stop, number.name)
    loop.add_signal_handler(signal.SIGHUP, *((lifetime.stop, "SIGHUP") if ends_on_hangup else (lifetime.hangup.ring,)))
    log.info("process_started", pid=os.getpid())
    work = asyncio.ensure_future(_as_coroutine(main, lifetime))
    overrun = asyncio.ensure_future(lifetime.overrun())
    try:
        await asyncio.wait({work, overrun}, return_when=asyncio.FIRST_COMPLETED)
        return _verdict(work) if work.done() else _broken_off()
    finally:
        overrun.cancel()
        lifetime.close()


async def _as_coroutine(main: Main, lifetime: Lifetime) -> None:
    await main(lifetime)


def _broken_off() -> int:
    """Give up on what did not drain in time; the runner cancels it, and leases that run out bring the mail back."""
    log.error("drain_overran", detail="the grace period is over and work is still held; its leases will run out")
    return EXIT_FAILED


def _verdict(work: asyncio.Future[None]) -> int:
    if work.cancelled():
        log.error("process_failed", error="cancelled from inside")
        return EXIT_FAILED
    error = work.exception()
    if error is None:
        log.info("process_stopped")
        return EXIT_DONE
    if isinstance(error, ConfigurationError):
        log_refusal(error)
        return EXIT_CONFIGURATION
    # An error of ours names its cause and its cure; anything else is a defect, and the stack is its only trace.
    stack = None if isinstance(error, ReliableEmailError) else error
    log.error("process_failed", error=f"{type(error).__name__}: {error}", exc_info=stack)
    return EXIT_FAILED


def log_refusal(error: ConfigurationError) -> None:
    """Write one line for each fault of a configuration."""
    for fault in error.faults:
        log.error("configuration_refused", where=fault.where, code=fault.code, detail=fault.detail)


def _log_callback_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    log.error("callback_failed", detail=str(context.get("message")), exc_info=context.get("exception"))
