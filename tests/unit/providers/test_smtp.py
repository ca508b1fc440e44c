from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import ConfigurationError, ReliableEmailError
from shared.domain.message import Address, Envelope
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.interface import Parcel, Phase, Reply, SmtpLine, SmtpTransaction, Unsendable
from shared.providers.smtp import Smtp, SmtpOptions

SMTP = Smtp()
OPTIONS = SmtpOptions(host="relay.example.com")

ENVELOPE = Envelope(
    sender=Address("shop@example.com"),
    to=(Address("ada@example.org"), Address("grace@bücher.example")),
    bcc=(Address("archive@example.com"),),
    subject="Hello",
    text="It works.\n",
)
PARCEL = Parcel("msg_1", ENVELOPE, (0, 1, 2), "<msg_1@example.com>", 1_795_000_000_000)

OK = SmtpLine(250, "2.1.5 ok")
TAKEN = SmtpLine(250, "2.0.0 Ok: queued as Q1")
UNKNOWN = SmtpLine(550, "5.1.1 unknown")
GREYLISTED = SmtpLine(451, "4.7.1 greylisted")


def transaction(recipients: int) -> SmtpTransaction:
    return SmtpTransaction("s@example.com", tuple(f"r{n}@example.org" for n in range(recipients)), b"")


def ended(final: SmtpLine, *rcpt: SmtpLine, stage: str = "end") -> Verdict:
    return SMTP.classify(transaction(len(rcpt)), Reply(Phase.ANSWERED, stage=stage, final=final, rcpt=rcpt))


def broken(phase: Phase, stage: str, *rcpt: SmtpLine, kind: str = "reset", recipients: int = 2) -> Verdict:
    return SMTP.classify(transaction(recipients), Reply(phase, "it broke", kind, stage=stage, rcpt=rcpt))


def outcomes(verdict: Verdict) -> list[Outcome]:
    return [share.outcome for share in verdict.recipients]


class TestBuild:
    def test_the_envelope_names_every_recipient_of_the_parcel_in_its_order(self) -> None:
        request = SMTP.build(replace(PARCEL, recipients=(2, 0)), OPTIONS)

        assert (request.sender, request.recipients) == ("shop@example.com", ("archive@example.com", "ada@example.org"))

    def test_the_headers_stay_the_same_for_a_part_of_the_recipients(self) -> None:
        assert SMTP.build(replace(PARCEL, recipients=(1,)), OPTIONS).data == SMTP.build(PARCEL, OPTIONS).data

    def test_domains_travel_as_a_labels(self) -> None:
        assert SMTP.build(PARCEL, OPTIONS).recipients[1] == "grace@xn--bcher-kva.example"

    def test_bounces_go_to_the_return_path(self) -> None:
        parcel = replace(PARCEL, return_path="bounces@example.com")

        assert SMTP.build(parcel, OPTIONS).sender == "bounces@example.com"

    def test_an_ordinary_message_needs_no_extension(self) -> None:
        request = SMTP.build(PARCEL, OPTIONS)

        assert (request.needs_smtputf8, request.needs_8bitmime) == (False, False)

    def test_a_visible_local_part_beyond_ascii_needs_smtputf8_and_8bitmime(self) -> None:
        request = SMTP.build(
            replace(PARCEL, envelope=replace(ENVELOPE, to=(Address("jürgen@example.org"),)), recipients=(0,)), OPTIONS
        )

        assert (request.needs_smtputf8, request.needs_8bitmime) == (True, True)

    def test_a_blind_local_part_beyond_ascii_needs_smtputf8_alone(self) -> None:
        parcel = replace(PARCEL, envelope=replace(ENVELOPE, bcc=(Address("jürgen@example.org"),)))
        request = SMTP.build(parcel, OPTIONS)

        assert (request.needs_smtputf8, request.needs_8bitmime) == (True, False)

    @pytest.mark.parametrize("mark", ["\r", "\n", "\0", "<", ">", "\x7f", "\x85", "\u2028"])
    def test_an_address_that_could_end_its_command_is_refused(self, mark: str) -> None:
        parcel = replace(PARCEL, return_path=f"a{mark}b@example.com")

        with pytest.raises(Unsendable) as refusal:
            SMTP.build(parcel, OPTIONS)
        assert refusal.value.scope is Scope.MESSAGE

    def test_a_recipient_that_could_end_its_command_is_refused(self) -> None:
        parcel = replace(PARCEL, envelope=replace(ENVELOPE, bcc=(Address("a@b.example>\r\nDATA"),)))

        with pytest.raises(ReliableEmailError):
            SMTP.build(parcel, OPTIONS)


class TestOneVerdict:
    def test_a_message_that_all_recipients_got_is_accepted_under_the_servers_id(self) -> None:
        assert ended(TAKEN, OK, OK) == Verdict(
            Outcome.ACCEPTED,
            "250 2.0.0 Ok: queued as Q1",
            provider_message_id="Q1",
            smtp_code=250,
            enhanced_code="2.0.0",
        )

    def test_a_forwarded_recipient_counts_as_accepted(self) -> None:
        assert ended(TAKEN, SmtpLine(251, "will forward")).outcome is Outcome.ACCEPTED

    def test_a_lone_refused_recipient_gives_the_message_its_verdict(self) -> None:
        verdict = ended(UNKNOWN, UNKNOWN, stage="rcpt")

        assert (verdict.outcome, verdict.scope, verdict.smtp_code, verdict.enhanced_code) == (
            Outcome.REJECTED,
            Scope.MESSAGE,
            550,
            "5.1.1",
        )

    def test_recipients_that_all_shall_come_later_are_one_temporary_verdict(self) -> None:
        assert ended(GREYLISTED, GREYLISTED, GREYLISTED, stage="rcpt").outcome is Outcome.TEMPORARY

    def test_content_that_is_refused_may_go_to_another_provider(self) -> None:
        verdict = ended(SmtpLine(554, "5.7.1 spam"), OK, OK)

        assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, Scope.PROVIDER)

    def test_a_server_that_leaves_in_the_middle_is_down_for_all(self) -> None:
        assert ended(SmtpLine(421, "bye"), UNKNOWN, SmtpLine(421, "bye"), stage="rcpt").outcome is Outcome.PROVIDER_DOWN

    def test_a_refused_log_in_is_the_accounts_fault(self) -> None:
        reply = Reply(Phase.CONNECT, stage="auth", final=SmtpLine(535, "5.7.8 wrong"))

        assert SMTP.classify(transaction(1), reply).outcome is Outcome.MISCONFIGURED


class TestEachRecipient:
    def test_recipients_that_fared_differently_have_their_own_verdicts(self) -> None:
        verdict = ended(TAKEN, OK, UNKNOWN, GREYLISTED)

        assert verdict == Verdict(
            Outcome.PARTIAL,
            "1 accepted, 1 temporary, 1 rejected",
            provider_message_id="Q1",
            recipients=(
                RecipientVerdict(0, Outcome.ACCEPTED, "250 2.0.0 Ok: queued as Q1", Scope.MESSAGE, 250, "2.0.0"),
                RecipientVerdict(1, Outcome.REJECTED, "550 5.1.1 unknown", Scope.MESSAGE, 550, "5.1.1"),
                RecipientVerdict(2, Outcome.TEMPORARY, "451 4.7.1 greylisted", Scope.MESSAGE, 451, "4.7.1"),
            ),
        )

    def test_recipients_that_were_all_refused_keep_their_own_words(self) -> None:
        verdict = ended(UNKNOWN, SmtpLine(550, "5.1.2 no host"), UNKNOWN, stage="rcpt")

        assert [share.detail for share in verdict.recipients] == ["550 5.1.2 no host", "550 5.1.1 unknown"]

    def test_recipients_beyond_the_servers_count_wait_for_another_transaction(self) -> None:
        verdict = ended(TAKEN, OK, SmtpLine(452, "4.5.3 too many"))

        assert outcomes(verdict) == [Outcome.ACCEPTED, Outcome.THROTTLED]

    def test_the_reply_to_the_final_dot_holds_for_those_who_were_accepted_alone(self) -> None:
        verdict = ended(SmtpLine(451, "4.3.0 later"), OK, UNKNOWN)

        assert outcomes(verdict) == [Outcome.TEMPORARY, Outcome.REJECTED]

    def test_a_lost_reply_leaves_no_doubt_about_those_who_were_refused(self) -> None:
        assert outcomes(broken(Phase.SENT, "end", OK, UNKNOWN)) == [Outcome.AMBIGUOUS, Outcome.REJECTED]


class TestBrokenOff:
    @pytest.mark.parametrize("kind", ["refused", "timeout", "reset", "tls", "dns", "io"])
    def test_without_a_connection_nothing_was_taken(self, kind: str) -> None:
        assert broken(Phase.CONNECT, "greeting", kind=kind).outcome is Outcome.PROVIDER_DOWN

    @pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "end"])
    @pytest.mark.parametrize("kind", ["timeout", "reset", "io"])
    def test_before_the_final_dot_nothing_was_taken(self, stage: str, kind: str) -> None:
        assert broken(Phase.SENDING, stage, OK, UNKNOWN, kind=kind).outcome is Outcome.PROVIDER_DOWN

    @pytest.mark.parametrize("kind", ["timeout", "reset", "io"])
    def test_after_the_final_dot_nobody_knows(self, kind: str) -> None:
        assert broken(Phase.SENT, "end", OK, OK, kind=kind).outcome is Outcome.AMBIGUOUS

    def test_a_server_that_cannot_prove_itself_is_misconfigured(self) -> None:
        assert broken(Phase.CONNECT, "starttls", kind="certificate").outcome is Outcome.MISCONFIGURED

    def test_a_server_without_what_the_account_needs_is_misconfigured(self) -> None:
        assert broken(Phase.CONNECT, "starttls", kind="unsupported").outcome is Outcome.MISCONFIGURED

    def test_a_server_without_what_the_message_needs_leaves_it_to_another(self) -> None:
        verdict = broken(Phase.SENDING, "mail", kind="unsupported")

        assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, Scope.PROVIDER)

    def test_the_words_tell_the_failure_and_its_stage(self) -> None:
        assert broken(Phase.SENDING, "rcpt").detail == "it broke (rcpt)"

    def test_a_reply_that_makes_no_sense_is_ambiguous(self) -> None:
        assert SMTP.classify(transaction(1), Reply(Phase.ANSWERED)).outcome is Outcome.AMBIGUOUS


LINES = st.builds(SmtpLine, st.integers(-1, 999), st.text(max_size=20))
REPLIES = st.builds(
    Reply,
    st.sampled_from(Phase),
    st.text(max_size=5),
    st.sampled_from(["", "reset", "certificate", "unsupported", "?"]),
    stage=st.sampled_from(["", "greeting", "auth", "mail", "rcpt", "data", "end", "?"]),
    final=st.none() | LINES,
    rcpt=st.lists(LINES, max_size=3).map(tuple),
)


class TestAnyReply:
    @given(REPLIES, st.integers(0, 3))
    def test_a_partial_verdict_names_every_recipient_once(self, reply: Reply, recipients: int) -> None:
        verdict = SMTP.classify(transaction(recipients), reply)

        wanted = list(range(recipients)) if verdict.outcome is Outcome.PARTIAL else []
        assert [share.index for share in verdict.recipients] == wanted

    @given(REPLIES)
    def test_nobody_is_accepted_without_a_yes_to_the_final_dot(self, reply: Reply) -> None:
        verdict = SMTP.classify(transaction(2), reply)
        a_yes = reply.stage == "end" and reply.final is not None and 200 <= reply.final.code < 300

        accepted = {verdict.outcome, *outcomes(verdict)} & {Outcome.ACCEPTED}
        assert a_yes or not accepted


class TestOptions:
    @pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
    def test_a_password_may_go_to_loopback_without_tls(self, host: str) -> None:
        SmtpOptions(host=host, tls="none", username="mail", password=Secret("x"))

    @pytest.mark.parametrize(
        ("more", "key"),
        [
            ({"host": ""}, "host"),
            ({"host": "relay.example.com:25/x"}, "host"),
            ({"host": "relay.example.com\r\n"}, "host"),
            ({"port": 0}, "port"),
            ({"port": 65_536}, "port"),
            ({"username": "mail"}, "password"),
            ({"password": Secret("x")}, "password"),
            ({"tls": "none", "username": "mail", "password": Secret("x")}, "password"),
        ],
    )
    def test_keys_that_cannot_work_are_refused(self, more: dict[str, object], key: str) -> None:
        with pytest.raises(ConfigurationError) as refusal:
            SmtpOptions(**{"host": "relay.example.com", **more})  # type: ignore[arg-type]  # fields by name
        assert [fault.where for fault in refusal.value.faults] == [key]
