"""Request bodies: received within a size and a time, parsed as JSON, judged without stopping the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from services.frontend.answers import Declined
from services.frontend.problems import problem

T = TypeVar("T")

JSON: Final = ("application/json",)
#: RFC 7396, section 4, and what every client sends who does not know it.
MERGE_PATCH: Final = (*JSON, "application/merge-patch+json")

#: Memory for the bodies of all requests that are not answered yet; what they are parsed into comes on top.
_IN_FLIGHT_BYTES: Final = 256 << 20

#: A body that stalls would stay open for ever. 25 MiB in this time are a slow line of 14 Mbit/s.
_RECEIVE_SECONDS: Final = 15.0

#: Above this a body is read in a thread. The parser itself holds the interpreter; what judges its
#: values hands it over every few milliseconds, so that nobody waits for a batch of a thousand.
_IN_A_THREAD_BYTES: Final = 256 * 1024

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Room:
    """The memory that the bodies of all requests share."""

    def __init__(self) -> None:
        self._free = _IN_FLIGHT_BYTES

    @contextmanager
    def shared_by(self, request: web.Request) -> Iterator[None]:
        """Let a request take of the memory, and give all of it back when the request is over."""
        request[_SHARE] = share = Share(self)
        try:
            yield
        finally:
            self._free += share.taken

    def take(self, size: int) -> None:
        """Take so many bytes. Raises Declined where there are not so many."""
        if size > self._free:
            detail = "The bodies of other requests take up all the memory that there is for them. Nothing was done."
            raise Declined(problem("unavailable", detail), close=True)
        self._free -= size


class Share:
    """What one request has taken of the room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.taken = 0

    def take(self, size: int) -> None:
        """Take so many bytes more. Raises Declined where there are not so many."""
        self._room.take(size)
        self.taken += size


_SHARE: Final = web.RequestKey("share", Share)


async def receive(request: web.Request, most_bytes: int, media_types: tuple[str, ...] = JSON) -> bytes | bytearray:
    """Return the body. Raises Declined for another media type, too many bytes, too long a time, no memory."""
    headers = request.headers
    content_type = headers.get("Content-Type", "")
    if content_type != JSON[0] and not _is_one_of(content_type, media_types):
        detail = f"The Content-Type must be {' or '.join(media_types)}, in UTF-8"
        raise Declined(problem("unsupported_media_type", detail), close=True)
    if "Content-Encoding" in headers:
        raise Declined(problem("unsupported_media_type", "The body must not be compressed"), close=True)
    if (request.content_length or 0) > most_bytes:
        raise _too_large(most_bytes)
    content = request.content
    try:
        # What has arrived as a whole needs no timer.
        body = _take_whole(request) if content.is_eof() else await _receive(request, most_bytes)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Declined(problem("bad_request", "The body broke off, or its chunks are malformed"), close=True) from error
    if len(body) > most_bytes:
        raise _too_large(most_bytes)
    return body


def _take_whole(request: web.Request) -> bytes:
    body = request.content.read_nowait()
    request[_SHARE].take(len(body))
    return body


async def _receive(request: web.Request, most_bytes: int) -> bytearray:
    # Here and not before the route is known: who sends too much is told so before it is sent.
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
    body = bytearray()
    share = request[_SHARE]
    try:
        async with asyncio.timeout(_RECEIVE_SECONDS):
            while chunk := await request.content.readany():
                share.take(len(chunk))
                body += chunk
                if len(body) > most_bytes:
                    break
    except TimeoutError:
        detail = f"The body did not arrive within {_RECEIVE_SECONDS:.0f} seconds; nothing was accepted"
        raise Declined(problem("request_timeout", detail), close=True) from None
    return body


async def judged(body: bytes | bytearray, judge: Callable[[Any], T]) -> T:
    """Return what `judge` makes of the parsed body. Raises Declined where the body is not JSON."""
    if len(body) > _IN_A_THREAD_BYTES:
        return await asyncio.to_thread(lambda: judge(_parse(body)))
    return judge(_parse(body))


def _parse(body: bytes | bytearray) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Declined(problem("not_json", f"The body is not JSON: {error}" if body else "The body is empty")) from None


def _is_one_of(content_type: str, media_types: tuple[str, ...]) -> bool:
    name, _, parameters = content_type.lower().partition(";")
    # RFC 8259, section 8.1: UTF-8 and nothing else; the parameter is widely sent all the same.
    return name.strip() in media_types and parameters.replace(" ", "").replace('"', "") in {"", "charset=utf-8"}


def _too_large(most_bytes: int) -> Declined:
    return Declined(problem("too_large", f"The body has more than {most_bytes:,} bytes"), close=True)
