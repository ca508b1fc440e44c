"""An answer that means different things for different recipients of a message, or messages of a batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.domain.outcome import Outcome, RecipientVerdict, Verdict
from shared.providers.http.fields import travelling
from shared.providers.http.rules import words_of
from shared.providers.interface import HttpRequest, Parcel, Reply


@dataclass(frozen=True, slots=True)
class MailRequest(HttpRequest):
    """A request that remembers for each of its messages whom it is for, in the order of the parcel's recipients.

    Answers name recipients by address only, and the body, which may be large, is not read again.
    """

    recipients: tuple[tuple[str, ...], ...] = ()


def addresses_of(parcel: Parcel) -> tuple[str, ...]:
    """Return the addresses a parcel is for, in its order, as they travel."""
    everyone = parcel.envelope.recipients
    return tuple(travelling(everyone[number]).email for number in parcel.recipients)


def recipients_in(request: HttpRequest, index: int) -> tuple[str, ...]:
    """Return the addresses of one message of a request; none where the request does not remember them."""
    known = request.recipients if isinstance(request, MailRequest) else ()
    return known[index] if index < len(known) else ()


def parted(recipients: Sequence[str], apart: Mapping[str, RecipientVerdict], taken: Verdict) -> Verdict:
    """Return the verdict on a message that was taken for all recipients but some.

    `apart` has what happened to those, by their address in lower case; an `index` there means nothing.
    """
    others = [apart.get(address.lower()) for address in recipients]
    if not any(others):
        return taken
    if len(others) == 1 and others[0] is not None:
        return Verdict(others[0].outcome, others[0].detail, others[0].scope, account_fault=taken.account_fault)
    shares = tuple(
        RecipientVerdict(index, taken.outcome, taken.detail) if other is None else replace(other, index=index)
        for index, other in enumerate(others)
    )
    tally = Counter(share.outcome for share in shares)
    detail = ", ".join(f"{tally[outcome]} {outcome}" for outcome in Outcome if tally[outcome])
    return replace(taken, outcome=Outcome.PARTIAL, detail=detail, recipients=shares)


def of_each(reply: Reply, items: Sequence[Any], count: int, read: Callable[[int, Any], Verdict]) -> tuple[Verdict, ...]:
    """Return the verdict of each item of a batch's answer; where their number is another, nobody knows whose is whose.

    `read` may raise for an item of another shape, as a reader of a whole answer may.
    """
    if len(items) != count:
        lost = Verdict(Outcome.AMBIGUOUS, f"{len(items)} answers to {count} messages: {words_of(reply)}")
        return (lost,) * count
    return tuple(_read(reply, index, item, read) for index, item in enumerate(items))


def of_all(verdict: Verdict, count: int) -> tuple[Verdict, ...]:
    """Return the verdict of every message of a batch that was answered as one.

    Nobody says whose fault it was that a batch was refused, so none of its messages ends by it: each is tried again.
    """
    if count > 1 and verdict.outcome is Outcome.REJECTED:
        verdict = Verdict(Outcome.TEMPORARY, f"refused with others in one request: {verdict.detail}")
    return (verdict,) * count


def _read(reply: Reply, index: int, item: Any, read: Callable[[int, Any], Verdict]) -> Verdict:
    try:
        return read(index, item)
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError):
        return Verdict(Outcome.AMBIGUOUS, f"answer {index + 1} is of another shape: {words_of(reply)}")
