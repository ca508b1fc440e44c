"""Answers as HTTP carries them, and the exception that carries a problem out of a route."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import orjson
from aiohttp import web

from services.frontend.commit import ANSWER_SECONDS
from services.frontend.problems import Problem, problem
from shared.domain.errors import AnswerLost, QueueError, ReliableEmailError, ScriptDefect
from shared.runtime.tracing import Span

REQUEST_ID: Final = web.RequestKey("request_id", str)
#: The request as a step of a trace, and the `traceparent` that its client sent, "" for none.
SPAN: Final = web.RequestKey("span", Span)
TRACE: Final = web.RequestKey("trace", str)

_JSON: Final = {"Content-Type": "application/json"}
#: What a client is told of a submission that the store did not take.
NOT_STORED: Final = "The store cannot be reached, is full, or did not confirm in time. Nothing was stored."
_NOTHING_DONE: Final = "The store of messages cannot be reached, or did not answer in time. Nothing was done."
_UNKNOWN_EFFECT: Final = "It is not known whether this took effect. The same request again does no harm."


class Declined(ReliableEmailError):
    """A request is answered with a problem. `close` gives up the connection, where more bytes would follow."""

    def __init__(self, reason: Problem, *, close: bool = False) -> None:
        self.problem = reason
        self.close = close
        super().__init__(reason.detail)


def answer(view: object, status: int = 200, headers: Mapping[str, str] = {}) -> web.Response:
    """Return an answer whose body is `view` as JSON."""
    return web.Response(body=orjson.dumps(view), status=status, headers={**_JSON, **headers} if headers else _JSON)


def problem_answer(reason: Problem, instance: str, request_id: str) -> web.Response:
    """Return the answer that a problem makes."""
    return web.Response(body=reason.to_bytes(instance, request_id), status=reason.status, headers=reason.headers)


def problem_of(error: QueueError, *, reads: bool) -> Problem:
    """Return what a client is told of a call to the queue that failed; where Redis stands is not its business.

    `reads` says that the request only looked: then nothing was done. Of an action that is not certain
    even where this call never left: it may have been the second one, or one of several shards.
    """
    if isinstance(error, ScriptDefect):
        return problem("internal")
    return problem("unavailable", _NOTHING_DONE if reads else _UNKNOWN_EFFECT)


@asynccontextmanager
async def in_time() -> AsyncIterator[None]:
    """Let what is done to the queue take as long as a client may wait. Raises AnswerLost afterwards."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError:
        raise AnswerLost("the calls together took too long") from None


def unavailable() -> Declined:
    """Return the refusal of a request that cannot be served now; nothing was tried."""
    return Declined(problem("unavailable", _NOTHING_DONE))
