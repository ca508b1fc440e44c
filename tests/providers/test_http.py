"""The HTTP transport against a server that breaks off on cue: how far did the exchange come?"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from services.sender.transport import http
from services.sender.transport.http import HttpConnections, HttpTransport
from shared.domain.secret import Secret
from shared.providers.interface import AwsSignature, HttpRequest, Phase, Reply
from tests.fakes.certificate import make_certificate, server_context
from tests.fakes.http_server import CLOSE, DEAF, DRIP, HANG, PASS, RESET, Act, HttpServer, Say, answer

#: More than all buffers between the two ends hold, so that a server that stops reading stops the writer.
LARGE = b"x" * (16 << 20)


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer() as running:
        yield running


@pytest.fixture
async def connections() -> AsyncIterator[HttpConnections]:
    opened = HttpConnections()
    yield opened
    await opened.close()


@pytest.fixture
def transport(connections: HttpConnections) -> HttpTransport:
    return patient(connections)


def patient(connections: HttpConnections, *, connect_seconds: float = 30, answer_seconds: float = 30) -> HttpTransport:
    return HttpTransport(connections, connect_seconds=connect_seconds, answer_seconds=answer_seconds)


def post(server: HttpServer, body: bytes = b'{"to": "ada"}', key: str = "secret") -> HttpRequest:
    headers = {"Content-Type": "application/json", "X-Key": key}
    return HttpRequest("POST", f"{server.url}/v1/send?a=%2F", headers, body)


def end(reply: Reply) -> tuple[Phase, str]:
    return reply.phase, reply.error_kind


def open_ones(connections: HttpConnections) -> list[Any]:
    """Return the idle connections that this side believes to be open."""
    connector: Any = connections.session.connector
    return [protocol for idle in connector._conns.values() for protocol, _ in idle if protocol.is_connected()]


def sockets_to(server: HttpServer) -> list[Any]:
    """Return the sockets of this process that lead to the server."""
    sockets = psutil.Process().net_connections("tcp")
    return [entry for entry in sockets if getattr(entry.raddr, "port", None) == server.port]


class TestAnswers:
    async def test_carries_method_target_headers_and_body_as_they_are(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        await transport.exchange(post(server, b"\x00body"))

        (request,) = server.requests
        assert (request.method, request.target, request.body) == ("POST", "/v1/send?a=%2F", b"\x00body")
        assert {"x-key": "secret", "content-type": "application/json", "content-length": "5"}.items() <= (
            request.headers.items()
        )

    async def test_brings_back_status_headers_and_body(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", answer("429 Too Many Requests", b"later", "Retry-After: 7", "X-Two: a"))
        reply = await transport.exchange(post(server))

        assert (reply.phase, reply.status, reply.body, reply.error) == (Phase.ANSWERED, 429, b"later", "")
        assert {"retry-after": "7", "x-two": "a"}.items() <= reply.headers.items()

    async def test_notes_when_it_was_answered(
        self, server: HttpServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http.time, "time", lambda: 1_795_000_000.25)  # type: ignore[attr-defined]  # an import

        assert (await transport.exchange(post(server))).at == 1_795_000_000_250

    async def test_names_itself(self, server: HttpServer, transport: HttpTransport) -> None:
        await transport.exchange(post(server))

        assert server.requests[0].headers["user-agent"].startswith("reliable-email/")

    async def test_a_request_without_a_body_has_none(self, server: HttpServer, transport: HttpTransport) -> None:
        reply = await transport.exchange(HttpRequest("GET", f"{server.url}/operations/1"))

        assert (reply.status, "content-length" in server.requests[0].headers) == (200, False)

    @pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 200_000, 5 << 20])
    async def test_a_body_of_any_size_arrives_whole(
        self, size: int, server: HttpServer, transport: HttpTransport
    ) -> None:
        body = bytes(range(251)) * (size // 251 + 1)
        await transport.exchange(post(server, body[:size]))

        assert server.requests[0].body == body[:size]

    async def test_a_redirect_is_an_answer_and_not_followed(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", answer("307 Temporary Redirect", b"", f"Location: {server.url}/elsewhere"))
        reply = await transport.exchange(post(server))

        assert (reply.status, len(server.requests)) == (307, 1)

    async def test_a_cookie_does_not_come_back(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", answer("200 OK", b"{}", "Set-Cookie: a=b; Path=/"))
        await transport.exchange(post(server))
        await transport.exchange(post(server))

        assert "cookie" not in server.requests[1].headers

    async def test_a_proxy_in_the_environment_is_not_asked(
        self, server: HttpServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

        assert (await transport.exchange(post(server))).status == 200

    async def test_a_compressed_answer_is_not_asked_for_and_understood(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("answer", answer("200 OK", gzip.compress(b'{"id": "a"}'), "Content-Encoding: gzip"))
        reply = await transport.exchange(post(server))

        assert (reply.body, server.requests[0].headers["accept-encoding"]) == (b'{"id": "a"}', "identity")

    async def test_an_answer_to_half_a_request_is_an_answer(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("body", answer("413 Content Too Large", b"too much", "Connection: close", then=DEAF))
        reply = await transport.exchange(post(server, LARGE))

        assert (reply.phase, reply.status, reply.body) == (Phase.ANSWERED, 413, b"too much")

    async def test_an_interim_answer_is_none(self, server: HttpServer, transport: HttpTransport) -> None:
        final = answer("200 OK", b"done").data
        server.plan("answer", Say(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + final))

        assert (await transport.exchange(post(server))).body == b"done"


class TestConnect:
    async def test_refused(self, server: HttpServer, transport: HttpTransport) -> None:
        await server.refuse()
        reply = await transport.exchange(post(server))

        assert end(reply) == (Phase.CONNECT, "refused")
        assert reply.error

    async def test_a_name_that_does_not_exist(
        self, server: HttpServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(*_: Any, **__: Any) -> None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)

        assert end(await transport.exchange(post(server))) == (Phase.CONNECT, "dns")

    async def test_a_resolver_that_hangs(
        self, server: HttpServer, connections: HttpConnections, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        over = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(60) and [])
        reply = await patient(connections, connect_seconds=0.05).exchange(post(server))
        over.set()

        assert (*end(reply), reply.error) == (Phase.CONNECT, "timeout", "no connection in time")

    async def test_a_handshake_that_hangs(self, server: HttpServer, connections: HttpConnections) -> None:
        server.plan("accept", HANG)
        request = HttpRequest("POST", f"https://localhost:{server.port}/", {}, b"{}")

        reply = await patient(connections, connect_seconds=0.05).exchange(request)

        assert end(reply) == (Phase.CONNECT, "timeout")
        await server.all_gone()

    async def test_a_handshake_with_a_server_that_speaks_no_tls(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("accept", Say(b"HTTP/1.1 400 Bad Request\r\n\r\n", CLOSE))
        reply = await transport.exchange(HttpRequest("POST", f"https://localhost:{server.port}/", {}, b"{}"))

        assert end(reply) == (Phase.CONNECT, "tls")

    async def test_a_handshake_that_is_reset(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("accept", RESET)
        reply = await transport.exchange(HttpRequest("POST", f"https://localhost:{server.port}/", {}, b"{}"))

        assert end(reply) == (Phase.CONNECT, "reset")

    async def test_a_header_that_cannot_be_written_leaves_nothing(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        reply = await transport.exchange(post(server, key="a\r\nBcc: evil"))

        assert (reply.phase, server.requests) == (Phase.SENDING, [])

    async def test_an_address_that_is_none(self, transport: HttpTransport) -> None:
        assert (await transport.exchange(HttpRequest("POST", "https://", {}, b"{}"))).phase is Phase.CONNECT


class TestTls:
    @pytest.fixture
    async def trusting(self, certificate: tuple[Path, Path]) -> AsyncIterator[HttpConnections]:
        opened = HttpConnections(ssl.create_default_context(cafile=str(certificate[0])))
        yield opened
        await opened.close()

    async def test_a_server_that_proves_itself_is_spoken_to(
        self, certificate: tuple[Path, Path], trusting: HttpConnections
    ) -> None:
        async with HttpServer(tls=server_context(*certificate)) as server:
            assert (await patient(trusting).exchange(post(server))).status == 200

    async def test_one_that_nobody_vouches_for_is_not(
        self, certificate: tuple[Path, Path], transport: HttpTransport
    ) -> None:
        async with HttpServer(tls=server_context(*certificate)) as server:
            reply = await transport.exchange(post(server))

        assert (*end(reply), server.requests) == (Phase.CONNECT, "certificate", [])

    async def test_nor_is_one_with_the_certificate_of_another(self, tmp_path: Path) -> None:
        files = make_certificate(tmp_path, "DNS:elsewhere.test")
        connections = HttpConnections(ssl.create_default_context(cafile=str(files[0])))
        async with HttpServer(tls=server_context(*files)) as server:
            reply = await patient(connections).exchange(post(server))
        await connections.close()

        assert (*end(reply), server.requests) == (Phase.CONNECT, "certificate", [])

    @pytest.mark.parametrize("act", [CLOSE, RESET])
    async def test_an_answer_that_is_lost_leaves_doubt(
        self, act: Act, certificate: tuple[Path, Path], trusting: HttpConnections
    ) -> None:
        async with HttpServer(tls=server_context(*certificate)) as server:
            server.plan("answer", act)
            reply = await patient(trusting).exchange(post(server))

        assert end(reply) == (Phase.SENT, "reset")

    async def test_a_large_request_cut_off_in_its_middle_was_not_taken(
        self, certificate: tuple[Path, Path], trusting: HttpConnections
    ) -> None:
        async with HttpServer(tls=server_context(*certificate)) as server:
            server.plan("body", RESET)
            reply = await patient(trusting).exchange(post(server, LARGE))

        assert (*end(reply), server.requests) == (Phase.SENDING, "reset", [])


class TestSending:
    @pytest.mark.parametrize("stage", ["head", "body"])
    async def test_a_large_request_cut_off_in_its_middle_was_not_taken(
        self, stage: str, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan(stage, RESET)
        reply = await transport.exchange(post(server, LARGE))

        assert (*end(reply), server.requests) == (Phase.SENDING, "reset", [])

    async def test_nor_was_one_that_the_server_stops_reading(
        self, server: HttpServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "_BLOCK_SECONDS", 0.05)
        server.plan("body", DEAF)
        reply = await transport.exchange(post(server, LARGE))

        assert (*end(reply), reply.error) == (Phase.SENDING, "timeout", "the service does not take the request")

    @pytest.mark.parametrize("stage", ["head", "body"])
    async def test_a_small_request_cut_off_while_it_was_read_leaves_doubt(
        self, stage: str, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan(stage, RESET)

        assert end(await transport.exchange(post(server))) == (Phase.SENT, "reset")


class TestSent:
    @pytest.mark.parametrize("act", [CLOSE, RESET])
    @pytest.mark.parametrize("body", [b"{}", LARGE])
    async def test_no_answer_to_a_complete_request_leaves_doubt(
        self, act: Act, body: bytes, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("answer", act)

        assert end(await transport.exchange(post(server, body))) == (Phase.SENT, "reset")

    async def test_an_answer_that_does_not_come_in_time(self, server: HttpServer, connections: HttpConnections) -> None:
        server.plan("answer", HANG)
        reply = await patient(connections, answer_seconds=0.05).exchange(post(server))

        assert (*end(reply), reply.error) == (Phase.SENT, "timeout", "no answer in time")
        await server.all_gone()

    async def test_nor_to_a_request_without_a_body(self, server: HttpServer, connections: HttpConnections) -> None:
        server.plan("answer", HANG)
        reply = await patient(connections, answer_seconds=0.05).exchange(HttpRequest("GET", server.url))

        assert end(reply) == (Phase.SENT, "timeout")

    async def test_an_answer_that_drips_is_not_waited_for_longer(
        self, server: HttpServer, connections: HttpConnections
    ) -> None:
        server.plan("answer", Say(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", DRIP))
        reply = await patient(connections, answer_seconds=0.1).exchange(post(server))

        assert end(reply) == (Phase.SENT, "timeout")

    @pytest.mark.parametrize("act", [CLOSE, RESET])
    @pytest.mark.parametrize(
        "half",
        [
            b"HTTP/1.1 200 O",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"id": "ab',
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"id"\r\n',
        ],
    )
    async def test_half_an_answer_is_none(
        self, half: bytes, act: Act, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("answer", Say(half, act))

        assert end(await transport.exchange(post(server))) == (Phase.SENT, "reset")

    @pytest.mark.parametrize(
        "garbage",
        [
            b"220 mail.example.com ESMTP\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 100_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ],
    )
    async def test_an_answer_that_is_no_http_leaves_doubt(
        self, garbage: bytes, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("answer", Say(garbage, CLOSE))
        reply = await transport.exchange(post(server))

        assert reply.phase is Phase.SENT
        assert reply.error

    async def test_an_answer_without_end_is_not_read_to_it(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", Say(b"HTTP/1.1 403 Forbidden\r\n\r\n" + b"x" * ((1 << 20) + 1), HANG))
        reply = await transport.exchange(post(server))

        assert (*end(reply), reply.error) == (Phase.SENT, "io", "an answer (HTTP 403) of more than 1048576 bytes")

    async def test_nor_is_one_that_unfolds(self, server: HttpServer, transport: HttpTransport) -> None:
        bomb = gzip.compress(bytes(64 << 20))
        server.plan("answer", answer("200 OK", bomb, "Content-Encoding: gzip"))

        assert end(await transport.exchange(post(server))) == (Phase.SENT, "io")

    async def test_the_longest_answer_is_taken(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", answer("200 OK", b"x" * (1 << 20)))

        assert len((await transport.exchange(post(server))).body) == 1 << 20

    async def test_nothing_is_sent_twice_without_being_asked_to(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("answer", PASS, CLOSE)
        await transport.exchange(post(server))
        await transport.exchange(post(server))

        assert len(server.requests) == 2


class TestConnections:
    async def test_requests_follow_each_other_on_one(self, server: HttpServer, transport: HttpTransport) -> None:
        for _ in range(3):
            await transport.exchange(post(server))

        assert [request.connection for request in server.requests] == [1, 1, 1]

    async def test_all_providers_share_them(self, server: HttpServer, connections: HttpConnections) -> None:
        await patient(connections).exchange(post(server))
        await patient(connections).exchange(post(server))

        assert server.connections == 1

    async def test_as_many_as_needed_are_opened(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", *[HANG] * 150)
        exchanges = [asyncio.create_task(transport.exchange(post(server))) for _ in range(150)]
        await server.at("answer", 150)

        assert server.connections == 150
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.wait(exchanges)

    async def test_one_that_the_server_closed_while_it_was_idle_is_not_used(
        self, server: HttpServer, connections: HttpConnections
    ) -> None:
        transport = patient(connections)
        server.plan("answer", answer("200 OK", b"{}", then=CLOSE))
        await transport.exchange(post(server))
        while open_ones(connections):  # noqa: ASYNC110 - aiohttp tells nobody
            await asyncio.sleep(0)  # until this side has heard of it

        assert (await transport.exchange(post(server))).status == 200

    async def test_one_that_is_closed_in_the_moment_of_its_use_leaves_doubt(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("head", PASS, RESET)
        await transport.exchange(post(server))

        assert end(await transport.exchange(post(server))) == (Phase.SENT, "reset")
        assert server.connections == 1

    async def test_an_idle_one_is_left_soon(self, server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "_IDLE_SECONDS", 0.01)
        connections = HttpConnections()
        await patient(connections).exchange(post(server))

        await server.all_gone()
        await connections.close()

    @pytest.mark.parametrize("stage", ["answer", "body"])
    async def test_one_that_broke_off_is_not_used_again(
        self, stage: str, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan(stage, Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1", RESET))
        await transport.exchange(post(server))
        await transport.exchange(post(server))

        assert server.requests[-1].connection == 2

    async def test_closing_lets_them_go(self, server: HttpServer) -> None:
        connections = HttpConnections()
        await patient(connections).exchange(post(server))
        await connections.close()

        await server.all_gone()


class TestCancellation:
    @pytest.mark.parametrize("stage", ["head", "body", "answer"])
    async def test_a_cancelled_exchange_closes_its_connection(
        self, stage: str, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan(stage, HANG)
        exchange = asyncio.create_task(transport.exchange(post(server)))
        await server.at(stage)
        exchange.cancel()

        with pytest.raises(asyncio.CancelledError):
            await exchange
        await server.all_gone()

    async def test_one_in_the_middle_of_a_body_is_not_written_further(
        self, server: HttpServer, transport: HttpTransport
    ) -> None:
        server.plan("body", DEAF)
        exchange = asyncio.create_task(transport.exchange(post(server, LARGE)))
        await server.at("body")
        exchange.cancel()

        with pytest.raises(asyncio.CancelledError):
            await exchange
        while sockets_to(server):  # noqa: ASYNC110 - the system tells nobody
            await asyncio.sleep(0)

    async def test_it_leaves_the_others_alone(self, server: HttpServer, transport: HttpTransport) -> None:
        server.plan("answer", HANG)
        cancelled = asyncio.create_task(transport.exchange(post(server)))
        await server.at("answer")
        other = asyncio.create_task(transport.exchange(post(server)))
        cancelled.cancel()

        assert (await other).status == 200


class Writer:
    """What aiohttp gives a body to write to. Each block undoes the limit, so that the next step must set it again."""

    transport = None

    def __init__(self, progress: http._Progress, *, breaks_at: int = 99) -> None:
        self.progress = progress
        self.breaks_at = breaks_at
        self.limits: list[float | None] = []

    async def write(self, _: bytes, *, drain: bool) -> None:
        assert not drain
        self.limits.append(self.progress.limit.when())
        if len(self.limits) == self.breaks_at:
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")
        self.progress.limit.reschedule(None)

    async def drain(self) -> None:
        """Wait for nothing."""


class TestBody:
    async def test_each_block_has_its_own_time(self) -> None:
        async with asyncio.timeout(60) as limit:
            progress = http._Progress(limit, 30, has_body=True)
            writer = Writer(progress)
            await body_of_three_blocks(progress).write(writer)  # type: ignore[arg-type]  # as much of one as is used

        assert (None in writer.limits, len(writer.limits), progress.phase) == (False, 3, Phase.SENT)

    async def test_a_last_block_that_was_not_taken_leaves_no_doubt(self) -> None:
        async with asyncio.timeout(60) as limit:
            progress = http._Progress(limit, 30, has_body=True)
            writer = Writer(progress, breaks_at=3)
            with pytest.raises(aiohttp.ClientError):
                await body_of_three_blocks(progress).write(writer)  # type: ignore[arg-type]  # likewise

        assert progress.phase is Phase.SENDING

    async def test_a_step_beyond_the_limit_moves_it_no_more(self) -> None:
        limit = asyncio.timeout(0)
        with pytest.raises(TimeoutError):
            async with limit:
                await asyncio.Event().wait()
        progress = http._Progress(limit, 30, has_body=True)
        progress.written()

        assert progress.phase is Phase.SENT


def body_of_three_blocks(progress: http._Progress) -> http._Body:
    return http._Body(b"x" * (2 * http._BLOCK_BYTES + 1), progress)


@pytest.mark.parametrize(("size", "is_beside"), [(1_000, False), (300_000, True)])
async def test_a_large_request_is_signed_beside_the_event_loop(
    size: int, is_beside: bool, server: HttpServer, transport: HttpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def note(request: HttpRequest, _: AwsSignature) -> Any:
        threads.append(threading.current_thread())
        return request.headers

    monkeypatch.setattr(http, "signed", note)
    signature = AwsSignature("ses", "eu-west-1", Secret("id"), Secret("key"))
    await transport.exchange(replace(post(server, b"x" * size), signature=signature))

    assert [thread is not threading.main_thread() for thread in threads] == [is_beside]
