"""Every call of the interface: the request it makes, and what it reads from the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from enum import Enum
from typing import Any, TypeVar
from urllib.parse import quote

from reliable_email_client.answers import (
    Acceptance,
    Answer,
    Limits,
    Page,
    Providers,
    Queue,
    Record,
    Service,
    State,
    Validation,
)
from reliable_email_client.core.batch import BatchOutcome, Body, Result, batch_request, batch_results, chunks
from reliable_email_client.core.judging import judge, parsed, strange
from reliable_email_client.core.reading import Unreadable, read
from reliable_email_client.core.retrying import Retry
from reliable_email_client.core.settling import settle
from reliable_email_client.core.wire import LOOK, Call, Failure, Pause, Reply, Request
from reliable_email_client.errors import InvalidMessage, NotFound, ReliableEmailError, StillWaiting, TooLarge
from reliable_email_client.message import Message, Priority, instant_text

T = TypeVar("T")
A = TypeVar("A", bound=Answer)

_MESSAGES = "/v1/messages"
_FIRST_LOOK_SECONDS, _GROWTH, _SLOWEST_SECONDS = 0.05, 1.5, 5.0


class Unset(Enum):
    """What a change leaves as it is, since None means something there."""

    UNSET = "unset"


UNSET = Unset.UNSET


class Calls:
    """The calls of one client. What is learnt of the service's limits is kept for the next batch."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._limits: Limits | None = None

    # What is sent

    def send(self, message: Message) -> Call[Acceptance]:
        """Submit one message."""
        request = Request("POST", _MESSAGES, body=written(message))
        (result,) = yield from settle(self._retry, 1, lambda _: request, _one(_acceptance), submits=True)
        return _had(_keyed(result, message))

    def send_batch(self, messages: Iterable[Message]) -> Call[BatchOutcome]:
        """Submit many messages. Whatever happens to them is a value."""
        given: list[Message] = []
        results: dict[int, Result] = {}
        try:
            limits = yield from self._known_limits()
        except ReliableEmailError as error:
            return BatchOutcome(_keyed(_copy(error), message) for message in messages)
        for chunk in chunks(_bodies(messages, given, results), limits):
            if len(chunk) == 1 and len(chunk[0].content) > limits.request_bytes:
                # Many a server breaks such a request off, which looks as if its answer was lost.
                results[chunk[0].place] = _too_large(limits)
                continue
            found = yield from self._submit(chunk)
            results.update(zip((body.place for body in chunk), found, strict=True))
        return BatchOutcome(_keyed(results[place], message) for place, message in enumerate(given))

    def _submit(self, chunk: Sequence[Body]) -> Call[list[Result]]:
        def ask(wanted: Sequence[int]) -> Request:
            return batch_request(chunk[index] for index in wanted)

        found: list[Result] = yield from settle(self._retry, len(chunk), ask, batch_results, submits=True)
        if any(isinstance(result, TooLarge) for result in found):
            self._limits = None  # they may have changed: the next batch asks again
        return found

    def _known_limits(self) -> Call[Limits]:
        if self._limits is None:
            self._limits = (yield from self.service()).limits
        return self._limits

    def validate(self, message: Message) -> Call[Validation]:
        """Ask what would become of a message."""
        return self._ask(Request("POST", f"{_MESSAGES}/validate", body=written(message)), _reader(Validation))

    # One message

    def get(self, message_id: str) -> Call[Record]:
        """Read a record."""
        return self._ask(Request("GET", _path_of(message_id)), _reader(Record))

    def wait(self, message_id: str, timeout: float) -> Call[Record]:
        """Read a record again and again until its state is final."""
        moment = yield LOOK
        ends, pause = moment.now + timeout, _FIRST_LOOK_SECONDS
        while True:
            record = yield from self.get(message_id)
            if record.final:
                return record
            moment = yield LOOK
            left = ends - moment.now
            if left <= 0:
                raise StillWaiting(f"{message_id} is still {record.state} after {timeout:g} seconds", record)
            yield Pause(min(pause, left))
            pause = min(pause * _GROWTH, _SLOWEST_SECONDS)

    def cancel(self, message_id: str) -> Call[Record]:
        """Send nothing more of a message."""
        return self._ask(Request("POST", f"{_path_of(message_id)}/cancel"), _reader(Record))

    def requeue(self, message_id: str) -> Call[Record]:
        """Try failed and expired recipients again."""
        return self._ask(Request("POST", f"{_path_of(message_id)}/requeue"), _reader(Record))

    def change(
        self,
        message_id: str,
        *,
        send_at: datetime | Unset | None,
        expires_at: datetime | Unset | None,
        priority: Priority | Unset,
        pool: str | Unset,
    ) -> Call[Record]:
        """Change a message that waits (a merge patch: RFC 7396)."""
        given = {"send_at": send_at, "expires_at": expires_at, "priority": priority, "pool": pool}
        patch = {
            name: instant_text(value) if isinstance(value, datetime) else value
            for name, value in given.items()
            if not isinstance(value, Unset)
        }
        return self._ask(Request("PATCH", _path_of(message_id), body=_json(patch)), _reader(Record))

    def delete(self, message_id: str) -> Call[None]:
        """Drop a message that has ended."""
        try:
            yield from self._ask(Request("DELETE", _path_of(message_id)), lambda _: None)
        except NotFound as error:
            if not error.in_doubt:  # else an attempt whose answer was lost has dropped it
                raise

    # Lists and views

    def page(self, states: Sequence[State], limit: int, cursor: str | None) -> Call[Page]:
        """Read one page of a list."""
        parameters = [*(("state", str(state)) for state in states), ("limit", str(limit))]
        if cursor is not None:
            parameters.append(("cursor", cursor))
        return self._ask(Request("GET", _MESSAGES, parameters=tuple(parameters)), _reader(Page))

    def service(self) -> Call[Service]:
        """Read what the service is and allows."""
        return self._ask(Request("GET", "/v1"), _reader(Service))

    def queue(self) -> Call[Queue]:
        """Read how much waits where."""
        return self._ask(Request("GET", "/v1/queue"), _reader(Queue))

    def providers(self) -> Call[Providers]:
        """Read how the providers are."""
        return self._ask(Request("GET", "/v1/providers"), _reader(Providers))

    def _ask(self, request: Request, reads: Callable[[Reply], T]) -> Call[T]:
        (result,) = yield from settle(self._retry, 1, lambda _: request, _one(reads))
        return _had(result)


def written(message: Message) -> bytes:
    """Return a message as the bytes of its JSON. Raises InvalidMessage for a text that UTF-8 cannot write."""
    try:
        return _json(message.to_json())
    except UnicodeEncodeError as error:
        raise InvalidMessage(f"A text of the message is not Unicode: {error}") from error


def _bodies(messages: Iterable[Message], given: list[Message], results: dict[int, Result]) -> Iterator[Body]:
    """Yield the messages as bytes, one by one, and note which there were; one that cannot be written has its error."""
    for place, message in enumerate(messages):
        given.append(message)
        try:
            yield Body(place, written(message))
        except InvalidMessage as error:
            results[place] = error


def _one(reads: Callable[[Reply], T]) -> Callable[[Reply | Failure, int], Sequence[T | ReliableEmailError]]:
    """Return what reads an answer to a single thing."""

    def answers(result: Reply | Failure, _: int) -> Sequence[T | ReliableEmailError]:
        judged = judge(result)
        if isinstance(judged, ReliableEmailError):
            return [judged]
        try:
            return [reads(judged)]
        except Unreadable as error:
            refused = strange(judged)
            refused.__cause__ = error
            return [refused]

    return answers


def _reader(kind: type[A]) -> Callable[[Reply], A]:
    return lambda reply: read(kind, parsed(reply))


def _acceptance(reply: Reply) -> Acceptance:
    view = parsed(reply)
    if not isinstance(view, dict):
        raise Unreadable("an acceptance is an object")
    return read(Acceptance, {**view, "replayed": reply.headers.get("idempotent-replayed") == "true"})


def _had(result: T | ReliableEmailError) -> T:
    if isinstance(result, ReliableEmailError):
        raise result
    return result


def _keyed(result: Result, message: Message) -> Result:
    if isinstance(result, ReliableEmailError):
        result.idempotency_key = message.key
    return result


def _copy(error: ReliableEmailError) -> ReliableEmailError:
    """Return the same error once more, for another message."""
    same = type(error)(*error.args)
    same.__dict__.update(error.__dict__)
    same.__cause__ = error.__cause__
    return same


def _too_large(limits: Limits) -> TooLarge:
    return TooLarge(f"The message has more than the {limits.request_bytes:,} bytes that a request may have")


def _path_of(message_id: str) -> str:
    return f"{_MESSAGES}/{quote(message_id, safe='')}"


def _json(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can be
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
