from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.domain.errors import ConfigurationError, Fault, Unavailable
from shared.runtime import logs, process
from shared.runtime.process import EXIT_CONFIGURATION, EXIT_DONE, EXIT_FAILED, Lifetime, Main, run
from shared.runtime.run_file import RUN_FILE_VARIABLE, announce

if TYPE_CHECKING:
    from tests.unit.runtime.conftest import LogFile

HOUSE = Path(__file__).parents[3]
LONG = 3600.0

Run = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture
def lived(configured: Callable[..., LogFile], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a main function as a process would; return its exit code and what it logged."""
    log = configured()
    monkeypatch.setattr(logs, "configure", lambda *_: None)  # it is configured, into the file

    def live(main: Main, grace_seconds: float = LONG, **options: Any) -> tuple[int, list[dict[str, Any]]]:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
        try:
            return run("sender", main, grace_seconds=grace_seconds, **options), log.lines()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return live


def events(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_begins_a_drain_and_a_clean_one_ends_with_0(lived: Run, number: signal.Signals) -> None:
    async def main(lifetime: Lifetime) -> None:
        send(number)
        await lifetime.draining.wait()

    code, lines = lived(main)

    assert code == EXIT_DONE
    assert events(lines) == ["process_started", "drain_started", "process_stopped"]
    assert lines[1]["cause"] == number.name


def test_a_process_that_stops_itself_ends_with_0(lived: Run) -> None:
    async def main(lifetime: Lifetime) -> None:
        lifetime.stop()
        await lifetime.draining.wait()

    assert lived(main)[0] == EXIT_DONE


def test_a_second_signal_ends_the_grace_period_and_lets_the_process_settle(lived: Run) -> None:
    settled: list[bool] = []

    async def main(lifetime: Lifetime) -> None:
        send(signal.SIGTERM)
        await lifetime.draining.wait()
        send(signal.SIGINT)
        await lifetime.grace_over.wait()
        settled.append(lifetime.remaining_seconds() == 0)

    code, lines = lived(main)

    assert (code, settled) == (EXIT_DONE, [True])
    assert "drain_hurried" in events(lines)


def test_a_hangup_asks_for_the_configuration_and_ends_nothing(lived: Run) -> None:
    heard: list[bool] = []

    async def main(lifetime: Lifetime) -> None:
        send(signal.SIGHUP)
        heard.append(await lifetime.hangup.heard(LONG))
        send(signal.SIGTERM)
        await lifetime.draining.wait()

    code, lines = lived(main)

    assert (code, heard) == (EXIT_DONE, [True])
    assert [line["cause"] for line in lines if line["event"] == "drain_started"] == ["SIGTERM"]


def test_a_process_that_asks_for_it_drains_on_hangup(lived: Run) -> None:
    async def main(lifetime: Lifetime) -> None:
        send(signal.SIGHUP)
        await lifetime.draining.wait()

    assert lived(main, ends_on_hangup=True)[0] == EXIT_DONE


def test_a_drain_that_overruns_its_grace_period_is_broken_off_with_1(lived: Run) -> None:
    async def main(lifetime: Lifetime) -> None:
        lifetime.stop()
        await asyncio.Event().wait()

    code, lines = lived(main, grace_seconds=0.01)

    assert code == EXIT_FAILED
    assert "drain_overran" in events(lines)


def test_a_process_that_is_broken_off_may_unwind(lived: Run) -> None:
    unwound: list[bool] = []

    async def main(lifetime: Lifetime) -> None:
        lifetime.stop()
        try:
            await asyncio.Event().wait()
        finally:
            unwound.append(True)

    lived(main, grace_seconds=0.01)

    assert unwound == [True]


def test_a_defect_ends_with_1_and_one_line_with_its_stack(lived: Run) -> None:
    async def main(_lifetime: Lifetime) -> None:
        raise ZeroDivisionError("no")

    code, lines = lived(main)

    assert (code, events(lines)) == (EXIT_FAILED, ["process_started", "process_failed"])
    assert lines[1]["error"] == "ZeroDivisionError: no"
    assert "Traceback" in lines[1]["exception"]


def test_an_error_of_ours_ends_with_1_and_needs_no_stack(lived: Run) -> None:
    async def main(_lifetime: Lifetime) -> None:
        raise Unavailable("Redis does not answer")

    code, lines = lived(main)

    assert code == EXIT_FAILED
    assert lines[1]["error"] == "Unavailable: Redis does not answer"
    assert "exception" not in lines[1]


def test_a_fault_of_the_configuration_ends_with_2_and_a_line_for_each(lived: Run) -> None:
    async def main(_lifetime: Lifetime) -> None:
        raise ConfigurationError((Fault("ops.port", "port_taken", "taken"), Fault("ops.host", "unknown_host", "none")))

    code, lines = lived(main)

    assert code == EXIT_CONFIGURATION
    assert [(line["event"], line["where"]) for line in lines[1:]] == [
        ("configuration_refused", "ops.port"),
        ("configuration_refused", "ops.host"),
    ]


def test_a_main_that_cancels_itself_is_a_failure(lived: Run) -> None:
    async def main(_lifetime: Lifetime) -> None:
        raise asyncio.CancelledError

    assert lived(main)[0] == EXIT_FAILED


def test_a_failed_callback_is_logged(lived: Run) -> None:
    async def main(_lifetime: Lifetime) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)

    assert "callback_failed" in events(lived(main)[1])


def test_the_run_file_is_taken_away_at_the_end(lived: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sender.json"
    monkeypatch.setenv(RUN_FILE_VARIABLE, str(path))
    seen: list[bool] = []

    async def main(_lifetime: Lifetime) -> None:
        announce("sender", {"ops": 9527})
        seen.append(path.exists())

    lived(main)

    assert (seen, path.exists()) == ([True], False)


def test_a_child_of_up_leaves_the_signals_of_the_terminal_to_it(
    lived: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RUN_FILE_VARIABLE, str(tmp_path / "sender.json"))

    async def main(lifetime: Lifetime) -> None:
        send(signal.SIGINT)
        send(signal.SIGTERM)
        await lifetime.draining.wait()
        assert signal.sigpending() == {signal.SIGINT}
        signal.sigwait({signal.SIGINT})  # or it would strike when the mask is put back

    code, lines = lived(main)

    assert code == EXIT_DONE
    assert [line["cause"] for line in lines if line["event"] == "drain_started"] == ["SIGTERM"]


def test_the_mask_of_signals_is_put_back(lived: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_FILE_VARIABLE, str(tmp_path / "sender.json"))

    async def main(_lifetime: Lifetime) -> None:
        return

    lived(main)

    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


STUBBORN = """
    import asyncio, sys
    from shared.runtime import process

    process._UNWIND_SECONDS = 0.05

    async def main(lifetime):
        lifetime.stop()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    sys.exit(process.run("sender", main, grace_seconds=0.01))
"""

BUSY_THREAD = """
    import asyncio, sys, threading
    from shared.runtime import process

    process._UNWIND_SECONDS = 0.05

    async def main(lifetime):
        asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
        await asyncio.sleep(0)

    sys.exit(process.run("sender", main, grace_seconds=60))
"""


@pytest.mark.parametrize(("program", "code"), [(STUBBORN, EXIT_FAILED), (BUSY_THREAD, EXIT_DONE)])
def test_a_task_or_a_thread_that_never_ends_cannot_hold_the_process(program: str, code: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=HOUSE, capture_output=True, check=False
    )

    assert ended.returncode == code, ended.stderr.decode()


def test_a_crash_shows_no_stack_at_a_terminal(tmp_path: Path) -> None:
    program = """
        import sys
        from shared.runtime import process

        async def main(lifetime):
            raise ZeroDivisionError("no")

        sys.exit(process.run("sender", main, grace_seconds=1, log_format="pretty"))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=HOUSE, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ended.returncode == EXIT_FAILED
    assert "ZeroDivisionError: no" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_before_a_drain_there_is_all_the_time() -> None:
    assert Lifetime("sender", 30).remaining_seconds() == float("inf")


async def test_a_part_of_the_grace_period_is_kept_for_settling() -> None:
    lifetime = Lifetime("sender", 30)
    lifetime.stop()
    remaining = lifetime.remaining_seconds()
    lifetime.close()

    assert 26 < remaining <= 30 - process._SETTLE_SECONDS


async def test_what_finishes_within_grace_is_told_from_what_does_not() -> None:
    lifetime = Lifetime("sender", LONG)
    done = asyncio.Event()
    done.set()
    lifetime.stop()
    in_time = await lifetime.within_grace(done)
    lifetime.stop()
    too_late = await lifetime.within_grace(asyncio.Event())
    lifetime.close()

    assert (in_time, too_late) == (True, False)


async def test_without_any_grace_a_drain_is_over_at_once() -> None:
    lifetime = Lifetime("sender", 0)
    lifetime.stop()
    lifetime.close()

    assert lifetime.grace_over.is_set()
