from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.outcome import Outcome, Scope
from shared.providers.interface import SmtpLine
from shared.providers.smtp.replies import RULES, Judgement, Rule, enhanced_code, judge, message_id, words

STAGES = ("greeting", "ehlo", "starttls", "auth", "mail", "rcpt", "data", "end")

DOWN = Judgement(Outcome.PROVIDER_DOWN)
THROTTLED = Judgement(Outcome.THROTTLED)
TEMPORARY = Judgement(Outcome.TEMPORARY)
MISCONFIGURED = Judgement(Outcome.MISCONFIGURED)
NOT_HERE = Judgement(Outcome.REJECTED, Scope.PROVIDER)
NOWHERE = Judgement(Outcome.REJECTED, Scope.MESSAGE)

TABLE = [
    # Leaving, at any stage.
    *[(stage, "421 4.3.0 closing", DOWN) for stage in STAGES],
    ("rcpt", "421 4.7.0 too many messages", DOWN),
    # Before anyone is logged in.
    ("greeting", "450 not yet", DOWN),
    ("greeting", "554 5.7.1 no service for you", MISCONFIGURED),
    ("ehlo", "502 unknown", MISCONFIGURED),
    ("starttls", "454 4.7.0 TLS not available", DOWN),
    ("starttls", "501 5.5.4 no parameters", MISCONFIGURED),
    # AUTH.
    ("auth", "535 5.7.8 authentication credentials invalid", MISCONFIGURED),
    ("auth", "534 5.7.14 please log in through your browser", MISCONFIGURED),
    ("auth", "538 5.7.11 encryption required", MISCONFIGURED),
    ("auth", "530 5.7.0 must issue a STARTTLS command first", MISCONFIGURED),
    ("auth", "535 authentication failed", MISCONFIGURED),
    ("auth", "454 4.7.0 temporary authentication failure", DOWN),
    ("auth", "454 Throttling failure: Maximum sending rate exceeded.", THROTTLED),
    ("auth", "451 Authentication failed: Maximum credits exceeded", THROTTLED),
    ("auth", "535 5.7.0 Too many connections", THROTTLED),
    # Rates, wherever they are told.
    ("mail", "454 Throttling failure: Maximum sending rate exceeded.", THROTTLED),
    ("end", "454 Throttling failure: Daily message quota exceeded.", THROTTLED),
    ("rcpt", "450 4.2.1 The user is receiving mail at a rate that prevents delivery", THROTTLED),
    ("rcpt", "451 4.7.1 Too many messages from you, slow down", THROTTLED),
    ("end", "451 4.7.0 sending rate limited", THROTTLED),
    ("mail", "451 too many messages", THROTTLED),
    # MAIL.
    ("mail", "550 5.7.1 sender not allowed", MISCONFIGURED),
    ("mail", "553 5.1.8 bad sender's domain", MISCONFIGURED),
    ("mail", "550 5.7.60 client does not have permissions to send as this sender", MISCONFIGURED),
    ("mail", "554 Message rejected: Email address is not verified.", MISCONFIGURED),
    ("mail", "553 not allowed to send as <shop@example.com>", MISCONFIGURED),
    ("mail", "550 The from address does not match a verified Sender Identity", MISCONFIGURED),
    ("mail", "530 5.7.0 authentication required", MISCONFIGURED),
    ("mail", "552 5.3.4 message size exceeds fixed limit", NOT_HERE),
    ("mail", "552 too big", NOT_HERE),
    ("mail", "555 unsupported parameter", NOT_HERE),
    ("mail", "553 5.6.7 needs SMTPUTF8", NOT_HERE),
    ("mail", "451 4.3.0 local error", TEMPORARY),
    ("mail", "501 5.5.4 syntax", MISCONFIGURED),
    # RCPT, for one recipient.
    ("rcpt", "550 5.1.1 user unknown", NOWHERE),
    ("rcpt", "550 5.1.2 host unknown", NOWHERE),
    ("rcpt", "550 5.1.3 bad address", NOWHERE),
    ("rcpt", "553 5.1.3 bad address syntax", NOWHERE),
    ("rcpt", "550 5.1.6 moved", NOWHERE),
    ("rcpt", "550 5.1.10 recipient not found", NOWHERE),
    ("rcpt", "501 5.1.3 bad recipient", NOWHERE),
    ("rcpt", "550 no such user here", NOWHERE),
    ("rcpt", "551 user not local", NOWHERE),
    ("rcpt", "550 5.2.1 mailbox disabled", NOWHERE),
    ("rcpt", "550 5.7.1 Unable to relay", MISCONFIGURED),
    ("rcpt", "554 5.7.1 <x@example.org>: Relay access denied", MISCONFIGURED),
    ("rcpt", "550 5.7.54 SMTP; unable to relay recipient in non-accepted domain", MISCONFIGURED),
    ("rcpt", "550 relaying denied", MISCONFIGURED),
    ("rcpt", "553 5.7.1 <shop@example.com>: Sender address rejected: not owned by user mail", MISCONFIGURED),
    ("rcpt", "550 5.1.8 sender's domain does not exist", MISCONFIGURED),
    ("rcpt", "550 5.7.1 blocked by policy", NOT_HERE),
    ("rcpt", "552 5.3.4 message too big for this recipient", NOT_HERE),
    ("rcpt", "554 transaction failed", NOT_HERE),
    ("rcpt", "450 mailbox busy", TEMPORARY),
    ("rcpt", "451 4.7.1 greylisted, come back in 300 seconds", TEMPORARY),
    ("rcpt", "452 4.2.2 mailbox full, over quota, too many messages", TEMPORARY),
    ("rcpt", "450 4.1.2 domain not found", TEMPORARY),
    ("rcpt", "451 4.4.3 DNS timeout", TEMPORARY),
    ("rcpt", "452 4.5.3 too many recipients", THROTTLED),
    ("rcpt", "452 4.5.3 no more of them", THROTTLED),
    ("rcpt", "552 5.5.3 no more of them", THROTTLED),
    ("rcpt", "552 too many recipients", THROTTLED),
    ("rcpt", "503 5.5.1 need MAIL first", MISCONFIGURED),
    # DATA and the final dot.
    ("end", "550 5.7.1 looks like spam", NOT_HERE),
    ("end", "554 5.6.0 malformed message", NOT_HERE),
    ("end", "500 5.6.11 line too long", NOT_HERE),
    ("end", "552 5.3.4 too big", NOT_HERE),
    ("end", "554 transaction failed", NOT_HERE),
    ("end", "554 Message rejected: Email address is not verified.", MISCONFIGURED),
    ("end", "451 local error", TEMPORARY),
    ("end", "452 4.3.1 insufficient storage", TEMPORARY),
    ("end", "450 4.7.1 try again", TEMPORARY),
    ("data", "451 4.3.0 not now", TEMPORARY),
    ("data", "554 no valid recipients", NOT_HERE),
    # Command, parameter, sequence: at every stage of a transaction.
    *[(stage, f"{code} what?", MISCONFIGURED) for stage in ("mail", "rcpt", "data", "end") for code in range(500, 505)],
    # Out of place: nobody knows after the final dot, nothing was taken before it.
    ("end", "354 go on", Judgement(Outcome.AMBIGUOUS)),
    ("data", "250 ok", DOWN),
    ("mail", "354 go ahead", DOWN),
]


def line(text: str) -> SmtpLine:
    code, _, rest = text.partition(" ")
    return SmtpLine(int(code), rest)


@pytest.mark.parametrize(
    ("stage", "reply", "judgement"), TABLE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_reply_means(stage: str, reply: str, judgement: Judgement) -> None:
    assert judge(stage, line(reply)) == judgement


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.stages}{rule.codes}{rule.enhanced}")
def test_every_rule_decides_a_case_of_the_table(rule: Rule) -> None:
    def deciding(stage: str, text: str) -> Rule | None:
        reply = line(text)
        return next((rule for rule in RULES if rule.fits(stage, reply, enhanced_code(reply))), None)

    assert any(deciding(stage, text) is rule for stage, text, _ in TABLE)


@given(st.sampled_from(STAGES), st.integers(400, 599), st.text())
def test_every_negative_reply_is_judged_and_none_is_taken_for_a_yes(stage: str, code: int, text: str) -> None:
    assert judge(stage, SmtpLine(code, text)).outcome not in {Outcome.ACCEPTED, Outcome.AMBIGUOUS, Outcome.PARTIAL}


@given(st.sampled_from(("mail", "rcpt", "data", "end")), st.integers(422, 499), st.text())
def test_what_is_to_be_tried_later_is_never_refused_for_good(stage: str, code: int, text: str) -> None:
    assert judge(stage, SmtpLine(code, text)).outcome is not Outcome.REJECTED


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("550 5.1.1 unknown", "5.1.1"),
        ("550 5.1.10", "5.1.10"),
        ("550 5.1.1\n5.1.1 unknown", "5.1.1"),
        ("250 4.1.1 of another class", None),
        ("550 unknown 5.1.1", None),
        ("550 5.1.1.7 an address", None),
        ("550 5.1.1-x", None),
    ],
)
def test_an_enhanced_code_stands_first_and_fits_the_number(text: str, code: str | None) -> None:
    assert enhanced_code(line(text)) == code


@pytest.mark.parametrize(
    ("text", "known_as"),
    [
        ("2.0.0 Ok: queued as 4XyZ1c2n3", "4XyZ1c2n3"),
        ("Ok 0102018f3c-1a2b-000000", "0102018f3c-1a2b-000000"),
        ("Ok: queued as Rz4-TqV_Q", "Rz4-TqV_Q"),
        ("OK id=1rXyZ2-0003Ab-1C", "1rXyZ2-0003Ab-1C"),
        (
            "2.6.0 <a@b> [InternalId=7, Hostname=x] Queued mail for delivery",
            "<a@b> [InternalId=7, Hostname=x] Queued mail for delivery",
        ),
        ("2.0.0 OK  1700000000 d9-2c - gsmtp", "OK 1700000000 d9-2c - gsmtp"),
        ("", ""),
    ],
)
def test_the_id_is_what_the_server_queued_it_as_else_all_it_said(text: str, known_as: str) -> None:
    assert message_id(text) == known_as


def test_a_reply_of_several_lines_is_told_on_one() -> None:
    assert words(SmtpLine(550, "5.1.1 unknown\n5.1.1  really")) == "550 5.1.1 unknown 5.1.1 really"
