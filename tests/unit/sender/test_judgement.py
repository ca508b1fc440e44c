"""What each verdict means for the message, in all its cases."""

from __future__ import annotations

import pytest

from services.sender.judgement import attempt_of, judge, legible
from shared.domain.message import Reason, RecipientResult
from shared.domain.outcome import Next, Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.states import RecipientState
from shared.queue.leases import Decided

EVERYBODY = (0, 1, 2)


@pytest.mark.parametrize(
    ("outcome", "scope", "follows", "counts", "doubtful", "refuses"),
    [
        (Outcome.TEMPORARY, Scope.MESSAGE, Next.FAILOVER, True, False, False),
        (Outcome.THROTTLED, Scope.MESSAGE, Next.FAILOVER, False, False, False),
        (Outcome.PROVIDER_DOWN, Scope.MESSAGE, Next.FAILOVER, False, False, False),
        (Outcome.MISCONFIGURED, Scope.MESSAGE, Next.FAILOVER, False, False, False),
        (Outcome.REJECTED, Scope.PROVIDER, Next.FAILOVER, False, False, True),
        (Outcome.AMBIGUOUS, Scope.MESSAGE, Next.DELAY, True, True, False),
    ],
)
def test_what_did_not_work_leaves_every_recipient(
    outcome: Outcome, scope: Scope, follows: Next, counts: bool, doubtful: bool, refuses: bool
) -> None:
    judgement = judge(Verdict(outcome, "words", scope), "relay", EVERYBODY)

    assert (judgement.decided, judgement.left, judgement.all_state) == ((), EVERYBODY, None)
    assert (judgement.next, judgement.counts_round, judgement.is_doubtful, judgement.refuses) == (
        follows,
        counts,
        doubtful,
        refuses,
    )


def test_an_acceptance_ends_every_recipient_alike() -> None:
    judgement = judge(Verdict(Outcome.ACCEPTED), "relay", EVERYBODY)

    assert (judgement.next, judgement.all_state, judgement.reason) == (Next.END, RecipientState.SENT, None)
    assert (judgement.decided, judgement.left) == ((), ())


@pytest.mark.parametrize(
    ("smtp_code", "enhanced_code", "reason"),
    [
        (None, None, "message_rejected"),
        (550, None, "recipients_rejected"),
        (550, "5.1.1", "recipients_rejected"),
        (554, "5.6.0", "message_rejected"),
        (550, "5.7.1", "message_rejected"),
    ],
)
def test_a_rejection_blames_the_message_or_its_recipients(
    smtp_code: int | None, enhanced_code: str | None, reason: str
) -> None:
    """RFC 3463: subjects 6 and 7 are about the content; what HTTP refuses as a whole is the message."""
    verdict = Verdict(Outcome.REJECTED, "no", smtp_code=smtp_code, enhanced_code=enhanced_code)

    judgement = judge(verdict, "relay", EVERYBODY)

    assert (judgement.next, judgement.all_state, judgement.reason) == (Next.END, RecipientState.FAILED, reason)


def partial(*shares: RecipientVerdict) -> Verdict:
    return Verdict(Outcome.PARTIAL, "parted", provider_message_id="id-1", recipients=shares)


def test_each_recipient_follows_its_own_outcome() -> None:
    verdict = partial(
        RecipientVerdict(0, Outcome.ACCEPTED, "250 ok"),
        RecipientVerdict(1, Outcome.TEMPORARY, "451 later"),
        RecipientVerdict(2, Outcome.REJECTED, "550 no", Scope.MESSAGE, 550, "5.1.1"),
    )

    judgement = judge(verdict, "relay", EVERYBODY)

    assert judgement.decided == (
        Decided(0, RecipientState.SENT, "relay", "id-1"),
        Decided(2, RecipientState.FAILED, "relay", None, Reason("recipient_rejected", "550 no", None, 550, "5.1.1")),
    )
    assert (judgement.left, judgement.next) == ((1,), Next.FAILOVER)
    assert (judgement.counts_round, judgement.reason, judgement.all_state) == (True, "recipients_rejected", None)


def test_nobody_left_is_an_end() -> None:
    verdict = partial(RecipientVerdict(0, Outcome.ACCEPTED), RecipientVerdict(1, Outcome.REJECTED))

    judgement = judge(verdict, "relay", (0, 1))

    assert (judgement.left, judgement.next) == ((), Next.END)


def test_one_lost_answer_among_several_delays_all_that_are_left() -> None:
    verdict = partial(RecipientVerdict(0, Outcome.TEMPORARY), RecipientVerdict(1, Outcome.AMBIGUOUS))

    judgement = judge(verdict, "relay", (0, 1))

    assert (judgement.next, judgement.is_doubtful, judgement.left) == (Next.DELAY, True, (0, 1))


def test_recipients_that_only_wait_for_a_provider_count_no_round() -> None:
    verdict = partial(RecipientVerdict(0, Outcome.ACCEPTED), RecipientVerdict(1, Outcome.THROTTLED))

    assert not judge(verdict, "relay", (0, 1)).counts_round


def test_a_recipient_that_the_provider_forgot_is_not_served() -> None:
    judgement = judge(partial(RecipientVerdict(0, Outcome.ACCEPTED)), "relay", (0, 1))

    assert (judgement.left, judgement.next) == ((1,), Next.FAILOVER)


def test_a_recipient_that_was_not_asked_for_is_not_decided() -> None:
    verdict = partial(RecipientVerdict(0, Outcome.ACCEPTED), RecipientVerdict(7, Outcome.REJECTED))

    assert [end.recipient for end in judge(verdict, "relay", (0,)).decided] == [0]


def test_an_attempt_tells_all_that_the_verdict_said() -> None:
    verdict = partial(RecipientVerdict(0, Outcome.REJECTED, "550 no", Scope.MESSAGE, 550, "5.1.1"))

    attempt = attempt_of(
        verdict, number=3, provider="relay", started_at=1_000, duration_ms=12, recipients=(0,), route=()
    )

    assert (attempt.number, attempt.provider, attempt.started_at, attempt.duration_ms) == (3, "relay", 1_000, 12)
    assert (attempt.outcome, attempt.detail, attempt.provider_message_id) == (Outcome.PARTIAL, "parted", "id-1")
    assert attempt.results == (RecipientResult(0, Outcome.REJECTED, "550 no", 550, "5.1.1"),)


def test_words_that_are_no_unicode_become_legible() -> None:
    verdict = Verdict(
        Outcome.PARTIAL,
        "\udcff a",
        provider_message_id="\udcff b",
        recipients=(RecipientVerdict(0, Outcome.ACCEPTED, "\udcff c"),),
    )

    said = legible(verdict)

    assert (said.detail, said.provider_message_id, said.recipients[0].detail) == ("? a", "? b", "? c")


@pytest.mark.parametrize("words", ["250 ok", "550 nicht zustellbar: Postfach unbekannt, überfüllt", ""])
def test_legible_words_stay_as_they_are(words: str) -> None:
    verdict = Verdict(Outcome.TEMPORARY, words, recipients=(RecipientVerdict(0, Outcome.TEMPORARY, words),))

    assert legible(verdict) == verdict
