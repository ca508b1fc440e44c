"""How much is received, how long it may take, and in which form it must come."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator

import orjson
import pytest

from services.frontend import bodies, server
from shared.settings.model import LimitsSettings
from tests.services.frontend.running import JSON, Running, Start, eventually, message

BODY = orjson.dumps(message())
HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
ONE_KIB = LimitsSettings(request_megabytes=1 / 1024, attachments_megabytes=0)


async def in_chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"', "application/json ;"],
)
async def test_json_is_taken(frontend: Running, content_type: str) -> None:
    assert (await frontend.post("/v1/messages", BODY, headers={"Content-Type": content_type})).status == 202


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=latin-1",
        "application/merge-patch+json",
        "application/jsonx",
        "application/octet-stream",
        "",
    ],
)
async def test_another_media_type_is_refused(frontend: Running, content_type: str) -> None:
    answer = await frontend.post("/v1/messages", BODY, headers={"Content-Type": content_type})

    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_change_may_be_a_merge_patch(frontend: Running) -> None:
    message_id = await frontend.accepted()

    for content_type in ("application/json", "application/merge-patch+json"):
        answer = await frontend.patch(f"/v1/messages/{message_id}", {}, headers={"Content-Type": content_type})
        assert answer.status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "identity", "x"])
async def test_an_encoded_body_is_refused(frontend: Running, encoding: str) -> None:
    answer = await frontend.post("/v1/messages", BODY, headers={"Content-Encoding": encoding})

    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_a_body_in_chunks_is_taken(frontend: Running) -> None:
    assert (await frontend.call("POST", "/v1/messages", data=in_chunks(BODY[:9], BODY[9:]), headers=JSON)).status == 202


async def test_a_body_that_comes_later_is_taken(frontend: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY))
    await writer.drain()
    await frontend.get("/healthz")  # by now the head has been read
    writer.write(BODY)

    assert (await reader.readline()).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_a_body_that_is_too_large_is_refused_before_it_comes(start: Start) -> None:
    frontend = await start(limits=ONE_KIB)
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Content-Length: 1025\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_body_of_the_largest_size_is_taken(start: Start) -> None:
    frontend = await start(limits=ONE_KIB)
    body = orjson.dumps(message(text="x" * (1024 - len(orjson.dumps(message(text=""))))))

    assert len(body) == 1024
    assert (await frontend.post("/v1/messages", body)).status == 202


async def test_a_body_in_too_many_chunks_is_cut(start: Start) -> None:
    frontend = await start(limits=ONE_KIB)

    answer = await frontend.call("POST", "/v1/messages", data=in_chunks(*[b" " * 600] * 3), headers=JSON)

    assert (answer.status, answer.code) == (413, "too_large")


async def test_a_body_without_an_end_is_cut(start: Start) -> None:
    frontend = await start(limits=ONE_KIB)
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b" " * 1024 + b"\r\n1\r\n \r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_after_a_body_that_is_too_large_the_connection_is_closed(start: Start) -> None:
    frontend = await start(limits=ONE_KIB)

    answer = await frontend.raw(HEAD + b"Content-Length: 1025\r\n\r\n" + b"x" * 1025)

    assert b"Connection: close" in answer


async def test_a_body_that_stalls_is_given_up(frontend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_RECEIVE_SECONDS", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")

    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(frontend: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()

    assert (await frontend.submit()).status == 202


async def test_a_client_that_leaves_after_its_body_has_submitted(frontend: Running) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    await writer.drain()
    writer.close()

    async def is_there() -> bool:
        return bool((await frontend.get("/v1/queue")).body["totals"]["queued"] == 1)

    await eventually(is_there)


async def test_who_asks_first_is_told_to_go_on(frontend: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))

    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(BODY)
    assert (await reader.readline()).startswith(b"HTTP/1.1 202")
    writer.close()


async def test_who_asks_first_for_too_much_is_told_no(start: Start) -> None:
    frontend = await start(limits=ONE_KIB)
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 1025\r\n\r\n")

    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_requests_in_one_go_are_answered_in_their_order(frontend: Running) -> None:
    one = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    last = b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

    answer = await frontend.raw(one + one + last)

    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"202", b"202", b"200"]


async def half_a_body(frontend: Running, size: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send so many bytes of a body of one more, after the frontend has said that it reads them."""
    reader, writer = await asyncio.open_connection("127.0.0.1", frontend.port)
    writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (size + 1))
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b" " * size)
    return reader, writer


async def test_beyond_the_memory_for_all_bodies_a_body_is_refused(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_IN_FLIGHT_BYTES", 1_000)
    frontend = await start()
    _, first = await half_a_body(frontend, 600)
    _, second = await half_a_body(frontend, 200)

    async def is_refused() -> bool:
        # The bytes of the two are there once a third of 201 finds no place.
        return (await frontend.post("/v1/messages", b" " * 201)).status == 503

    await eventually(is_refused)
    answer = await frontend.post("/v1/messages", b" " * 201)
    assert (answer.code, answer.headers["Retry-After"], answer.headers["Connection"]) == ("unavailable", "2", "close")
    assert "Nothing was done" in answer.body["detail"]
    assert (await frontend.submit()).status == 202  # a smaller one finds its place
    first.close()
    second.close()


async def test_a_body_that_comes_in_pieces_is_refused_with_the_piece_that_is_too_much(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_IN_FLIGHT_BYTES", 1_000)
    frontend = await start()
    reader, writer = await half_a_body(frontend, 1_001)

    assert (await reader.readline()).startswith(b"HTTP/1.1 503")
    writer.close()


@pytest.mark.parametrize("ends", ["answered", "refused", "broken off"])
async def test_the_memory_of_a_body_is_given_back_when_its_request_is_over(
    start: Start, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(bodies, "_IN_FLIGHT_BYTES", len(BODY))
    frontend = await start()
    if ends == "broken off":
        _, writer = await half_a_body(frontend, len(BODY))
        writer.close()
    else:
        await frontend.post("/v1/messages", BODY if ends == "answered" else b"[]")

    async def is_taken() -> bool:
        return (await frontend.post("/v1/messages", BODY)).status == 202

    await eventually(is_taken)


async def test_no_more_connections_are_kept_than_there_is_memory_for(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_CONNECTIONS", 2)
    frontend = await start()
    _, writer = await asyncio.open_connection("127.0.0.1", frontend.port)

    async def is_served() -> bool:
        with contextlib.suppress(ConnectionError):
            return bool(await frontend.raw(b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
        return False

    assert (await frontend.get("/v1")).status == 200  # over the connection that the client has kept
    assert not await is_served()
    writer.close()
    await eventually(is_served)


async def test_a_whole_body_of_25_mib_is_read(frontend: Running) -> None:
    body = b'{"text": "' + b"x" * (25 * 1024 * 1024 - 12) + b'"}'

    answer = await frontend.call("POST", "/v1/messages", data=io.BytesIO(body), headers=JSON)

    assert answer.status == 422
    assert ("#/text", "too_large") in answer.faults
