"""What an HTTP answer means: the provider's own table first, then what holds for every service."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar

import orjson

from shared.domain.outcome import Outcome, Scope, Verdict
from shared.providers.interface import Phase, Reply

#: Who is out of credits or over a daily quota is asked again after this, where no time is named.
QUOTA_PAUSE_SECONDS: Final = 600.0

#: A row that pauses for this long or longer is about a quota, and no shorter time that an answer names
#: goes below it: what comes with every answer (`Retry-After: 1`) is about the rate.
LEAST_QUOTA_PAUSE_SECONDS: Final = 60.0

_T = TypeVar("_T")

_MOST_WORDS: Final = 500
_GENERIC: Final = frozenset({400, 422})


@dataclass(frozen=True, slots=True)
class Fault:
    """A refusal in a provider's own terms: its code, its words, and for how long it asks to be left alone.

    Raises TypeError and ValueError for what only an answer in another format can hold.
    """

    code: str = ""
    words: str = ""
    pause_seconds: float | None = None

    def __post_init__(self) -> None:
        if not all(isinstance(text, str) for text in (self.code, self.words)):
            raise TypeError("a code and its words are texts")
        if self.pause_seconds is not None and not 0 <= self.pause_seconds < math.inf:
            raise ValueError("a pause is a number of seconds")


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of an error table. What is left out matches everything; of several rows the first decides.

    `code` is matched whole, `words` anywhere and whatever the case; both are regular expressions.
    `pause_seconds` holds where the answer names no time of its own; one of a minute or more tells a quota.
    """

    outcome: Outcome
    status: tuple[int, ...] = ()
    code: str | None = None
    words: str | None = None
    scope: Scope = Scope.MESSAGE
    pause_seconds: float | None = None

    def matches(self, status: int, fault: Fault) -> bool:
        """Whether this row is about such an answer."""
        if self.status and status not in self.status:
            return False
        if self.code is not None and not re.fullmatch(self.code, fault.code):
            return False
        return self.words is None or re.search(self.words, fault.words, re.IGNORECASE) is not None


#: What holds for every service, after its own rows. An edge that lost its origin (502, 504, 52x) does
#: not know whether the origin had worked.
COMMON: Final = (
    Rule(Outcome.AMBIGUOUS, (408, 502, 504, 520, 521, 522, 523, 524)),
    Rule(Outcome.TEMPORARY, (425,)),
    Rule(Outcome.REJECTED, (413,), scope=Scope.PROVIDER),
    Rule(Outcome.THROTTLED, (429,)),
    Rule(Outcome.REJECTED, (400, 422)),
)

#: Reads what an answer in the 200s says; None where it is not in the provider's own format. The second
#: argument is the body's JSON, None where it is none.
Acceptance = Callable[[Reply, Any], Verdict | None]

#: Reads what any other answer says; None where it is not in the provider's own format.
Complaint = Callable[[Reply, Any], Fault | None]


def classify(reply: Reply, accept: Acceptance, complain: Complaint, rules: Sequence[Rule]) -> Verdict:
    """Return what a reply means. Never raises, whatever the body holds: `accept` and `complain` see JSON or None."""
    if reply.phase is not Phase.ANSWERED:
        return unanswered(reply)
    document = json_of(reply)
    if 200 <= reply.status < 300:
        return _read(accept, reply, document) or _not_understood(reply, document)
    fault = _read(complain, reply, document)
    if fault is None:
        return _foreign(reply)
    return judge(reply, fault, rules)


def judge(reply: Reply, fault: Fault, rules: Sequence[Rule]) -> Verdict:
    """Return the verdict of the first row that matches, the provider's own before the common ones."""
    for rule in (*rules, *COMMON):
        if rule.matches(reply.status, fault):
            return _verdict(reply, fault, rule)
    if reply.status >= 500:
        return _verdict(reply, fault, Rule(Outcome.TEMPORARY))
    # Of any other answer the account or this adapter is the cause, never the message.
    return _verdict(reply, fault, Rule(Outcome.MISCONFIGURED))


def unanswered(reply: Reply) -> Verdict:
    """Return what it means that no complete answer came: nothing was taken before the request was written whole."""
    detail = reply.error or "no answer"
    if reply.phase is Phase.SENT:
        return Verdict(Outcome.AMBIGUOUS, detail)
    return Verdict(Outcome.MISCONFIGURED if reply.error_kind == "certificate" else Outcome.PROVIDER_DOWN, detail)


def accepted(provider_message_id: str, detail: str = "", *, account_fault: str = "") -> Verdict:
    """Return the verdict of a message that was taken under an id of the provider's.

    Raises TypeError and ValueError for an id that is none: nobody has said that the message was taken.
    """
    if not isinstance(provider_message_id, str):
        raise TypeError("an id is a text")
    provider_message_id = _one_line(provider_message_id)
    if not provider_message_id:
        raise ValueError("an id is not empty")
    detail = detail or f"accepted as {provider_message_id}"
    return Verdict(Outcome.ACCEPTED, detail, provider_message_id=provider_message_id, account_fault=account_fault)


def json_of(reply: Reply) -> Any:
    """Return the JSON of a reply's body, None where it holds none."""
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None


def retry_after_seconds(reply: Reply) -> float | None:
    """Return for how long `Retry-After` asks, in seconds or as a date (RFC 9110, 10.2.3); None without it."""
    value = reply.headers.get("retry-after", "").strip()
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    return seconds_until(value, reply)


def seconds_until(date: str, reply: Reply) -> float | None:
    """Return the seconds from a reply to an instant in a header's words (RFC 9110, 5.6.7); None for no such date."""
    try:
        instant = parsedate_to_datetime(date)
        if instant.tzinfo is None:  # "-0000": in UTC, and nothing said of where (RFC 5322, 3.3)
            instant = instant.replace(tzinfo=UTC)
        return max(0.0, instant.timestamp() - reply.at / 1000)
    except (LookupError, TypeError, ValueError, OverflowError):
        return None


def seconds_until_unix(instant: str, reply: Reply) -> float | None:
    """Return the seconds from a reply to an instant in seconds since the epoch; None for no such number."""
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", instant.strip()):
        return None
    return max(0.0, float(instant) - reply.at / 1000)


def words_of(reply: Reply) -> str:
    """Return what a body says, one line of it, where nothing better is known."""
    text = " ".join(reply.body[:_MOST_WORDS].decode("utf-8", "replace").split())
    return f"HTTP {reply.status}: {text}" if text else f"HTTP {reply.status}"


def _read(reader: Callable[[Reply, Any], _T | None], reply: Reply, document: Any) -> _T | None:
    try:
        return reader(reply, document)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        return None  # an answer of another shape is not in the provider's format


def _verdict(reply: Reply, fault: Fault, rule: Rule) -> Verdict:
    words = f"{reply.status} {f'{fault.code}: ' if fault.code else ''}{fault.words}".removesuffix(": ")
    return Verdict(
        rule.outcome,
        _one_line(words if fault.code or fault.words else words_of(reply))[:_MOST_WORDS],
        rule.scope,
        retry_after_seconds=_pause(reply, fault, rule) if rule.outcome is Outcome.THROTTLED else None,
        is_generic=rule.outcome is Outcome.REJECTED and reply.status in _GENERIC,
    )


def _pause(reply: Reply, fault: Fault, rule: Rule) -> float | None:
    asked = fault.pause_seconds if fault.pause_seconds is not None else retry_after_seconds(reply)
    if asked is None:
        return rule.pause_seconds
    is_quota = rule.pause_seconds is not None and rule.pause_seconds >= LEAST_QUOTA_PAUSE_SECONDS
    return max(asked, LEAST_QUOTA_PAUSE_SECONDS) if is_quota else asked


def _one_line(text: str) -> str:
    """Return a text without line breaks, and without what no encoding can carry."""
    return " ".join(text.encode(errors="replace").decode().split())


def _not_understood(reply: Reply, document: Any) -> Verdict:
    """Return the verdict of a 2xx that is not the provider's: nobody has said that the message was taken."""
    if document is None and reply.body.strip() not in {b"", b"null"}:
        return Verdict(Outcome.MISCONFIGURED, f"not an answer of the service's: {words_of(reply)}")
    return Verdict(Outcome.AMBIGUOUS, f"the answer names no message: {words_of(reply)}")


def _foreign(reply: Reply) -> Verdict:
    """Return the verdict of an answer that is not the provider's own: that of an edge before it."""
    if reply.status >= 500 and reply.status not in {502, 504}:
        # The service itself speaks its own format: an edge does not know what its origin did.
        return Verdict(Outcome.AMBIGUOUS, words_of(reply))
    return judge(reply, Fault(), ())
