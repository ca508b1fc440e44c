"""The outbox on a real disk: what is under its name is complete and stays there."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.sender.transport import durable_files
from services.sender.transport.durable_files import write_durably
from services.sender.transport.outbox import OutboxTransport
from shared.providers.interface import FileWrite, Phase, Reply


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "outbox"


@pytest.fixture
def made(folder: Path) -> Path:
    """The folder, made before."""
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
async def transport() -> AsyncIterator[OutboxTransport]:
    opened = OutboxTransport()
    yield opened
    await opened.close()


DESCRIPTORS = Path("/proc/self/fd")
on_linux = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="asks Linux what a descriptor stands for")


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is flushed to the disk and what is renamed, in order, by name."""
    steps: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def record_flush(descriptor: int) -> None:
        fsync(descriptor)
        steps.append(f"flush {(DESCRIPTORS / str(descriptor)).readlink().name}")

    def record_rename(self: Path, target: Path) -> Path:
        steps.append(f"show {target.name}")
        return rename(self, target)

    monkeypatch.setattr(durable_files.os, "fsync", record_flush)  # type: ignore[attr-defined]  # a module's import
    monkeypatch.setattr(Path, "replace", record_rename)
    return steps


def file(folder: Path, number: int = 1, data: bytes = b"Subject: x\r\n\r\nbody\r\n") -> FileWrite:
    return FileWrite(str(folder), f"msg_{number}.eml", data)


def failing_at(monkeypatch: pytest.MonkeyPatch, which: Callable[[int], bool], code: int = errno.EIO) -> None:
    """Let the flush of a descriptor fail."""
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if which(descriptor):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(durable_files.os, "fsync", fail)  # type: ignore[attr-defined]  # a module's import


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def is_folder(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


async def test_a_file_is_there_when_the_answer_comes(transport: OutboxTransport, folder: Path) -> None:
    request = file(folder)

    assert await transport.exchange(request) == Reply(Phase.ANSWERED)
    assert (folder / "msg_1.eml").read_bytes() == request.data


async def test_nothing_else_is_left_in_the_folder(transport: OutboxTransport, folder: Path) -> None:
    await asyncio.gather(*(transport.exchange(file(folder, number)) for number in range(20)))

    assert names(folder) == {f"msg_{number}.eml" for number in range(20)}


async def test_only_its_owner_reads_mail(transport: OutboxTransport, folder: Path) -> None:
    await transport.exchange(file(folder))

    assert stat.S_IMODE((folder / "msg_1.eml").stat().st_mode) == 0o600


async def test_a_second_try_replaces_the_first(transport: OutboxTransport, folder: Path) -> None:
    await transport.exchange(file(folder, data=b"first"))
    await transport.exchange(file(folder, data=b"second"))

    assert (folder / "msg_1.eml").read_bytes() == b"second"


async def test_the_same_name_twice_at_once_is_no_error(transport: OutboxTransport, folder: Path) -> None:
    replies = await asyncio.gather(*(transport.exchange(file(folder)) for _ in range(3)))

    assert replies == [Reply(Phase.ANSWERED)] * 3


@on_linux
async def test_content_is_flushed_before_the_name_and_the_name_before_the_answer(
    transport: OutboxTransport, made: Path, flushed: list[str]
) -> None:
    await transport.exchange(file(made))

    content, name, directory = flushed
    assert content.startswith("flush .msg_1.eml.")
    assert (name, directory) == ("show msg_1.eml", "flush outbox")


@on_linux
async def test_new_folders_are_flushed_too(transport: OutboxTransport, folder: Path, flushed: list[str]) -> None:
    await transport.exchange(file(folder))

    assert flushed[:2] == [f"flush {folder.parent.parent.name}", f"flush {folder.parent.name}"]


@on_linux
async def test_concurrent_files_share_the_flush_of_their_folder(
    transport: OutboxTransport, made: Path, flushed: list[str]
) -> None:
    await asyncio.gather(*(transport.exchange(file(made, number)) for number in range(50)))

    assert flushed.count("flush outbox") == 1


@on_linux
async def test_large_files_are_not_gathered_without_limit(
    transport: OutboxTransport, made: Path, flushed: list[str]
) -> None:
    await asyncio.gather(*(transport.exchange(file(made, number, bytes(9 << 20))) for number in range(3)))

    assert flushed.count("flush outbox") == 3


async def test_a_file_that_cannot_be_flushed_is_not_shown(
    transport: OutboxTransport, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at(monkeypatch, lambda descriptor: not is_folder(descriptor), errno.ENOSPC)
    reply = await transport.exchange(file(folder))

    assert (reply.phase, reply.error_kind) == (Phase.SENDING, "io")
    assert "No space left on device" in reply.error
    assert names(folder) == set()


async def test_a_name_that_cannot_be_flushed_is_no_success(
    transport: OutboxTransport, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_at(monkeypatch, is_folder)
    replies = await asyncio.gather(*(transport.exchange(file(made, number)) for number in range(3)))

    assert {reply.phase for reply in replies} == {Phase.SENDING}


async def test_one_bad_file_does_not_spoil_its_batch(transport: OutboxTransport, folder: Path) -> None:
    (folder / "msg_1.eml").mkdir(parents=True)
    replies = await asyncio.gather(*(transport.exchange(file(folder, number)) for number in range(3)))

    assert [reply.phase for reply in replies] == [Phase.ANSWERED, Phase.SENDING, Phase.ANSWERED]


async def test_one_bad_folder_does_not_spoil_another(transport: OutboxTransport, folder: Path) -> None:
    folder.parent.mkdir()
    (folder.parent / "taken").write_bytes(b"")
    replies = await asyncio.gather(transport.exchange(file(folder.parent / "taken")), transport.exchange(file(folder)))

    assert [reply.phase for reply in replies] == [Phase.SENDING, Phase.ANSWERED]


async def test_a_cancelled_caller_does_not_stop_the_others(transport: OutboxTransport, folder: Path) -> None:
    first = asyncio.create_task(transport.exchange(file(folder, 1)))
    second = asyncio.create_task(transport.exchange(file(folder, 2)))
    await asyncio.sleep(0)
    first.cancel()

    assert await second == Reply(Phase.ANSWERED)


async def test_close_waits_for_what_is_being_written(folder: Path) -> None:
    transport = OutboxTransport()
    written = asyncio.create_task(transport.exchange(file(folder)))
    await asyncio.sleep(0)
    await transport.close()

    assert (folder / "msg_1.eml").exists()
    assert await written == Reply(Phase.ANSWERED)


@on_linux
def test_a_broken_disk_leaves_no_descriptor_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_at(monkeypatch, lambda _: True)
    with ThreadPoolExecutor(1) as flushers:
        before = len(names(DESCRIPTORS))
        write_durably([file(folder, number) for number in range(5)], flushers)
        after = len(names(DESCRIPTORS))

    assert after == before
