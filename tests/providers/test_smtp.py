"""The SMTP transport against a server that misbehaves on cue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from services.sender.transport import Channel, open_channel, smtp, smtp_connection
from services.sender.transport.smtp import SmtpTransport
from shared.domain.errors import ConfigurationError
from shared.domain.message import Address
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.interface import Phase, Reply, SmtpTransaction
from shared.providers.smtp import SmtpOptions
from shared.settings.model import ProviderSettings
from tests.fakes.certificate import make_certificate, server_context
from tests.fakes.smtp_server import CLOSE, DEAF, HANG, PASS, RESET, Action, Say, SmtpServer
from tests.providers.parcels import envelope_to, parcel_of, parcel_to

PLAIN = SmtpOptions(host="127.0.0.1", tls="none")
Open = Callable[..., Channel]


@pytest.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


@pytest.fixture
async def open_to() -> AsyncIterator[Open]:
    """Opens channels to a server, and closes them."""
    opened: list[Channel] = []

    def open_to(server: SmtpServer, options: SmtpOptions = PLAIN, **more: object) -> Channel:
        settings = ProviderSettings(name="relay", kind="smtp", options=replace(options, port=server.port))
        opened.append(open_channel(replace(settings, **more)))  # type: ignore[arg-type]  # fields by name
        return opened[-1]

    yield open_to
    for channel in opened:
        await channel.close()


@pytest.fixture
def channel(server: SmtpServer, open_to: Open) -> Channel:
    return open_to(server)


async def carried(server: SmtpServer, data: bytes, *recipients: str) -> Reply:
    """Carry one transaction below the channel, where the bytes are ours."""
    transport = SmtpTransport(replace(PLAIN, port=server.port), concurrency=1, connect_seconds=5, answer_seconds=60)
    reply = await transport.exchange(SmtpTransaction("s@x.test", recipients or ("r@x.test",), data))
    await transport.close()
    return reply


def verbs(server: SmtpServer) -> list[str]:
    return [command.split()[0] for command in server.commands]


class TestPool:
    async def test_messages_share_a_connection(self, server: SmtpServer, channel: Channel) -> None:
        for serial in range(3):
            await channel.deliver(parcel_to(serial=serial))

        assert [mail.connection for mail in server.mails] == [1, 1, 1]

    async def test_a_message_costs_four_commands_and_no_more(self, server: SmtpServer, channel: Channel) -> None:
        await channel.deliver(parcel_to())
        await channel.deliver(parcel_to())

        assert verbs(server) == ["EHLO", *["MAIL", "RCPT", "DATA"] * 2]

    async def test_there_are_never_more_connections_than_the_concurrency(
        self, server: SmtpServer, open_to: Open
    ) -> None:
        channel = open_to(server, concurrency=3)
        await asyncio.gather(*(channel.deliver(parcel_to(serial=serial)) for serial in range(20)))

        assert server.connections == 3

    async def test_a_connection_retires_after_a_hundred_messages(self, server: SmtpServer, channel: Channel) -> None:
        for serial in range(101):
            await channel.deliver(parcel_to(serial=serial))

        assert (server.mails[99].connection, server.mails[100].connection) == (1, 2)

    async def test_an_idle_connection_takes_its_leave(
        self, server: SmtpServer, channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtp, "_IDLE_SECONDS", 0.0)
        await channel.deliver(parcel_to())

        await server.all_gone()
        assert server.commands[-1] == "QUIT"

    async def test_closing_says_goodbye(self, server: SmtpServer, channel: Channel) -> None:
        await channel.deliver(parcel_to())
        await channel.close()

        assert server.commands[-1] == "QUIT"

    async def test_a_farewell_that_is_not_answered_holds_up_nobody(
        self, server: SmtpServer, channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtp_connection, "_QUIT_SECONDS", 0.01)
        server.always("quit", HANG)
        await channel.deliver(parcel_to())

        await channel.close()
        await server.all_gone()

    @pytest.mark.parametrize("refusal", ["mail", "rcpt", "data"])
    async def test_a_failed_transaction_is_reset_before_the_next(
        self, refusal: str, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan(refusal, Say("451 4.3.0 not now"))
        await channel.deliver(parcel_to())

        assert (await channel.deliver(parcel_to())).outcome is Outcome.ACCEPTED
        assert (server.connections, server.reached["rset"]) == (1, 1)

    async def test_no_data_is_sent_for_nobody(self, server: SmtpServer, channel: Channel) -> None:
        await channel.deliver(parcel_to("reply-550-5.1.1@x.test"))

        assert "DATA" not in verbs(server)


class TestStaleConnections:
    @pytest.mark.parametrize("end", [CLOSE, RESET, Say("421 4.4.2 idle for too long")])
    async def test_a_connection_given_up_while_idle_is_replaced(
        self, end: Action, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan("mail", PASS, end)
        await channel.deliver(parcel_to(serial=0))

        assert (await channel.deliver(parcel_to(serial=1))).outcome is Outcome.ACCEPTED
        assert [mail.connection for mail in server.mails] == [1, 2]

    async def test_one_that_broke_at_its_reset_is_replaced_too(self, server: SmtpServer, channel: Channel) -> None:
        server.plan("rset", CLOSE)
        await channel.deliver(parcel_to("reply-550@x.test"))

        assert (await channel.deliver(parcel_to())).outcome is Outcome.ACCEPTED

    async def test_one_that_is_known_to_be_gone_is_not_even_tried(self, server: SmtpServer, channel: Channel) -> None:
        await channel.deliver(parcel_to())
        await server.drop()

        assert (await channel.deliver(parcel_to())).outcome is Outcome.ACCEPTED
        assert server.reached["mail"] == 2

    async def test_the_replacement_is_tried_once(self, server: SmtpServer, channel: Channel) -> None:
        server.plan("mail", PASS, CLOSE, CLOSE)
        await channel.deliver(parcel_to())

        assert (await channel.deliver(parcel_to())).outcome is Outcome.PROVIDER_DOWN
        assert server.connections == 2

    async def test_a_new_connection_that_breaks_is_the_servers_fault(
        self, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan("mail", CLOSE)

        assert (await channel.deliver(parcel_to())).outcome is Outcome.PROVIDER_DOWN
        assert server.connections == 1

    async def test_one_that_breaks_later_than_at_its_first_command_is_too(
        self, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan("rcpt", PASS, CLOSE)
        await channel.deliver(parcel_to())

        assert (await channel.deliver(parcel_to())).outcome is Outcome.PROVIDER_DOWN
        assert server.connections == 1


class TestBreakingOff:
    @pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data"])
    @pytest.mark.parametrize("end", [CLOSE, RESET, Say("421 4.3.2 shutting down")])
    async def test_before_the_final_dot_the_provider_is_down_and_nothing_is_taken(
        self, stage: str, end: Action, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan(stage, end)
        verdict = await channel.deliver(parcel_to())

        assert (verdict.outcome, server.mails) == (Outcome.PROVIDER_DOWN, [])

    async def test_a_server_that_leaves_between_recipients_has_the_last_word(
        self, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan("rcpt", PASS, Say("421 4.3.2 shutting down"))
        verdict = await channel.deliver(parcel_to("a@x.test", "b@x.test", "c@x.test"))

        assert (verdict.outcome, verdict.smtp_code) == (Outcome.PROVIDER_DOWN, 421)

    async def test_a_small_message_cut_off_while_it_was_under_way_leaves_doubt(
        self, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan("content", RESET)

        assert (await channel.deliver(parcel_to())).outcome is Outcome.AMBIGUOUS

    async def test_a_large_message_cut_off_in_its_middle_was_not_taken(self, server: SmtpServer) -> None:
        server.plan("content", RESET)
        reply = await carried(server, (b"x" * 998 + b"\r\n") * 32_000)

        assert (reply.phase, reply.error_kind) == (Phase.SENDING, "reset")

    @pytest.mark.parametrize("end", [CLOSE, RESET])
    async def test_after_the_final_dot_nobody_knows(self, end: Action, server: SmtpServer, channel: Channel) -> None:
        server.plan("end", end)
        verdict = await channel.deliver(parcel_to())

        assert (verdict.outcome, len(server.mails)) == (Outcome.AMBIGUOUS, 1)

    async def test_421_to_the_final_dot_is_an_answer(self, server: SmtpServer, channel: Channel) -> None:
        server.plan("end", Say("421 4.3.2 shutting down"))

        assert (await channel.deliver(parcel_to())).outcome is Outcome.PROVIDER_DOWN

    async def test_a_lost_answer_leaves_no_doubt_about_refused_recipients(
        self, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan("end", RESET)
        verdict = await channel.deliver(parcel_to("ada@x.test", "reply-550-5.1.1@x.test"))

        assert [share.outcome for share in verdict.recipients] == [Outcome.AMBIGUOUS, Outcome.REJECTED]

    async def test_gibberish_after_the_final_dot_is_ambiguous(self, server: SmtpServer, channel: Channel) -> None:
        server.plan("end", Say("hello there"))

        assert (await channel.deliver(parcel_to())).outcome is Outcome.AMBIGUOUS

    async def test_gibberish_before_it_is_a_provider_that_is_down(self, server: SmtpServer, channel: Channel) -> None:
        server.plan("mail", Say("hello there"))

        assert (await channel.deliver(parcel_to())).outcome is Outcome.PROVIDER_DOWN

    @pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
    async def test_after_an_answer_out_of_place_the_connection_is_not_used_again(
        self, stage: str, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan(stage, Say("399 what now"))
        await channel.deliver(parcel_to(serial=0))
        await channel.deliver(parcel_to(serial=1))

        assert [mail.connection for mail in server.mails] == [2]

    async def test_the_servers_words_fit_every_codec(self, server: SmtpServer, channel: Channel) -> None:
        server.plan("mail", Say("451 caf\udce9"))

        assert (await channel.deliver(parcel_to())).detail == "451 caf?"


class TestTimeouts:
    async def test_a_server_that_does_not_greet_is_down(self, server: SmtpServer, open_to: Open) -> None:
        server.always("greeting", HANG)
        verdict = await open_to(server, connect_seconds=0.05).deliver(parcel_to())

        assert verdict == Verdict(Outcome.PROVIDER_DOWN, "no answer in time (greeting)")

    @pytest.mark.parametrize(
        ("stage", "limit"), [("mail", "_COMMAND_SECONDS"), ("rcpt", "_COMMAND_SECONDS"), ("data", "_DATA_SECONDS")]
    )
    async def test_a_server_that_hangs_before_the_final_dot_is_down(
        self, stage: str, limit: str, server: SmtpServer, channel: Channel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtp_connection, limit, 0.05)
        server.plan(stage, HANG)

        assert await channel.deliver(parcel_to()) == Verdict(Outcome.PROVIDER_DOWN, f"no answer in time ({stage})")

    async def test_a_server_that_stops_reading_is_down(
        self, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(smtp_connection, "_BLOCK_SECONDS", 0.05)
        server.plan("content", DEAF)
        reply = await carried(server, (b"x" * 998 + b"\r\n") * 32_000)

        assert (reply.phase, reply.error_kind) == (Phase.SENDING, "timeout")

    async def test_an_answer_that_does_not_come_closes_the_connection(self, server: SmtpServer, open_to: Open) -> None:
        server.plan("end", HANG)
        channel = open_to(server, answer_seconds=0.05)

        assert (await channel.deliver(parcel_to())).outcome is Outcome.AMBIGUOUS
        await server.all_gone()


class TestCancellation:
    @pytest.mark.parametrize("stage", ["greeting", "ehlo", "mail", "rcpt", "data", "end"])
    async def test_a_cancelled_delivery_closes_its_connection(
        self, stage: str, server: SmtpServer, channel: Channel
    ) -> None:
        server.plan(stage, HANG)
        delivery = asyncio.create_task(channel.deliver(parcel_to()))
        await server.at(stage)
        delivery.cancel()

        with pytest.raises(asyncio.CancelledError):
            await delivery
        await server.all_gone()

    async def test_it_frees_its_place(self, server: SmtpServer, open_to: Open) -> None:
        channel = open_to(server, concurrency=1)
        server.plan("end", HANG)
        delivery = asyncio.create_task(channel.deliver(parcel_to(serial=0)))
        await server.at("end")
        delivery.cancel()

        assert (await channel.deliver(parcel_to(serial=1))).outcome is Outcome.ACCEPTED


class TestTls:
    @pytest.fixture
    async def secured(self, certificate: tuple[Path, Path]) -> AsyncIterator[SmtpServer]:
        async with SmtpServer(starttls=server_context(*certificate)) as running:
            yield running

    @pytest.fixture
    def options(self, certificate: tuple[Path, Path]) -> SmtpOptions:
        return SmtpOptions(host="localhost", ca_file=str(certificate[0]))

    async def test_the_message_travels_encrypted(
        self, secured: SmtpServer, open_to: Open, options: SmtpOptions
    ) -> None:
        await open_to(secured, options).deliver(parcel_to())

        assert secured.mails[0].is_secure

    async def test_the_server_is_asked_again_after_starttls(
        self, secured: SmtpServer, open_to: Open, options: SmtpOptions
    ) -> None:
        await open_to(secured, options).deliver(parcel_to())

        assert verbs(secured)[:4] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]

    async def test_what_was_said_before_the_handshake_is_forgotten(
        self, secured: SmtpServer, open_to: Open, options: SmtpOptions
    ) -> None:
        secured.plan("starttls", Say("220 go ahead\r\n250-evil.test\r\n250 SIZE 1"))
        verdict = await open_to(secured, options).deliver(parcel_to())

        assert (verdict.outcome, len(secured.mails)) == (Outcome.ACCEPTED, 1)

    @pytest.mark.parametrize("tls", ["starttls", "tls"])
    async def test_a_server_nobody_vouches_for_gets_nothing(
        self, tls: str, certificate: tuple[Path, Path], open_to: Open
    ) -> None:
        context = server_context(*certificate)
        async with SmtpServer(**{tls: context}) as server:  # type: ignore[arg-type]  # fields by name
            options = SmtpOptions(host="localhost", tls=tls)  # type: ignore[arg-type]  # fields by name
            verdict = await open_to(server, options).deliver(parcel_to())

        assert (verdict.outcome, "MAIL" in verbs(server)) == (Outcome.MISCONFIGURED, False)

    async def test_a_certificate_for_another_name_is_none(self, tmp_path: Path, open_to: Open) -> None:
        files = make_certificate(tmp_path, "DNS:elsewhere.test")
        async with SmtpServer(starttls=server_context(*files)) as server:
            options = SmtpOptions(host="localhost", ca_file=str(files[0]))
            verdict = await open_to(server, options).deliver(parcel_to())

        assert (verdict.outcome, "MAIL" in verbs(server)) == (Outcome.MISCONFIGURED, False)

    async def test_a_server_without_starttls_gets_nothing(
        self, server: SmtpServer, open_to: Open, options: SmtpOptions
    ) -> None:
        verdict = await open_to(server, options).deliver(parcel_to())

        assert (verdict.outcome, verbs(server)) == (Outcome.MISCONFIGURED, ["EHLO"])

    async def test_a_server_that_cannot_just_now_is_down(
        self, secured: SmtpServer, open_to: Open, options: SmtpOptions
    ) -> None:
        secured.plan("starttls", Say("454 4.7.0 TLS not available"))

        assert (await open_to(secured, options).deliver(parcel_to())).outcome is Outcome.PROVIDER_DOWN

    def test_certificates_that_are_not_there_are_a_fault_of_the_configuration(self) -> None:
        options = SmtpOptions(host="localhost", ca_file="/nowhere.pem")

        with pytest.raises(ConfigurationError):
            open_channel(ProviderSettings(name="relay", kind="smtp", options=options))


class TestLogIn:
    ACCOUNT = replace(PLAIN, username="mail", password=Secret("pä$$ word"))

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
    async def test_logs_in_by_each_mechanism(self, mechanism: str, open_to: Open) -> None:
        async with SmtpServer(users={"mail": "pä$$ word"}, mechanisms=[mechanism]) as server:
            await open_to(server, self.ACCOUNT).deliver(parcel_to())

        assert [mail.user for mail in server.mails] == ["mail"]

    async def test_a_wrong_password_is_tried_once_and_is_the_accounts_fault(self, open_to: Open) -> None:
        async with SmtpServer(users={"mail": "another"}) as server:
            verdict = await open_to(server, self.ACCOUNT).deliver(parcel_to())

        assert (verdict.outcome, verdict.smtp_code, server.reached["auth"]) == (Outcome.MISCONFIGURED, 535, 1)

    async def test_a_server_that_does_not_know_us_without_it_is_misconfigured(self, open_to: Open) -> None:
        async with SmtpServer(users={"mail": "x"}) as server:
            verdict = await open_to(server).deliver(parcel_to())

        assert (verdict.outcome, verdict.smtp_code) == (Outcome.MISCONFIGURED, 530)

    async def test_a_server_without_a_mechanism_of_ours_gets_no_password(self, open_to: Open) -> None:
        async with SmtpServer(users={"mail": "x"}, mechanisms=["GSSAPI"]) as server:
            verdict = await open_to(server, self.ACCOUNT).deliver(parcel_to())

        assert (verdict.outcome, verbs(server)) == (Outcome.MISCONFIGURED, ["EHLO"])


class TestExtensions:
    INTERNATIONAL = envelope_to("jürgen@bücher.example")

    async def test_a_message_above_the_announced_size_is_not_tried(self, open_to: Open) -> None:
        async with SmtpServer(size=100) as server:
            verdict = await open_to(server).deliver(parcel_to())

        assert (verdict.outcome, verdict.scope, verbs(server)) == (Outcome.REJECTED, Scope.PROVIDER, ["EHLO"])

    async def test_the_size_is_told_where_the_server_asks_for_it(self, open_to: Open) -> None:
        async with SmtpServer(size=0) as server:
            await open_to(server).deliver(parcel_to())

        assert server.mails[0].parameters == (f"SIZE={len(server.mails[0].data)}",)

    async def test_an_international_address_asks_for_what_it_needs(self, server: SmtpServer, channel: Channel) -> None:
        await channel.deliver(parcel_of(self.INTERNATIONAL))

        assert server.mails[0].recipients == ("jürgen@xn--bcher-kva.example",)
        assert server.mails[0].parameters == ("BODY=8BITMIME", "SMTPUTF8")

    @pytest.mark.parametrize("extensions", [[], ["8BITMIME"], ["SMTPUTF8"]])
    async def test_a_server_that_cannot_carry_it_is_not_tried(self, extensions: list[str], open_to: Open) -> None:
        async with SmtpServer(extensions=extensions) as server:
            verdict = await open_to(server).deliver(parcel_of(self.INTERNATIONAL))

        assert (verdict.outcome, verdict.scope, verbs(server)) == (Outcome.REJECTED, Scope.PROVIDER, ["EHLO"])

    async def test_a_plain_message_needs_no_extension(self, open_to: Open) -> None:
        async with SmtpServer(extensions=[]) as server:
            await open_to(server).deliver(parcel_to())

        assert server.mails[0].parameters == ()

    async def test_bounces_go_to_the_return_path(self, server: SmtpServer, open_to: Open) -> None:
        await open_to(server, return_path="bounces@example.com").deliver(parcel_to())

        assert server.mails[0].sender == "bounces@example.com"

    async def test_a_forbidden_return_path_sends_nothing(self, server: SmtpServer, channel: Channel) -> None:
        parcel = replace(parcel_to(), return_path="a@x.test>\r\nRCPT TO:<evil@x.test")

        assert (await channel.deliver(parcel)).outcome is Outcome.REJECTED
        assert server.commands == []

    async def test_only_the_recipients_of_the_parcel_get_it(self, server: SmtpServer, channel: Channel) -> None:
        envelope = replace(envelope_to("a@x.test", "b@x.test"), bcc=(Address("c@x.test"),))
        await channel.deliver(parcel_of(envelope, 0, 2))

        assert server.mails[0].recipients == ("a@x.test", "c@x.test")


class TestContent:
    @pytest.mark.parametrize(
        ("data", "taken"),
        [
            (b".\r\n", b".\r\n"),
            (b"..\r\n.a\r\n", b"..\r\n.a\r\n"),
            (b"a\r\n.\r\n.\r\nb\r\n", b"a\r\n.\r\n.\r\nb\r\n"),
            (b"no line end", b"no line end\r\n"),
            (b"\r\n", b"\r\n"),
            (b"a\n.\nb\r.\rc\r\n", b"a\r\n.\r\nb\r\n.\r\nc\r\n"),
            (b"a\n.\r\nMAIL FROM:<evil@x.test>\r\n", b"a\r\n.\r\nMAIL FROM:<evil@x.test>\r\n"),
        ],
    )
    async def test_dots_and_line_ends_arrive_as_one_message(
        self, data: bytes, taken: bytes, server: SmtpServer
    ) -> None:
        await carried(server, data)

        assert [mail.data for mail in server.mails] == [taken]

    @pytest.mark.parametrize("size", [65_530, 65_536, 65_540, 1_000_000])
    async def test_a_large_message_arrives_whole(self, size: int, server: SmtpServer) -> None:
        data = (b"." * 70 + b"\r\n") * (size // 72)
        await carried(server, data)

        assert [mail.data for mail in server.mails] == [data]
