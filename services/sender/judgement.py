"""What a verdict means for a message: who is decided, who is left, and what comes next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from shared.domain.message import Attempt, Reason, RecipientResult, RouteStep
from shared.domain.outcome import Consequence, Next, Outcome, RecipientVerdict, Scope, Verdict, consequence
from shared.domain.states import RecipientState
from shared.queue.leases import Decided

_ENDS: Final = {Outcome.ACCEPTED: RecipientState.SENT, Outcome.REJECTED: RecipientState.FAILED}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What follows from one attempt.

    `decided` are the recipients it ended and `left` those that are still pending. `next` is what
    those do: `FAILOVER` or `DELAY`, `END` where none is left. `all_state` is set where one state
    ends every recipient the message still had; then nothing is stored for each.
    """

    decided: tuple[Decided, ...]
    left: tuple[int, ...]
    next: Next
    counts_round: bool
    is_doubtful: bool
    refuses: bool
    all_state: RecipientState | None = None
    reason: str | None = None


def _all(state: RecipientState, reason: str | None) -> Judgement:
    return Judgement(
        (), (), Next.END, counts_round=False, is_doubtful=False, refuses=False, all_state=state, reason=reason
    )


_ALL_SENT: Final = _all(RecipientState.SENT, None)
_MESSAGE_REJECTED: Final = _all(RecipientState.FAILED, "message_rejected")
_RECIPIENTS_REJECTED: Final = _all(RecipientState.FAILED, "recipients_rejected")


def judge(verdict: Verdict, provider: str, pending: tuple[int, ...]) -> Judgement:
    """Return what a verdict means for the recipients that the attempt was for."""
    if verdict.outcome is Outcome.PARTIAL:
        return _judge_each(verdict, provider, pending)
    follows = consequence(verdict.outcome, verdict.scope)
    refuses = verdict.outcome is Outcome.REJECTED and verdict.scope is Scope.PROVIDER
    doubtful = verdict.outcome is Outcome.AMBIGUOUS
    if follows.next is not Next.END:
        return Judgement((), pending, follows.next, follows.counts_round, doubtful, refuses)
    if verdict.outcome is Outcome.ACCEPTED:
        return _ALL_SENT
    return _MESSAGE_REJECTED if _blames_message(verdict) else _RECIPIENTS_REJECTED


def _judge_each(verdict: Verdict, provider: str, pending: tuple[int, ...]) -> Judgement:
    shares = {share.index: share for share in verdict.recipients}
    decided, left, follow = [], [], []
    for index in pending:
        # A recipient that the verdict forgot was not served, as far as anybody knows.
        share = shares.get(index) or RecipientVerdict(index, Outcome.TEMPORARY, "the provider did not mention it")
        follows = consequence(share.outcome, share.scope)
        if follows.next is Next.END:
            decided.append(_end(share, provider, verdict))
        else:
            left.append(index)
            follow.append(follows)
    ends = {end.state for end in decided}
    return Judgement(
        decided=tuple(decided),
        left=tuple(left),
        next=_next(follow),
        counts_round=any(follows.counts_round for follows in follow),
        is_doubtful=any(follows.next is Next.DELAY for follows in follow),
        refuses=False,
        reason="recipients_rejected" if RecipientState.FAILED in ends else None,
    )


def _next(follow: list[Consequence]) -> Next:
    if not follow:
        return Next.END
    return Next.DELAY if any(follows.next is Next.DELAY for follows in follow) else Next.FAILOVER


def _end(share: RecipientVerdict, provider: str, verdict: Verdict) -> Decided:
    state = _ENDS[share.outcome]
    if state is RecipientState.SENT:
        return Decided(share.index, state, provider, verdict.provider_message_id)
    why = Reason("recipient_rejected", share.detail, None, share.smtp_code, share.enhanced_code)
    return Decided(share.index, state, provider, None, why)


def _blames_message(verdict: Verdict) -> bool:
    """Whether a rejection was of the message's content: RFC 3463, subject 6 and 7; else it was of its recipients."""
    if verdict.enhanced_code is None:
        return verdict.smtp_code is None
    return verdict.enhanced_code.split(".")[1] in {"6", "7"}


def legible(verdict: Verdict) -> Verdict:
    """Return a verdict with words that every codec takes: what a provider said need not be Unicode."""
    if verdict.detail.isascii() and not verdict.recipients and (verdict.provider_message_id or "").isascii():
        return verdict
    accepted_as = verdict.provider_message_id
    return replace(
        verdict,
        detail=_legible(verdict.detail),
        provider_message_id=None if accepted_as is None else _legible(accepted_as),
        recipients=tuple(replace(share, detail=_legible(share.detail)) for share in verdict.recipients),
    )


def _legible(words: str) -> str:
    return words if words.isascii() else words.encode("utf-8", "replace").decode()


def attempt_of(
    verdict: Verdict,
    *,
    number: int,
    provider: str,
    started_at: int,
    duration_ms: int,
    recipients: tuple[int, ...],
    route: tuple[RouteStep, ...],
) -> Attempt:
    """Return the closed attempt that a verdict makes."""
    return Attempt(
        number=number,
        provider=provider,
        started_at=started_at,
        duration_ms=duration_ms,
        outcome=verdict.outcome,
        detail=verdict.detail,
        retry_after_seconds=verdict.retry_after_seconds,
        provider_message_id=verdict.provider_message_id,
        recipients=recipients,
        results=tuple(
            RecipientResult(share.index, share.outcome, share.detail, share.smtp_code, share.enhanced_code)
            for share in verdict.recipients
        ),
        route=route,
        smtp_code=verdict.smtp_code,
        enhanced_code=verdict.enhanced_code,
    )
