from __future__ import annotations

import pytest

from shared.domain.message import Address, Envelope
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.providers.interface import Parcel, Phase, Rehearsal, Reply
from shared.providers.sandbox import Sandbox, SandboxOptions


def rehearsed(*recipients: str) -> Rehearsal:
    envelope = Envelope(sender=Address("shop@example.com"), to=tuple(map(Address, recipients)))
    parcel = Parcel("msg_1", envelope, tuple(range(len(recipients))), "<msg_1@example.com>", 0)
    return Sandbox().build(parcel, SandboxOptions())


@pytest.mark.parametrize(
    ("recipient", "outcome"),
    [
        ("ada@example.org", Outcome.ACCEPTED),
        ("not-rejected@example.org", Outcome.ACCEPTED),
        ("rejected@example.org", Outcome.REJECTED),
        ("Rejected@example.org", Outcome.REJECTED),
        ("temporary@example.org", Outcome.TEMPORARY),
        ("throttled@example.org", Outcome.THROTTLED),
    ],
)
def test_a_recipient_says_what_happens(recipient: str, outcome: Outcome) -> None:
    request = rehearsed(recipient)

    assert (request.verdict.outcome, request.verdict.scope, request.delay_seconds) == (outcome, Scope.MESSAGE, 0.0)


def test_only_what_is_throttled_is_asked_to_wait() -> None:
    assert [rehearsed(f"{name}@x.test").verdict.retry_after_seconds for name in ("throttled", "temporary")] == [
        1.0,
        None,
    ]


def test_only_what_is_accepted_gets_an_id() -> None:
    assert [rehearsed(f"{name}@x.test").verdict.provider_message_id for name in ("ada", "rejected")] == ["msg_1", None]


def test_recipients_with_different_fates_make_it_partial() -> None:
    verdict = rehearsed("ada@x.test", "rejected@x.test", "throttled@x.test").verdict

    assert (verdict.outcome, [(share.index, share.outcome) for share in verdict.recipients]) == (
        Outcome.PARTIAL,
        [(0, Outcome.ACCEPTED), (1, Outcome.REJECTED), (2, Outcome.THROTTLED)],
    )


def test_recipients_with_the_same_fate_make_one_verdict() -> None:
    assert rehearsed("rejected@x.test", "rejected@y.test").verdict.outcome is Outcome.REJECTED


def test_a_recipient_that_hangs_holds_up_all() -> None:
    assert rehearsed("ada@x.test", "hang@x.test").delay_seconds is None


def test_what_was_planned_is_the_verdict() -> None:
    request = rehearsed("temporary@x.test")

    assert Sandbox().classify(request, Reply(Phase.ANSWERED)) is request.verdict


def test_an_answer_that_never_came_is_ambiguous() -> None:
    verdict = Sandbox().classify(rehearsed("hang@x.test"), Reply(Phase.SENT, "no answer in 30 s", "timeout"))

    assert verdict == Verdict(Outcome.AMBIGUOUS, "no answer in 30 s")
