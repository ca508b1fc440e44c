"""Changes the queue's scripts on purpose, one small change at a time, and lists those that no test notices.

    python -m tests.queue.mutate                      every script: half an hour on two cores
    python -m tests.queue.mutate settle _places       some scripts
    python -m tests.queue.mutate --sample 15 --seed 7 a few changes, chosen by the seed
    python -m tests.queue.mutate --list               the changes themselves

What no test can notice, because it means the same, stands with its reason in `mutants.toml`. Any
other change that survives fails the run; so does an entry there that no longer survives. The tests
are collected once; each change is judged in a fork, on a server that is kept, by those tests alone
that call a changed script, and first by the test that noticed the last one.
"""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import Final, NoReturn

import pytest
import redis

from shared.queue.script import Scripts, names, source_of
from tests.queue.conftest import CHANGED_SCRIPTS, SERVER_PORT
from tests.queue.lua import Change, changes
from tests.redis_server import IN_MEMORY, RedisServer

HERE: Final = Path(__file__).parent
LISTED: Final = HERE / "mutants.toml"
#: A change that makes a script run for ever is noticed by the server, and by this, in one test.
SECONDS: Final = 30
PATIENCE: Final = ("--busy-reply-threshold", "300")
OPTIONS: Final = (
    *("-x", "-o", "addopts=", "-W", "ignore:Module already imported"),
    *("-p", "no:terminal", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"),
)
NOWHERE: Final = os.open(os.devnull, os.O_WRONLY)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed file of the scripts."""

    file: str
    change: Change

    @property
    def source(self) -> str:
        """The changed text."""
        return self.change.applied_to(source_of(self.file))

    def __str__(self) -> str:
        return f"{self.file}.lua:{self.change.line}: {self.change.name}"


def files() -> list[str]:
    """Return the names of all scripts and fragments."""
    folder = resources.files("shared.queue").joinpath("scripts")
    return sorted(entry.name.removesuffix(".lua") for entry in folder.iterdir() if entry.name.endswith(".lua"))


def mutants_of(chosen: Sequence[str]) -> Iterator[Mutant]:
    """Yield every change of some files."""
    for file in chosen:
        for change in changes(source_of(file)):
            yield Mutant(file, change)


def sample(mutants: list[Mutant], number: int, seed: str) -> list[Mutant]:
    """Return a few mutants; the seed alone decides which."""
    return sorted(mutants, key=lambda mutant: sha256(f"{seed}\0{mutant}".encode()).digest())[:number]


def users_of(file: str) -> frozenset[str]:
    """Return the scripts that a change of `file` changes."""
    if not file.startswith("_"):
        return frozenset({file})
    return frozenset(name for name in names() if f" {file}" in _uses(name))


def _uses(name: str) -> str:
    return next(line for line in source_of(name).splitlines() if line.startswith("-- uses")) + " "


class Desk:
    """One server, and the folder of the scripts that are changed on it."""

    def __init__(self, folder: Path) -> None:
        self.scripts = folder / "scripts"
        self.scripts.mkdir(parents=True)
        self._server = RedisServer(folder / "server", *IN_MEMORY, *PATIENCE)
        self._server.start()

    def lay_out(self, mutant: Mutant | None) -> None:
        """Change one script, and clear the server of what was there before."""
        for file in self.scripts.iterdir():
            file.unlink()
        if mutant is not None:
            (self.scripts / f"{mutant.file}.lua").write_text(mutant.source)
        try:
            self._server.command("FLUSHALL")
            self._server.command("CONFIG", "SET", "maxmemory", "0")
        except redis.RedisError:  # a script that never ends
            self._server.kill()
            self._server.start()

    def prepare_child(self) -> None:
        """Let the tests of this process use the server and the changed script."""
        os.environ[SERVER_PORT] = str(self._server.port)
        os.environ[CHANGED_SCRIPTS] = str(self.scripts)

    def close(self) -> None:
        """Stop the server."""
        self._server.kill()


@dataclass(slots=True)
class Judge:
    """A plug-in of pytest that judges mutants by the tests it collected."""

    mutants: Sequence[Mutant]
    desks: Sequence[Desk]
    survivors: list[Mutant] = field(default_factory=list)
    tried: int = 0
    _calls: dict[str, frozenset[str]] = field(default_factory=dict)
    _killers: list[str] = field(default_factory=list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Ask only tests that open a queue on the one server that is kept."""
        fixtures = {item: set(getattr(item, "fixturenames", ())) for item in items}
        items[:] = [item for item in items if "open_queue" in fixtures[item] and "cluster" not in fixtures[item]]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge instead of running the tests."""
        if session.testsfailed:
            sys.exit("the tests cannot be collected")
        self._learn_calls(session)
        free, running = list(self.desks), dict[int, tuple[Mutant, Desk, int]]()
        left = list(reversed(self.mutants))
        while left or running:
            while left and free:
                mutant, desk = left.pop(), free.pop()
                desk.lay_out(mutant)
                child, told = self._fork(desk, partial(self._run, session, self._items_for(session, mutant)))
                running[child] = (mutant, desk, told)
            child, status = os.wait()
            mutant, desk, told = running.pop(child)
            free.append(desk)
            self._note(mutant, survived=os.waitstatus_to_exitcode(status) == 0, killer=_read(told))
        return True

    def _note(self, mutant: Mutant, *, survived: bool, killer: str) -> None:
        self.tried += 1
        if survived:
            self.survivors.append(mutant)
            print(f"survives: {mutant}", flush=True)
        elif killer:
            if killer in self._killers:
                self._killers.remove(killer)
            self._killers.append(killer)
        if self.tried % 100 == 0:
            print(f"{self.tried} of {len(self.mutants)} changes", flush=True)

    def _items_for(self, session: pytest.Session, mutant: Mutant) -> list[pytest.Item]:
        changed = users_of(mutant.file)
        rank = {name: place for place, name in enumerate(self._killers)}
        own = f"test_{mutant.file}.py"
        items = [item for item in session.items if self._calls[item.nodeid] & changed]
        return sorted(items, key=lambda item: (-rank.get(item.nodeid, -1), item.path.name != own))

    def _learn_calls(self, session: pytest.Session) -> None:
        """Run every test once on what is not changed, and learn which scripts each one calls."""
        self.desks[0].lay_out(None)
        child, told = self._fork(self.desks[0], lambda: self._run_and_tell(session))
        _, status = os.waitpid(child, 0)
        lines = _read(told).splitlines()
        if os.waitstatus_to_exitcode(status) != 0:
            sys.exit(f"the tests fail before anything is changed: {lines[-1:]}")
        for line in lines:
            nodeid, _, called = line.partition("\t")
            self._calls[nodeid] = frozenset(called.split())

    @staticmethod
    def _fork(desk: Desk, work: Callable[[], tuple[bool, str]]) -> tuple[int, int]:
        """Do `work` in a fork; return its process id and a file with what it had to tell."""
        told = os.memfd_create("told")
        child = os.fork()
        if child == 0:
            _work(desk, work, told)
        return child, told

    @staticmethod
    def _run(session: pytest.Session, items: list[pytest.Item]) -> tuple[bool, str]:
        """Run tests until one fails; return whether none did, and the one that did."""
        session.items = items
        for item, following in zip(items, [*items[1:], None], strict=True):
            _end_later()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return False, item.nodeid
        return True, ""

    def _run_and_tell(self, session: pytest.Session) -> tuple[bool, str]:
        told, called = [], set[str]()
        fetch = Scripts.__getitem__

        def fetch_and_note(scripts: Scripts, name: str) -> object:
            called.add(name)
            return fetch(scripts, name)

        Scripts.__getitem__ = fetch_and_note  # type: ignore[method-assign,assignment]  # also notes
        items = session.items
        for item, following in zip(items, [*items[1:], None], strict=True):
            called.clear()
            _end_later()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            told.append(f"{item.nodeid}\t{' '.join(called)}")
            if session.testsfailed:
                return False, item.nodeid
        return True, "\n".join(told)


def _end_later() -> None:
    """End this process if it is still at the same test after a while."""
    faulthandler.dump_traceback_later(SECONDS, exit=True, file=NOWHERE)


def _work(desk: Desk, work: Callable[[], tuple[bool, str]], told: int) -> NoReturn:
    """Do a child's work, silently, and end the child whatever happens."""
    verdict = 1
    try:
        os.dup2(NOWHERE, 1)
        os.dup2(NOWHERE, 2)
        desk.prepare_child()
        passed, words = work()
        os.pwrite(told, words.encode(), 0)
        verdict = not passed
    finally:
        os._exit(verdict)


def _read(file: int) -> str:
    size = os.fstat(file).st_size
    text = os.pread(file, size, 0).decode()
    os.close(file)
    return text


def listed() -> dict[str, dict[str, str]]:
    """Return the changes that mean the same, by file, each with its reason."""
    return tomllib.loads(LISTED.read_text()) if LISTED.exists() else {}


def verdict(tried: Sequence[Mutant], survivors: Sequence[Mutant], known: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what is wrong: survivors without a reason, and reasons without a survivor."""
    survived = {(mutant.file, mutant.change.name) for mutant in survivors}
    killed = {(mutant.file, mutant.change.name) for mutant in tried} - survived
    every = {(mutant.file, mutant.change.name) for mutant in mutants_of(files())}
    reasons = {(file, name) for file, named in known.items() for name in named}
    return [
        *(f"no test notices: {mutant}" for mutant in survivors if (mutant.file, mutant.change.name) not in reasons),
        *(f"listed, but noticed: {file}: {name}" for file, name in sorted(reasons & killed)),
        *(f"listed, but not there: {file}: {name}" for file, name in sorted(reasons - every)),
    ]


def judge(mutants: Sequence[Mutant], workers: int) -> Judge:
    """Judge mutants, as many side by side as there are workers."""
    sys.dont_write_bytecode = True
    tests = [str(file) for file in sorted(HERE.glob("test_*.py"))]
    with tempfile.TemporaryDirectory() as folder:
        desks = [Desk(Path(folder) / str(number)) for number in range(workers)]
        judging = Judge(mutants, desks)
        try:
            pytest.main([*OPTIONS, *tests], plugins=[judging])
        finally:
            for desk in desks:
                desk.close()
    return judging


def main() -> None:
    """Judge what the command line names."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tests.queue.mutate", description=summary)
    parser.add_argument("files", nargs="*", help="scripts and fragments, without .lua (default: all)")
    parser.add_argument("--list", action="store_true", help="only list the changes")
    parser.add_argument("--sample", type=int, help="judge so many, chosen by the seed")
    parser.add_argument("--seed", default=time.strftime("%Y-%m-%d"), help="default: today")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    options = parser.parse_args()
    mutants = list(mutants_of(options.files or files()))
    if options.sample:
        mutants = sample(mutants, options.sample, options.seed)
    if options.list:
        print(*mutants, sep="\n")
        return
    started = time.monotonic()
    judging = judge(mutants, options.workers)
    wrong = verdict(mutants[: judging.tried], judging.survivors, listed())
    print(*wrong, sep="\n")
    print(f"{judging.tried} changes, {len(judging.survivors)} survive, {time.monotonic() - started:.0f} s")
    sys.exit(bool(wrong) or judging.tried < len(mutants))


if __name__ == "__main__":
    main()
