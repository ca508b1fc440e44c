"""What a server's replies come to, from the queue through a real dialogue and back into the record."""

from __future__ import annotations

from shared.domain.message import OnAmbiguous
from shared.domain.outcome import Outcome
from shared.domain.states import RecipientState, State
from tests.fakes.smtp_server import Act, Say, SmtpServer
from tests.services.sender.cluster import Cluster, ids_of, letter, relay
from tests.services.sender.journal import Journal


async def test_what_a_server_takes_is_sent_with_its_id(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)

    record = await cluster.came_to(State.SENT, await cluster.submit())

    (attempt,) = record.attempts
    assert ids_of(smtp.mails) == [record.id]
    assert (attempt.outcome, attempt.provider, attempt.provider_message_id) == (Outcome.ACCEPTED, "relay", "FAKE000001")
    assert [recipient.state for recipient in record.recipients] == [RecipientState.SENT]


async def test_a_451_is_tried_again_after_a_backoff(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("mail", Say("451 4.3.0 later"))
    await cluster.sends_through(smtp)

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.TEMPORARY, Outcome.ACCEPTED]
    assert record.rounds == 1
    pause = record.attempts[1].started_at - record.attempts[0].started_at
    assert pause >= 20  # a tenth of base_seconds


async def test_a_message_that_was_put_off_says_what_it_waits_for(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.always("mail", Say("451 4.3.0 later"))
    await cluster.sender(relay(smtp))

    record = await cluster.came_to(State.RETRYING, await cluster.submit())

    assert record.waiting is not None
    assert record.waiting.code == "backoff"
    assert record.waiting.until is not None


async def test_a_550_fails_with_the_words_of_the_server(cluster: Cluster, smtp: SmtpServer) -> None:
    await cluster.sends_through(smtp)

    record = await cluster.ended(await cluster.submit(letter("reply-550-5.1.1@example.org")))

    words = "550 5.1.1 <reply-550-5.1.1@example.org> asked for it"
    (recipient,) = record.recipients
    assert (record.state, len(record.attempts)) == (State.FAILED, 1)
    assert record.reason is not None
    assert (record.reason.code, record.reason.detail) == ("recipients_rejected", words)
    assert recipient.reason is not None
    assert (recipient.reason.code, recipient.reason.smtp_code, recipient.reason.enhanced_code) == (
        "recipient_rejected",
        550,
        "5.1.1",
    )


async def test_recipients_that_fare_differently_are_parted(cluster: Cluster, smtp: SmtpServer) -> None:
    """One copy to the first, one retry for the second alone, and the third's own reason."""
    await cluster.sends_through(smtp)

    record = await cluster.ended(
        await cluster.submit(letter("ada@example.org", "greylist@example.org", "reply-550-5.1.1@example.org"))
    )

    assert [mail.recipients for mail in smtp.mails] == [("ada@example.org",), ("greylist@example.org",)]
    assert record.state is State.PARTLY_SENT
    assert [recipient.state for recipient in record.recipients] == [
        RecipientState.SENT,
        RecipientState.SENT,
        RecipientState.FAILED,
    ]
    assert [attempt.recipients for attempt in record.attempts] == [(0, 1, 2), (1,)]
    assert record.recipients[2].reason is not None
    assert record.recipients[2].reason.detail == "550 5.1.1 <reply-550-5.1.1@example.org> asked for it"
    assert record.reason is not None
    assert record.reason.code == "recipients_rejected"


async def test_a_recipient_refused_in_a_later_round_keeps_its_own_words(cluster: Cluster, smtp: SmtpServer) -> None:
    # The second recipient is put off at first, refused later.
    smtp.plan("rcpt", Act.PASS, Say("451 4.3.0 later"), Say("550 5.1.1 nobody here"))
    await cluster.sends_through(smtp)

    record = await cluster.ended(await cluster.submit(letter("ada@example.org", "grace@example.org")))

    assert record.state is State.PARTLY_SENT
    reason = record.recipients[1].reason
    assert reason is not None
    assert (reason.code, reason.detail, reason.smtp_code) == ("recipient_rejected", "550 5.1.1 nobody here", 550)


async def test_a_lost_answer_is_tried_again_and_shown_as_a_possible_duplicate(
    cluster: Cluster, smtp: SmtpServer
) -> None:
    smtp.plan("end", Act.HANG)
    sender = await cluster.sends_through(smtp, answer_seconds=0.3)

    record = await cluster.came_to(State.SENT, await cluster.submit())

    assert [attempt.outcome for attempt in record.attempts] == [Outcome.AMBIGUOUS, Outcome.ACCEPTED]
    assert record.possible_duplicate
    assert ids_of(smtp.mails) == [record.id, record.id]
    assert await sender.metric("possible_duplicates_total") == 1


async def test_both_copies_of_a_possible_duplicate_are_one_message_to_mailboxes(
    cluster: Cluster, smtp: SmtpServer
) -> None:
    smtp.plan("end", Act.RESET)
    await cluster.sends_through(smtp)

    await cluster.came_to(State.SENT, await cluster.submit())

    first, second = (mail.message for mail in smtp.mails)
    assert (first["Message-ID"], first["Date"]) == (second["Message-ID"], second["Date"])


async def test_a_lost_answer_fails_a_message_whose_owner_wants_no_duplicate(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.plan("end", Act.HANG)
    await cluster.sends_through(smtp, answer_seconds=0.3)

    record = await cluster.ended(await cluster.submit(letter(on_ambiguous=OnAmbiguous.FAIL)))

    assert (record.state, record.possible_duplicate) == (State.FAILED, False)
    assert record.reason is not None
    assert record.reason.code == "ambiguous"
    assert len(smtp.mails) == 1


async def test_a_message_waits_for_a_server_that_is_down_and_burns_no_round(
    cluster: Cluster, smtp: SmtpServer, journal: Journal
) -> None:
    await smtp.refuse()
    await cluster.sends_through(smtp)
    message_id = await cluster.submit()
    await journal.saw("breaker_opened", provider="relay")
    down = await cluster.came_to(State.RETRYING, message_id)

    await smtp.start()
    record = await cluster.came_to(State.SENT, message_id)

    assert down.waiting is not None
    assert down.waiting.code == "no_provider_available"
    assert {attempt.outcome for attempt in record.attempts[:-1]} == {Outcome.PROVIDER_DOWN}
    assert record.rounds == 0


async def test_wrong_credentials_are_an_error_in_the_log_and_no_fault_of_the_message(
    cluster: Cluster, journal: Journal
) -> None:
    async with SmtpServer(users={"mail": "right"}) as server:
        sender = await cluster.sender(relay(server, username="mail", password=_secret(cluster, "wrong")))
        message_id = await cluster.submit()
        (line,) = await journal.saw("provider_misconfigured", provider="relay")
        record = await cluster.came_to(State.RETRYING, message_id)
        await sender.stop()

    assert line["level"] == "error"
    assert "535" in line["detail"]
    assert record.rounds == 0
    assert record.waiting is not None
    assert record.waiting.code == "no_provider_available"


async def test_rounds_that_are_spent_fail_what_is_pending(cluster: Cluster, smtp: SmtpServer) -> None:
    smtp.always("mail", Say("451 4.3.0 later"))
    await cluster.scheduler()
    await cluster.sender(relay(smtp), retry={"max_rounds": 2})

    record = await cluster.ended(await cluster.submit())

    assert (record.state, record.rounds, len(record.attempts)) == (State.FAILED, 2, 2)
    assert record.reason is not None
    assert (record.reason.code, record.reason.detail) == ("attempts_exhausted", "451 4.3.0 later")


def _secret(cluster: Cluster, word: str) -> dict[str, str]:
    path = cluster.folder / "secret"
    path.write_text(word)
    return {"file": str(path)}
