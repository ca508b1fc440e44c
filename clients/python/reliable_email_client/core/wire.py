"""The words between a call and whoever drives it."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """One request. `path` begins with `/v1`; `headers` come on top of those of every request."""

    method: str
    path: str
    parameters: tuple[tuple[str, str], ...] = ()
    body: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json"


@dataclass(frozen=True)
class Reply:
    """An answer as it came; the names of its headers are in small letters."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Failure:
    """There was no answer.

    `unsent`: nothing of the request left. `lost`: it may have arrived. `untrusted`: the other side
    could not prove who it is, and nothing was sent.
    """

    kind: Literal["unsent", "lost", "untrusted"]
    detail: str
    cause: BaseException | None = None


@dataclass(frozen=True)
class Exchange:
    """Asks to send a request and to wait for its answer, so many seconds at most."""

    request: Request
    timeout_seconds: float


@dataclass(frozen=True)
class Pause:
    """Asks to wait; for no time, to learn what time it is."""

    seconds: float


LOOK = Pause(0.0)


@dataclass(frozen=True)
class Moment:
    """What a call is told: the monotonic time, a draw from [0, 1), and what came of an exchange."""

    now: float
    draw: float
    result: Reply | Failure | None = None


Step: TypeAlias = "Exchange | Pause"
#: A call under way, that will return T.
Call: TypeAlias = "Generator[Step, Moment, T]"
