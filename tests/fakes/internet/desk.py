"""What all desks have in common: a request is let in, read strictly, taken and answered, without a socket."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any, ClassVar, Final

import orjson

from tests.fakes.internet.acts import Act
from tests.fakes.internet.ledger import Ledger
from tests.fakes.internet.life import Life
from tests.fakes.internet.shapes import Wrong, document_of
from tests.fakes.internet.taken import Taken

PAGE: Final = b"<!DOCTYPE html><html><head><title>Gateway</title></head><body><h1>Gateway</h1></body></html>"

_FATE: Final = re.compile(r"native\.(.+)@.+")


@dataclass(frozen=True, slots=True)
class Call:
    """One request. The names of headers know no case; `now` is the wall clock's, `at` the monotonic clock's."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    now: float
    at: float
    number: int = 0

    @property
    def content_type(self) -> str:
        """The media type without parameters, in lower case."""
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def document(self) -> Any:
        """Return the body's JSON; raises Wrong for another type or none."""
        if self.content_type != "application/json":
            raise Refused("unsupported_media_type", f"Content-Type {self.content_type!r}")
        return document_of(self.body)


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, document: Any, status: int = 200, **headers: str) -> Answer:
        """Return an answer of JSON; underscores in the names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(status, orjson.dumps(document), {"Content-Type": "application/json", **named})


@dataclass(frozen=True, slots=True)
class Native:
    """One row of a provider's table of errors: what it answers, and what that is to mean to its client.

    `outcome`, `scope` and `pause_seconds` are this table's own reading of the manuals; `detail` is
    what the provider says, and may be said otherwise by who raises it.
    """

    status: int
    code: str | int
    detail: str
    outcome: str
    scope: str = "message"
    pause_seconds: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A request that is answered with a native error, by its name."""

    def __init__(self, error: str, detail: str = "") -> None:
        self.error = error
        self.detail = detail
        super().__init__(f"{error} {detail}")


@dataclass(frozen=True, slots=True)
class Complaint:
    """A request that no correct client would have sent."""

    desk: str
    what: str
    path: str


@dataclass(frozen=True, slots=True)
class Declined:
    """An item that was not taken: the native error that says why."""

    error: str
    detail: str = ""


Item = Taken | Declined


@dataclass(frozen=True, slots=True)
class Order:
    """What a request asks to be sent, and how to answer once it is known what was taken.

    An order that `is_whole` is taken with all its items or not at all. `recall` is a key under
    which a repetition gets the same answer, for `recall_seconds`.
    """

    items: Sequence[Item]
    answer: Callable[[Sequence[Item]], Answer]
    is_whole: bool = False
    recall: str = ""
    recall_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    body: bytes
    answer: Answer
    until: float


Handler = Callable[[Call, "re.Match[str]"], "Order | Answer"]


@dataclass(frozen=True, slots=True)
class Route:
    """One thing that can be asked of a desk; `asks` where it sends nothing."""

    method: str
    path: re.Pattern[str]
    handler: Handler
    asks: bool = False


class Station:
    """One provider. `url` is where it is reached, `credentials` are what a client must show, by the names
    of our configuration; `life` and `ledger` are what a test works with."""

    kind: ClassVar[str]
    natives: ClassVar[Mapping[str, Native]]
    throttle_error: ClassVar[str]
    quota_error: ClassVar[str]
    review_error: ClassVar[str]
    unit: ClassVar[str] = "requests"

    def __init__(self, name: str, random: Random, complaints: list[Complaint], *, is_light: bool = False) -> None:
        self.name = name
        self.life = Life(self.review_error, random)
        self.ledger = Ledger()
        self.complaints = complaints
        self.url = ""
        self.credentials: dict[str, str] = {}
        self._is_light = is_light
        self._serial = 0

    def next_serial(self) -> int:
        """Return a number that this provider has not used."""
        self._serial += 1
        return self._serial

    def take(self, taken: Taken) -> None:
        """Put a message into the ledger."""
        self.ledger.take(taken.without_content() if self._is_light else taken)

    def wait(self, count: float) -> float:
        """Take from what may be sent now, or return the seconds until there is enough."""
        return self.life.bucket.take(count) if self.life.bucket else 0.0

    def spend(self) -> bool:
        """Take one message from the quota; False where it is spent."""
        if self.life.quota_left < 1:
            return False
        self.life.quota_left -= 1
        return True

    def named_error(self, act: Act) -> str:
        """Return the native error that an act names, by its name or its status; "" where no row has the status."""
        if not act.error:
            return next((name for name, native in self.natives.items() if native.status == act.status), "")
        if act.error not in self.natives:
            raise KeyError(f"{self.kind} has no error {act.error!r}: there are {', '.join(self.natives)}")
        return act.error


class Desk(Station, ABC):
    """A provider over HTTP."""

    most_bytes: ClassVar[int] = 60 << 20

    def __init__(self, name: str, random: Random, complaints: list[Complaint], *, is_light: bool = False) -> None:
        super().__init__(name, random, complaints, is_light=is_light)
        self.routes: tuple[Route, ...] = self.paths()
        self._remembered: dict[str, _Remembered] = {}

    # -- for each provider to say -----------------------------------------------------------------

    @abstractmethod
    def paths(self) -> tuple[Route, ...]:
        """Return what can be asked."""

    @abstractmethod
    def admit(self, call: Call) -> None:
        """Raise Refused where the caller does not prove who they are."""

    @abstractmethod
    def render(self, native: Native, detail: str) -> Answer:
        """Return a native error as the provider writes it."""

    @abstractmethod
    def wrong(self, wrong: Wrong) -> str:
        """Return the name of the native error that answers something wrong."""

    def throttled(self, seconds: float, now: float) -> Answer:  # noqa: ARG002 - some tell the instant, some the wait
        """Return the native answer to a client that is too fast by so much."""
        return self.error(self.throttle_error)

    def not_found(self, call: Call) -> Answer:
        """Return the native answer to a path that is not there."""
        return self.error("not_found", f"{call.method} {call.path}")

    # -- for those who serve ----------------------------------------------------------------------

    def route(self, method: str, path: str) -> tuple[Route, re.Match[str]] | None:
        """Return what is asked for, None where there is no such thing."""
        for route in self.routes:
            if route.method == method and (match := route.path.fullmatch(path)):
                return route, match
        return None

    def respond(self, call: Call) -> Answer:
        """Read a request, take what it holds, and return the answer."""
        try:
            return self._respond(call)
        except Refused as refused:
            self.complain(call, str(refused))
            return self.error(refused.error, self._told(refused.error, refused.detail))
        except Wrong as wrong:
            self.complain(call, str(wrong))
            return self.error(self.wrong(wrong), self._told(self.wrong(wrong), wrong.detail))

    def failed(self, act: Act) -> Answer:
        """Return the native answer that an act names, by its name or its status."""
        name = self.named_error(act)
        answer = self.error(name) if name else Answer(act.status, PAGE, {"Content-Type": "text/html"})
        if not act.retry_after:
            return answer
        return Answer(answer.status, answer.body, {**answer.headers, "Retry-After": act.retry_after})

    def error(self, name: str, detail: str = "") -> Answer:
        """Return a native error by its name."""
        native = self.natives[name]
        answer = self.render(native, detail or native.detail)
        if not native.headers:
            return answer
        return Answer(answer.status, answer.body, {**answer.headers, **native.headers})

    def complain(self, call: Call, what: str) -> None:
        """Note that a request was not what a correct client sends."""
        self.complaints.append(Complaint(self.name, what, f"{call.method} {call.path}"))

    # -- for desks --------------------------------------------------------------------------------

    def next_uuid(self) -> str:
        """Return a UUID that this desk has not used."""
        return f"{self.next_serial():08x}-fa4e-4000-8000-000000000000"

    def item(self, call: Call, read: Callable[[], Taken]) -> Item:
        """Return what one of several items holds, or why it is declined."""
        try:
            return read()
        except Wrong as wrong:
            self.complain(call, str(wrong))
            return Declined(self.wrong(wrong), self._told(self.wrong(wrong), wrong.detail))
        except Refused as refused:
            self.complain(call, str(refused))
            return Declined(refused.error, self._told(refused.error, refused.detail))

    def found(self, holds: Callable[[Taken], bool]) -> list[Taken]:
        """Return what was taken and can be found."""
        return [] if self.life.is_blind else [taken for taken in self.ledger.taken if holds(taken)]

    def _told(self, error: str, detail: str) -> str:
        """Return what the provider says of an error, and in brackets what we say of its cause."""
        return f"{self.natives[error].detail} ({detail})" if detail else ""

    def _respond(self, call: Call) -> Answer:
        found = self.route(call.method, call.path)
        if found is None:
            self.complain(call, "no such path")
            return self.not_found(call)
        route, match = found
        if self.life.is_under_review:
            return self.error(self.review_error)
        self.admit(call)
        if len(call.body) > self.most_bytes:
            raise Refused("too_large", f"{len(call.body)} bytes")
        unit = self.life.unit or self.unit
        if unit == "requests" and not route.asks and (wait := self.wait(1)):
            return self._too_fast(wait, call)
        order = route.handler(call, match)
        if isinstance(order, Answer):
            return order
        repeated = self._repeated(order, call)
        return repeated or self._take(order, call, unit)

    def _take(self, order: Order, call: Call, unit: str) -> Answer:
        items = [self._fate(item) for item in order.items]
        taken = [item for item in items if isinstance(item, Taken)]
        if unit != "requests" and taken:
            count = len(taken) if unit == "messages" else sum(len(item.recipients) for item in taken)
            if wait := self.wait(count):
                return self._too_fast(wait, call)
        items = [self._spend(item) for item in items]
        answer = order.answer(items)
        if order.is_whole and any(isinstance(item, Declined) for item in items):
            return answer
        for item in items:
            if isinstance(item, Taken):
                self.take(item)
        if order.recall and answer.status < 300:
            self._remembered[order.recall] = _Remembered(
                sha256(call.body).digest(), answer, call.at + order.recall_seconds
            )
        return answer

    def _repeated(self, order: Order, call: Call) -> Answer | None:
        known = self._remembered.get(order.recall) if order.recall else None
        if known is None or known.until < call.at:
            return None
        return self.repeat(known.answer, call, is_same=known.body == sha256(call.body).digest())

    def repeat(self, answer: Answer, call: Call, *, is_same: bool) -> Answer:  # noqa: ARG002 - not all compare
        """Return the answer to a repetition under a key that is remembered."""
        return answer

    def forget(self) -> None:
        """Forget every key, as when its time is over."""
        self._remembered.clear()

    def _fate(self, item: Item) -> Item:
        if isinstance(item, Taken):
            for recipient in item.recipients:
                wanted = _FATE.fullmatch(recipient)
                if wanted and wanted[1] in self.natives:
                    return Declined(wanted[1])
        return item

    def _spend(self, item: Item) -> Item:
        if isinstance(item, Declined):
            return item
        return item if self.spend() else Declined(self.quota_error)

    def _too_fast(self, seconds: float, call: Call) -> Answer:
        if self.life.retry_after == "none":
            return self.error(self.throttle_error)
        answer = self.throttled(seconds, call.now)
        if self.life.retry_after == "header":
            return Answer(answer.status, answer.body, {**answer.headers, "Retry-After": str(math.ceil(seconds))})
        return answer


def single(desk: Desk, taken: Taken, answer: Callable[[Taken], Answer], **recall: Any) -> Order:
    """Return the order of one message: it is taken and answered so, or the whole request is declined."""

    def answered(items: Sequence[Item]) -> Answer:
        (item,) = items
        return desk.error(item.error, item.detail) if isinstance(item, Declined) else answer(item)

    return Order([taken], answered, **recall)


def basic_user(call: Call) -> tuple[str, str]:
    """Return user and password of HTTP Basic, two empty strings without them."""
    scheme, _, encoded = call.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (Base64Error, UnicodeDecodeError):
        return "", ""
    return user, password


def bearer(call: Call) -> str:
    """Return the token of a Bearer authorization, "" without one."""
    scheme, _, token = call.headers.get("Authorization", "").partition(" ")
    return token if scheme == "Bearer" else ""


def emails(*groups: Iterable[Any]) -> tuple[str, ...]:
    """Return the addresses of some groups of recipients, in order."""
    return tuple(address.email for group in groups for address in group)
