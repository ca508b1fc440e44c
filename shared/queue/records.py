"""How attempts, recipients and records are written in Redis, and read back as the domain's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

import orjson

from shared.domain.codec import decode_head
from shared.domain.message import (
    Attempt,
    Envelope,
    HistoryEvent,
    Priority,
    Reason,
    RecipientResult,
    RecipientStatus,
    Record,
    RouteStep,
    Waiting,
)
from shared.domain.outcome import Outcome
from shared.domain.states import DEAD, FINAL, RecipientState, State

#: A provider's own words are kept up to this length.
MAX_WORDS: Final = 512

#: So many changes of state are shown, the latest.
KEPT_EVENTS: Final = 100

Fields = Mapping[bytes, bytes]


def cut(words: str) -> str:
    """Return a provider's words, cut at `MAX_WORDS` bytes of UTF-8."""
    if len(words) <= MAX_WORDS // 4:
        return words
    return words.encode()[:MAX_WORDS].decode(errors="ignore")


def pack_attempt(attempt: Attempt) -> str:
    """Return an attempt as one line of JSON and, behind a line break, its route."""
    told: dict[str, Any] = {
        "number": attempt.number,
        "provider": attempt.provider,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration_ms,
        "outcome": attempt.outcome,
        "recipients": attempt.recipients,
    }
    if attempt.detail:
        told["detail"] = cut(attempt.detail)
    for name in ("retry_after_seconds", "provider_message_id", "smtp_code", "enhanced_code"):
        if (value := getattr(attempt, name)) is not None:
            told[name] = value
    if attempt.results:
        told["results"] = [
            [result.recipient, result.outcome, cut(result.detail), result.smtp_code, result.enhanced_code]
            for result in attempt.results
        ]
    packed = orjson.dumps(told).decode()
    if not attempt.route:
        return packed
    route = [[step.provider, step.chosen, step.code, step.detail] for step in attempt.route]
    return f"{packed}\n{orjson.dumps(route).decode()}"


def unpack_attempt(packed: bytes, recipients: int) -> Attempt:
    """Return an attempt as it was packed; `recipients` is how many the message has."""
    line, _, route = packed.partition(b"\n")
    told = orjson.loads(line)
    numbers = told["recipients"]
    return Attempt(
        number=told["number"],
        provider=told["provider"],
        started_at=told["started_at"],
        duration_ms=told["duration_ms"],
        outcome=Outcome(told["outcome"]),
        detail=told.get("detail", ""),
        retry_after_seconds=told.get("retry_after_seconds"),
        provider_message_id=told.get("provider_message_id"),
        smtp_code=told.get("smtp_code"),
        enhanced_code=told.get("enhanced_code"),
        recipients=tuple(range(recipients)) if numbers is None else tuple(numbers),
        results=tuple(
            RecipientResult(number, Outcome(outcome), detail, smtp_code, enhanced_code)
            for number, outcome, detail, smtp_code, enhanced_code in told.get("results", ())
        ),
        route=tuple(RouteStep(*step) for step in orjson.loads(route)) if route else (),
    )


def fields(flat: Sequence[bytes]) -> Fields:
    """Return a flat reply of fields and values as a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


@cache
def flow_of(flow: bytes) -> tuple[str, Priority]:
    """Return the pool and the priority that a flow's name is made of."""
    pool, priority = flow.decode().split(":")[:2]
    return pool, Priority(priority)


def record_of(
    message_id: str,
    record: Fields,
    head: bytes,
    recipients: Fields,
    attempts: Sequence[bytes] = (),
    history: Sequence[bytes] = (),
    due_at: int | None = None,
) -> Record:
    """Return the domain's record from what Redis keeps of it; `due_at` is when a retry is due."""
    state = State(record[b"state"].decode())
    pool, priority = flow_of(record[b"flow"])
    envelope = decode_head(head)
    tried = tuple(unpack_attempt(packed, len(envelope.recipients)) for packed in attempts)
    reason = _reason(record, tried, recipients, state)
    created = int(record[b"created"].partition(b"-")[0])
    return Record(
        id=message_id,
        tenant=record[b"tenant"].decode(),
        state=state,
        priority=priority,
        pool=pool,
        envelope=envelope,
        created_at=created,
        send_at=_int(record, b"send"),
        expires_at=_int(record, b"expires"),
        finished_at=_int(record, b"finished"),
        cancel_requested_at=_int(record, b"cancel"),
        content_dropped=b"dropped" in record,
        requeues=_int(record, b"requeues") or 0,
        rounds=_int(record, b"rounds") or 0,
        possible_duplicate=b"duplicate" in record,
        waiting=_waiting(record, state, due_at),
        reason=reason,
        recipients=_recipients(envelope, state, recipients, tried, reason, _int(record, b"finished")),
        attempts_total=_int(record, b"attempts") or 0,
        attempts=tried,
        events=_events(message_id, record, state, history),
    )


def _waiting(record: Fields, state: State, due_at: int | None) -> Waiting | None:
    if b"waiting" not in record:
        return None
    return Waiting(record[b"waiting"].decode(), due_at if state is State.RETRYING else None)


def _int(record: Fields, name: bytes) -> int | None:
    value = record.get(name)
    return None if value is None else int(value)


def _reason(record: Fields, attempts: Sequence[Attempt], decided: Fields, state: State) -> Reason | None:
    """Return why a message ended so, in the words of its last attempt where they speak of all recipients."""
    code = record.get(b"reason")
    if code is None or state is State.SENT:
        return None
    if decided and code == b"recipients_rejected":
        return _refusals(code.decode(), decided)
    last = attempts[-1] if attempts and state in DEAD else None
    if last is None:
        return Reason(code.decode())
    return Reason(code.decode(), last.detail, last.provider, last.smtp_code, last.enhanced_code)


def _refusals(code: str, decided: Fields) -> Reason:
    """Return how many recipients were refused; each keeps the words that were said of it."""
    refused = [told for told in decided.values() if told.startswith(RecipientState.FAILED.encode())]
    provider = _recipient(refused[-1]).provider if refused else None
    verb = "was" if len(refused) == 1 else "were"
    return Reason(code, f"{len(refused)} of {len(decided)} recipients {verb} refused for good", provider)


def _recipients(
    envelope: Envelope,
    state: State,
    decided: Fields,
    attempts: Sequence[Attempt],
    reason: Reason | None,
    finished_at: int | None,
) -> tuple[RecipientStatus, ...]:
    """Return where each recipient stands; nothing is stored for them until their outcomes differ."""
    if decided or state not in FINAL:
        pending = RecipientStatus(RecipientState.PENDING)
        known = {int(index): _recipient(told) for index, told in decided.items()}
        return tuple(known.get(index, pending) for index in range(len(envelope.recipients)))
    last = attempts[-1] if attempts else None
    if state is State.SENT and last is not None:
        at = last.started_at + last.duration_ms
        shared = RecipientStatus(RecipientState.SENT, last.provider, last.provider_message_id, at)
    else:
        provider = last.provider if last is not None and state is State.FAILED else None
        shared = RecipientStatus(RecipientState(state), provider, None, finished_at, _of_recipient(reason))
    return (shared,) * len(envelope.recipients)


def _of_recipient(reason: Reason | None) -> Reason | None:
    if reason is None or reason.code != "recipients_rejected":
        return reason
    return Reason("recipient_rejected", reason.detail, None, reason.smtp_code, reason.enhanced_code)


def _recipient(told: bytes) -> RecipientStatus:
    state, _, rest = told.partition(b" ")
    more = orjson.loads(rest)
    reason = more.get("reason")
    return RecipientStatus(
        RecipientState(state.decode()),
        more.get("provider"),
        more.get("id"),
        more.get("at"),
        Reason(reason["code"], reason.get("detail", ""), None, reason.get("smtp_code"), reason.get("enhanced_code"))
        if reason
        else None,
    )


def _events(message_id: str, record: Fields, state: State, history: Sequence[bytes]) -> tuple[HistoryEvent, ...]:
    """Return the changes of state; the first and the last are not stored, for they follow from the record."""
    created = int(record[b"created"].partition(b"-")[0])
    events = [_event(message_id, _first_state(record, created), created, 0)]
    for entry in history:
        between, at, attempt = entry.decode().split(" ")
        events.append(_event(message_id, between, int(at), int(attempt)))
    finished = _int(record, b"finished")
    if finished is not None:
        events.append(_event(message_id, state, finished, _int(record, b"attempts") or 0))
    return tuple(events[-KEPT_EVENTS:])


def _first_state(record: Fields, created: int) -> State:
    """Return how a message began. It is only stored where its send time was changed."""
    if b"first" in record:
        return State(record[b"first"].decode())
    return State.SCHEDULED if (_int(record, b"send") or 0) > created else State.QUEUED


def _event(message_id: str, state: str, at: int, attempt: int) -> HistoryEvent:
    """Return one change of state. Its id is made of what it tells, and so the same at every reading."""
    event_id = f"evt_{message_id.removeprefix('msg_')}_{at}_{state}"
    return HistoryEvent(event_id, f"message.{state}", at, attempt or None)
