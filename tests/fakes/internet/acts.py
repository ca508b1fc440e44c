"""What may become of one request, other than what is usual."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What happens. Whether the message is taken says the act itself where it is not plain."""

    PASS = "pass"  # what is usual
    FAIL = "fail"  # a native error, by its name or its status; nothing is taken
    ANSWER = "answer"  # these words in the place of the answer
    PAGE = "page"  # a proxy's HTML in the place of the answer
    HANG = "hang"  # read everything and never answer
    EARLY = "early"  # reset as soon as the headers are there; nothing is taken
    RESET = "reset"  # read everything, then reset without an answer
    CLOSE = "close"  # read everything, then close without an answer
    CUT = "cut"  # the message is taken; half of the answer, then a reset
    DRIP = "drip"  # the message is taken; the answer comes byte by byte
    GARBAGE = "garbage"  # the message is taken; the answer is no HTTP


@dataclass(frozen=True, slots=True)
class Act:
    """One request's fate.

    `error` names a native error; `status` is that of an answer, a page, or an error where none is
    named. `seconds` is how long to wait before anything else, for DRIP between two bytes.
    `retry_after` becomes a header of the answer. `body` and `headers` are those of ANSWER.
    """

    kind: Kind = Kind.PASS
    error: str = ""
    status: int = 0
    taken: bool = False
    seconds: float = 0.0
    retry_after: str = ""
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Act:
        """Return the act that another process wrote down."""
        headers = tuple((name, value) for name, value in document.get("headers", ()))
        return cls(**{**document, "kind": Kind(document["kind"]), "headers": headers})


PASS: Final = Act()


def fail(error: str | int, *, retry_after: str = "") -> Act:
    """Answer with a native error, by its name in the desk's table or by its status."""
    if isinstance(error, int):
        return Act(Kind.FAIL, status=error, retry_after=retry_after)
    return Act(Kind.FAIL, error=error, retry_after=retry_after)


def answer(status: int, body: str = "", *headers: tuple[str, str], taken: bool = True) -> Act:
    """Answer with these words, JSON where no header says otherwise."""
    return Act(
        Kind.ANSWER, status=status, body=body, headers=(("Content-Type", "application/json"), *headers), taken=taken
    )


def page(status: int = 200, *, taken: bool = False) -> Act:
    """Answer with a proxy's HTML."""
    return Act(Kind.PAGE, status=status, taken=taken)


def hang(*, taken: bool = False) -> Act:
    """Read everything and never answer."""
    return Act(Kind.HANG, taken=taken)


def early() -> Act:
    """Reset the connection before the body is read."""
    return Act(Kind.EARLY)


def reset(*, taken: bool = False) -> Act:
    """Reset the connection in the place of an answer."""
    return Act(Kind.RESET, taken=taken)


def close(*, taken: bool = False) -> Act:
    """Close the connection in the place of an answer."""
    return Act(Kind.CLOSE, taken=taken)


def cut() -> Act:
    """Take the message and reset the connection in the middle of the answer."""
    return Act(Kind.CUT, taken=True)


def drip(seconds: float) -> Act:
    """Take the message and answer byte by byte, with so many seconds between them."""
    return Act(Kind.DRIP, taken=True, seconds=seconds)


def garbage(*, taken: bool = True) -> Act:
    """Answer with bytes that are no HTTP."""
    return Act(Kind.GARBAGE, taken=taken)


def slow(seconds: float) -> Act:
    """Do what is usual, so much later."""
    return Act(seconds=seconds)
