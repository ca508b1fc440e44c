"""What every kind of provider over HTTP keeps, against desks that were written from the manuals alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest

from services.sender.transport import Channel, HttpConnections, open_channel
from shared.domain.message import Address, Attachment
from shared.domain.outcome import Outcome, Scope, Verdict
from shared.mime.addresses import wire_address
from shared.providers import registry
from shared.providers.http.options import HttpOptions
from shared.providers.interface import Capabilities, KeyedAdapter, LookupAdapter, Parcel
from tests.fakes.internet import HTTP_DESKS, Internet, acts, opened
from tests.fakes.internet.desk import Desk, Native, Station
from tests.fakes.internet.mailersend import MailersendDesk
from tests.fakes.internet.settings import options_of, settings_of
from tests.fakes.internet.taken import Taken
from tests.providers.parcels import parcel_of, parcel_to
from tests.unit.providers.envelopes import full_parcel

Open = Callable[..., Channel]

everywhere = pytest.mark.parametrize("kind", HTTP_DESKS)


@dataclass(frozen=True)
class Carried:
    """What a kind can carry of the full message: how many tags, which metadata, and what else it must lack."""

    tags: int = 0
    metadata: tuple[str, ...] = ()
    one_reply_to: bool = False
    no_images: bool = False
    only_own_headers: bool = False
    types_by_name: bool = False
    return_path: bool = False
    message_id: bool = False
    options: tuple[tuple[str, Any], ...] = ()


#: Kinds whose yes is a status and a header, without a body.
BARE: Final = frozenset({"sendgrid", "mailersend"})

ALL: Final = ("order", "größe")
CARRIED: Final = {
    "ses": Carried(return_path=True),
    "sendgrid": Carried(tags=2, metadata=ALL, message_id=True),
    "mailgun": Carried(tags=2, message_id=True),
    "sparkpost": Carried(tags=2, metadata=ALL, return_path=True),
    "postmark": Carried(tags=1, metadata=("order",), message_id=True),
    "resend": Carried(),
    "brevo": Carried(tags=2, one_reply_to=True, no_images=True, only_own_headers=True, types_by_name=True),
    "mailjet": Carried(tags=1, one_reply_to=True),
    "mailersend": Carried(tags=2, one_reply_to=True, types_by_name=True, options=(("custom_headers", True),)),
    "mailtrap": Carried(tags=1, metadata=ALL, one_reply_to=True),
    "postal": Carried(return_path=True, message_id=True),
}


def parcel_for(kind: str) -> Parcel:
    """Return the full message, without what the service of this kind cannot carry."""
    carried = CARRIED[kind]
    parcel = full_parcel()
    envelope = parcel.envelope
    changes: dict[str, Any] = {}
    if carried.one_reply_to:
        changes["reply_to"] = envelope.reply_to[:1]
    if carried.no_images:
        changes["attachments"] = tuple(file for file in envelope.attachments if file.content_id is None)
        changes["html"] = str(envelope.html).partition("<img")[0]
    if carried.only_own_headers:
        changes["headers"] = (("X-Order", "7"),)
    return replace(parcel, envelope=replace(envelope, **changes))


@pytest.fixture
async def internet(kind: str) -> AsyncIterator[Internet]:
    async with Internet(kind) as running:
        yield running


@pytest.fixture
def desk(internet: Internet, kind: str) -> Station:
    desk = internet.desk(kind)
    if isinstance(desk, MailersendDesk):
        desk.is_enterprise = True
    return desk


@pytest.fixture
async def open_to(desk: Station, kind: str) -> AsyncIterator[Open]:
    """Opens channels to the desk."""
    http = HttpConnections()

    def opened_to(**more: Any) -> Channel:
        return open_channel(settings_of(desk, options=dict(CARRIED[kind].options), **more), http)

    yield opened_to
    await http.close()


@pytest.fixture
def channel(open_to: Open) -> Channel:
    return open_to()


@pytest.fixture
async def taken(channel: Channel, desk: Station, kind: str) -> Taken:
    """What the desk understood of the full message."""
    verdict = await channel.deliver(parcel_for(kind))
    assert verdict.outcome is Outcome.ACCEPTED, verdict.detail
    (found,) = desk.ledger.taken
    return opened(found)


def travelled(*addresses: Address) -> list[Address]:
    return [Address(wire_address(address.email)[0], address.name) for address in addresses]


class TestWhatTheServiceUnderstands:
    """The full message, field by field."""

    pytestmark = everywhere

    async def test_nothing_to_complain_of(self, taken: Taken, internet: Internet) -> None:
        assert (taken.desk, internet.complaints) == (taken.desk, [])

    async def test_the_sender(self, taken: Taken, kind: str) -> None:
        assert [Address(taken.sender, taken.sender_name)] == travelled(parcel_for(kind).envelope.sender)

    async def test_everyone_gets_it_once(self, taken: Taken, kind: str) -> None:
        wanted = [address.email for address in travelled(*parcel_for(kind).envelope.recipients)]
        assert sorted(taken.recipients) == sorted(wanted)

    async def test_who_stands_in_which_header(self, taken: Taken, kind: str) -> None:
        envelope = parcel_for(kind).envelope
        assert list(taken.to) == travelled(*envelope.to)
        assert list(taken.cc) == travelled(*envelope.cc)
        assert [address.email for address in taken.bcc] == [address.email for address in envelope.bcc]

    async def test_where_answers_go(self, taken: Taken, kind: str) -> None:
        assert list(taken.reply_to) == travelled(*parcel_for(kind).envelope.reply_to)

    async def test_the_subject(self, taken: Taken, kind: str) -> None:
        assert taken.subject == parcel_for(kind).envelope.subject

    async def test_the_bodies(self, taken: Taken, kind: str) -> None:
        envelope = parcel_for(kind).envelope
        assert (taken.text.rstrip("\n"), taken.html.rstrip("\n")) == (str(envelope.text).rstrip("\n"), envelope.html)

    async def test_the_files(self, taken: Taken, kind: str) -> None:
        types_by_name = CARRIED[kind].types_by_name

        def described(file: Attachment) -> tuple[Any, ...]:
            # SparkPost names an image by its content id.
            name = file.content_id if kind == "sparkpost" and file.content_id else file.filename
            content_type = "" if types_by_name else file.content_type
            return (name, content_type, file.content, file.content_id or "", file.disposition == "inline")

        wanted = {described(file) for file in parcel_for(kind).envelope.attachments}
        understood = {
            (file.name, file.content_type, file.content, file.content_id, file.is_inline) for file in taken.attachments
        }
        assert understood == wanted

    async def test_the_headers(self, taken: Taken, kind: str) -> None:
        for name, value in parcel_for(kind).envelope.headers:
            assert taken.header(name) == value

    async def test_the_tags(self, taken: Taken, kind: str) -> None:
        carried = CARRIED[kind].tags
        assert list(taken.tags[:carried]) == list(parcel_for(kind).envelope.tags[:carried])

    async def test_the_metadata(self, taken: Taken, kind: str) -> None:
        metadata = parcel_for(kind).envelope.metadata
        for name in CARRIED[kind].metadata:
            assert taken.metadata[name] == metadata[name]

    async def test_our_id(self, taken: Taken, kind: str) -> None:
        parcel = parcel_for(kind)
        assert taken.message_id == parcel.id
        assert taken.header("X-Reliable-Email-Id") == parcel.id

    async def test_our_message_id(self, taken: Taken, kind: str) -> None:
        if CARRIED[kind].message_id:
            assert taken.internet_message_id == parcel_for(kind).internet_message_id

    async def test_where_bounces_go(self, taken: Taken, kind: str) -> None:
        if CARRIED[kind].return_path:
            assert taken.return_path == parcel_for(kind).return_path

    async def test_those_that_are_left_get_it_alone(self, channel: Channel, desk: Station, kind: str) -> None:
        await channel.deliver(replace(parcel_for(kind), recipients=(1, 3)))

        (taken,) = desk.ledger.taken
        assert sorted(taken.recipients) == ["archive@example.com", "grace@xn--zrich-kva.example"]

    async def test_a_second_try_says_the_same(self, channel: Channel, desk: Station, kind: str) -> None:
        for _ in range(2):
            await channel.deliver(replace(parcel_for(kind), deduplication_key=""))

        first, second = (replace(opened(found), id="", at=0, call=0) for found in desk.ledger.taken)
        if kind in {"ses", "brevo"}:  # which make a Message-ID of their own
            first, second = (replace(found, internet_message_id="") for found in (first, second))
        assert first == second

    async def test_it_names_what_it_accepted(self, channel: Channel, desk: Station) -> None:
        verdicts = [await channel.deliver(parcel_to(serial=serial)) for serial in range(2)]

        ids = [verdict.provider_message_id or "" for verdict in verdicts]
        assert len(set(ids)) == 2
        for given, found in zip(ids, desk.ledger.taken, strict=True):
            assert given.strip("<>") in found.id.strip("<>")


#: Outcomes that differ from the manuals on purpose, and why.
DEVIATIONS: Final[dict[tuple[str, str], Outcome]] = {
    # The first request is still at work and may send the message: no other provider must.
    ("resend", "concurrent_idempotent_requests"): Outcome.AMBIGUOUS,
}

NATIVES: Final = [
    pytest.param(kind, name, native, id=f"{kind}-{name}")
    for kind, desk in HTTP_DESKS.items()
    for name, native in desk.natives.items()
]


@pytest.mark.parametrize(("kind", "name", "native"), NATIVES)
async def test_a_native_error_has_its_outcome(channel: Channel, desk: Station, name: str, native: Native) -> None:
    desk.life.fail(name)

    verdict = await channel.deliver(parcel_to())

    assert verdict.outcome is DEVIATIONS.get((desk.kind, name), Outcome(native.outcome)), verdict
    assert verdict.detail
    if verdict.outcome is Outcome.REJECTED and native.scope != "any":
        assert verdict.scope is Scope(native.scope), verdict
    if native.pause_seconds is not None:
        assert verdict.retry_after_seconds is not None
        assert verdict.retry_after_seconds >= native.pause_seconds


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (400, Outcome.REJECTED),
        (422, Outcome.REJECTED),
        (408, Outcome.AMBIGUOUS),
        (415, Outcome.MISCONFIGURED),
        (418, Outcome.MISCONFIGURED),
        (425, Outcome.TEMPORARY),
        (500, Outcome.TEMPORARY),
        (503, Outcome.TEMPORARY),
    ],
)
@pytest.mark.parametrize("kind", [kind for kind in HTTP_DESKS if kind != "postal"])
async def test_a_code_that_nobody_knows_counts_by_its_status(
    channel: Channel, desk: Station, status: int, outcome: Outcome
) -> None:
    assert isinstance(desk, Desk)
    code = 9_999 if desk.kind == "postmark" else "zz-9999"
    answer = desk.render(Native(status, code, "something new", ""), "something new")
    desk.life.act(acts.answer(status, answer.body.decode(), *answer.headers.items()))

    verdict = await verdict_of(channel)

    if status == 408 and desk.kind in {"ses", "mailersend"}:  # whose manuals say so
        outcome = Outcome.TEMPORARY
    assert verdict.outcome is outcome, verdict
    assert verdict.is_generic is (outcome is Outcome.REJECTED)


class TestWhereTheTalkEnds:
    """A break in each phase has the outcome that follows from how far the request came."""

    pytestmark = everywhere

    async def test_nobody_listens(self, channel: Channel, desk: Station) -> None:
        desk.life.refuse()

        assert await outcome_of(channel) is Outcome.PROVIDER_DOWN

    async def test_nobody_reads(self, open_to: Open, desk: Station) -> None:
        desk.life.deafen()

        # A small request is written as soon as there is a connection, whoever reads it.
        assert await outcome_of(open_to(answer_seconds=0.05)) is Outcome.AMBIGUOUS

    @pytest.mark.parametrize("is_taken", [False, True])
    async def test_no_answer_comes(self, open_to: Open, desk: Station, *, is_taken: bool) -> None:
        desk.life.hang(taken=is_taken)

        assert await outcome_of(open_to(answer_seconds=0.05)) is Outcome.AMBIGUOUS

    @pytest.mark.parametrize(
        "act", [acts.reset(), acts.reset(taken=True), acts.close(taken=True), acts.cut(), acts.garbage()], ids=str
    )
    async def test_the_answer_is_lost(self, channel: Channel, desk: Station, act: acts.Act) -> None:
        desk.life.act(act)

        assert await outcome_of(channel) is Outcome.AMBIGUOUS

    async def test_the_request_was_not_written_whole(self, channel: Channel, desk: Station) -> None:
        desk.life.break_early()
        file = Attachment("report.pdf", "application/pdf", 7 << 20, bytes(7 << 20))
        envelope = replace(parcel_to().envelope, attachments=(file,))

        verdict = await channel.deliver(replace(parcel_to(), envelope=envelope))

        assert (verdict.outcome, desk.ledger.taken) == (Outcome.PROVIDER_DOWN, [])

    async def test_the_answer_trickles(self, channel: Channel, desk: Station) -> None:
        desk.life.drip(0.0)

        assert await outcome_of(channel) is Outcome.ACCEPTED

    async def test_a_proxy_answers_well(self, channel: Channel, desk: Station, kind: str) -> None:
        desk.life.page(200)

        # Where no JSON is due, a page is but an answer without an id.
        expected = {Outcome.MISCONFIGURED} | ({Outcome.AMBIGUOUS} if kind in BARE else set())
        assert await outcome_of(channel) in expected

    @pytest.mark.parametrize("status", [502, 504, 520, 524])
    async def test_an_edge_lost_its_origin(self, channel: Channel, desk: Station, status: int) -> None:
        desk.life.page(status)

        assert await outcome_of(channel) is Outcome.AMBIGUOUS

    async def test_an_edge_takes_nothing_so_large(self, channel: Channel, desk: Station) -> None:
        desk.life.page(413)

        verdict = await verdict_of(channel)
        assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, Scope.PROVIDER)

    @pytest.mark.parametrize("status", [301, 302, 401, 403, 404, 405])
    async def test_an_edge_does_not_let_us_through(self, channel: Channel, desk: Station, status: int) -> None:
        desk.life.page(status)

        assert await outcome_of(channel) is Outcome.MISCONFIGURED

    async def test_it_works_again_once_the_service_does(self, channel: Channel, desk: Station) -> None:
        desk.life.refuse()
        await outcome_of(channel)
        desk.life.heal()

        assert await outcome_of(channel) is Outcome.ACCEPTED

    async def test_a_cancelled_delivery_leaves_the_channel_usable(self, channel: Channel, desk: Station) -> None:
        desk.life.hold()
        delivery = asyncio.create_task(channel.deliver(parcel_to()))
        await desk.ledger.arrived(1)
        delivery.cancel()
        await asyncio.wait({delivery})
        desk.life.let_go()

        assert await outcome_of(channel) is Outcome.ACCEPTED


@pytest.mark.parametrize("kind", [kind for kind in HTTP_DESKS if kind not in BARE])
async def test_an_answer_that_trickles_for_too_long_is_lost(open_to: Open, desk: Station) -> None:
    desk.life.drip(0.2)

    assert await outcome_of(open_to(answer_seconds=0.1)) is Outcome.AMBIGUOUS


@pytest.mark.parametrize("kind", [kind for kind in HTTP_DESKS if kind not in BARE])
@pytest.mark.parametrize("body", ["{}", "[]", "[{}]", '{"results": 7}', '{"Messages": []}', '"yes"'])
async def test_a_yes_without_an_id_is_none(channel: Channel, desk: Station, body: str) -> None:
    desk.life.act(acts.answer(200, body))

    assert await outcome_of(channel) is Outcome.AMBIGUOUS


@pytest.mark.parametrize("kind", sorted(BARE))
async def test_a_bare_yes_without_an_id_is_none(channel: Channel, desk: Station) -> None:
    desk.life.act(acts.answer(202))

    assert await outcome_of(channel) is Outcome.AMBIGUOUS


class TestLimits:
    pytestmark = everywhere

    async def test_too_fast_is_throttled(self, channel: Channel, desk: Station, kind: str) -> None:
        desk.life.throttle(rate=0.05, burst=1)

        # Postal knows no such answer: its proxy is busy.
        too_fast = Outcome.TEMPORARY if kind == "postal" else Outcome.THROTTLED
        assert [await outcome_of(channel) for _ in range(2)] == [Outcome.ACCEPTED, too_fast]

    async def test_as_many_recipients_as_it_says_it_takes(self, channel: Channel, desk: Station, kind: str) -> None:
        most = min(abilities_of(desk, kind).max_recipients or 100, 1_000)  # nobody may submit more
        everyone = tuple(Address(f"a{number}@example.org") for number in range(most))
        envelope = replace(parcel_to().envelope, to=everyone[20:], cc=everyone[:10], bcc=everyone[10:20])

        verdict = await channel.deliver(parcel_of(envelope))

        assert verdict.outcome is Outcome.ACCEPTED, verdict
        assert sorted(desk.ledger.taken[0].recipients) == sorted(address.email for address in everyone)

    async def test_as_many_bytes_as_it_says_it_takes(self, channel: Channel, desk: Station, kind: str) -> None:
        most = abilities_of(desk, kind).max_bytes or 20 << 20
        half = most // 2 - 1_000
        files = tuple(Attachment(f"{name}.pdf", "application/pdf", half, bytes(half)) for name in "ab")
        envelope = replace(parcel_to().envelope, attachments=files, size_bytes=2 * half + 2_000)

        verdict = await channel.deliver(replace(parcel_to(), envelope=envelope))

        assert (verdict.outcome, len(desk.ledger.taken)) == (Outcome.ACCEPTED, 1), verdict

    async def test_a_closed_account_is_misconfigured(self, channel: Channel, desk: Station) -> None:
        desk.life.review()

        assert await outcome_of(channel) is Outcome.MISCONFIGURED

    async def test_many_at_once_all_arrive_and_none_twice(self, channel: Channel, desk: Station) -> None:
        parcels = [parcel_to(serial=serial) for serial in range(60)]
        verdicts = await asyncio.gather(*map(channel.deliver, parcels))

        assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}
        assert desk.ledger.counts == {parcel.id: 1 for parcel in parcels}


@pytest.mark.parametrize("kind", ["sendgrid", "mailgun", "resend", "brevo", "mailersend"])
async def test_the_wait_is_the_one_that_was_told(channel: Channel, desk: Station) -> None:
    desk.life.throttle(rate=0.02, burst=1)
    await channel.deliver(parcel_to())

    waits = [(await channel.deliver(parcel_to())).retry_after_seconds for _ in range(2)]
    assert all(wait is not None and 48 <= wait <= 51 for wait in waits), waits


@pytest.mark.parametrize("kind", ["ses", "sendgrid", "sparkpost", "postmark", "mailjet", "mailersend", "mailtrap"])
async def test_retry_after_is_heard_where_nothing_else_is_told(channel: Channel, desk: Station) -> None:
    desk.life.fail(429, retry_after="37")

    assert (await verdict_of(channel)).retry_after_seconds == 37


def _kinds(of: type) -> list[str]:
    return [kind for kind in HTTP_DESKS if isinstance(registry.adapter(kind), of)]


KEYED: Final = [kind for kind in _kinds(KeyedAdapter) if getattr(registry.adapter(kind), "is_keyed", False)]
BATCHES: Final = ["postmark", "resend", "mailjet", "mailtrap"]


class TestOddAnswers:
    """What a service says beside yes and no."""

    @pytest.mark.parametrize("kind", ["postmark"])
    async def test_postmark_does_not_deliver_to_some(self, channel: Channel, desk: Station) -> None:
        words = (
            "Message OK, but will not deliver to these inactive addresses: grace@example.org. Inactive recipients are"
        )
        body = {"To": "", "SubmittedAt": "2026-11-24T12:00:00Z", "MessageID": "id-7", "ErrorCode": 0, "Message": words}
        desk.life.act(acts.answer(200, json.dumps(body)))

        verdict = await channel.deliver(parcel_to("ada@example.org", "Grace@example.org"))

        assert [share.outcome for share in verdict.recipients] == [Outcome.ACCEPTED, Outcome.REJECTED]

    @pytest.mark.parametrize("kind", ["postmark"])
    async def test_postmark_delivers_later(self, channel: Channel, desk: Station) -> None:
        body = {"MessageID": "id-7", "Message": "Message accepted, but delivery may be delayed."}
        desk.life.act(acts.answer(200, json.dumps(body)))

        verdict = await verdict_of(channel)
        assert (verdict.outcome, verdict.provider_message_id) == (Outcome.ACCEPTED, "id-7")

    @pytest.mark.parametrize("kind", ["mailgun"])
    async def test_mailgun_greets_who_is_lost(self, channel: Channel, desk: Station) -> None:
        desk.life.act(acts.answer(200, "Mailgun Magnificent API", ("Content-Type", "text/plain")))

        assert await outcome_of(channel) is Outcome.MISCONFIGURED

    @pytest.mark.parametrize("kind", ["ses"])
    async def test_ses_names_its_errors_in_the_body_too(self, channel: Channel, desk: Station) -> None:
        body = {"__type": "com.amazonaws.ses#AccountSuspendedException", "Message": "Account is suspended."}
        desk.life.act(acts.answer(400, json.dumps(body)))

        assert await outcome_of(channel) is Outcome.MISCONFIGURED

    @pytest.mark.parametrize("kind", ["mailersend"])
    async def test_mailersend_suppresses_some(self, channel: Channel, desk: Station) -> None:
        warning = {
            "type": "SOME_SUPPRESSED",
            "recipients": [{"email": "grace@example.org", "reasons": ["blocklisted"]}],
        }
        desk.life.act(acts.answer(202, json.dumps({"warnings": [warning]}), ("x-message-id", "id-7")))

        verdict = await channel.deliver(parcel_to("ada@example.org", "grace@example.org"))

        assert [share.outcome for share in verdict.recipients] == [Outcome.ACCEPTED, Outcome.REJECTED]

    @pytest.mark.parametrize("kind", ["mailersend"])
    async def test_mailersend_pauses_a_domain(self, channel: Channel, desk: Station) -> None:
        desk.life.fail("paused")

        assert (await verdict_of(channel)).account_fault

    @pytest.mark.parametrize("kind", ["sparkpost"])
    async def test_sparkpost_takes_some(self, channel: Channel, desk: Station) -> None:
        results = {"id": "7", "total_accepted_recipients": 1, "total_rejected_recipients": 1}
        results["rcpt_to_errors"] = [{"message": "invalid", "code": "2002", "description": "grace@example.org"}]
        errors = [{"message": "transmission created, but with validation errors", "code": "2000"}]
        desk.life.act(acts.answer(200, json.dumps({"results": results, "errors": errors})))

        verdict = await channel.deliver(parcel_to("ada@example.org", "grace@example.org"))

        assert verdict.outcome in {Outcome.ACCEPTED, Outcome.PARTIAL}

    @pytest.mark.parametrize("kind", ["postal"])
    async def test_postal_is_behind_a_proxy(self, channel: Channel, desk: Station) -> None:
        desk.life.fail(503)

        assert await outcome_of(channel) in {Outcome.TEMPORARY, Outcome.AMBIGUOUS}


@pytest.mark.parametrize("kind", KEYED)
class TestKeys:
    async def test_a_lost_answer_is_asked_for_by_the_same_request(self, channel: Channel, desk: Station) -> None:
        desk.life.lose_answers(times=1)

        verdict = await channel.deliver(replace(parcel_to(), deduplication_key="msg_1.1"))

        assert (verdict.outcome, len(desk.ledger.taken), len(desk.ledger.arrivals)) == (Outcome.ACCEPTED, 1, 2)

    async def test_a_request_that_did_not_arrive_is_sent_again(self, channel: Channel, desk: Station) -> None:
        desk.life.lose_answers(times=1, taken=False)

        verdict = await channel.deliver(replace(parcel_to(), deduplication_key="msg_1.1"))

        assert (verdict.outcome, len(desk.ledger.taken)) == (Outcome.ACCEPTED, 1)

    async def test_another_try_is_another_message(self, channel: Channel, desk: Station) -> None:
        for key in ("msg_1.1", "msg_1.2"):
            await channel.deliver(replace(parcel_to(), deduplication_key=key))

        assert len(desk.ledger.taken) == 2


@pytest.mark.parametrize("kind", _kinds(LookupAdapter))
class TestLookups:
    async def test_what_was_taken_is_found(self, channel: Channel, desk: Station, internet: Internet) -> None:
        desk.life.lose_answers()
        parcel = replace(parcel_to(), deduplication_key="msg_1.1")
        lost = await channel.deliver(parcel)
        found = await channel.ask(parcel)

        assert lost.outcome is Outcome.AMBIGUOUS
        assert found is not None
        assert found.outcome is Outcome.ACCEPTED
        assert internet.complaints == []

    async def test_what_was_not_taken_is_not_found(self, channel: Channel, desk: Station, internet: Internet) -> None:
        parcel = replace(parcel_to(), deduplication_key="msg_1.1")
        await channel.deliver(replace(parcel_to(serial=1), deduplication_key="msg_2.1"))

        assert await channel.ask(parcel) is None
        assert (desk.ledger.lookups, internet.complaints) == (1, [])

    @pytest.mark.parametrize(
        "act", [acts.fail(500), acts.fail(429), acts.reset(), acts.page(200), acts.page(502), acts.garbage()], ids=str
    )
    async def test_nobody_knows_where_the_question_fails(self, channel: Channel, desk: Station, act: acts.Act) -> None:
        parcel = replace(parcel_to(), deduplication_key="msg_1.1")
        await channel.deliver(parcel)
        desk.life.lookups(act)

        assert await channel.ask(parcel) is None


@pytest.mark.parametrize("kind", BATCHES)
class TestBatches:
    async def test_go_in_one_request(self, channel: Channel, desk: Station, internet: Internet) -> None:
        parcels = [parcel_to(serial=serial) for serial in range(5)]
        verdicts = await channel.deliver_batch(parcels)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.ACCEPTED] * 5
        assert (len(desk.ledger.arrivals), len({verdict.provider_message_id for verdict in verdicts})) == (1, 5)
        assert [taken.message_id for taken in desk.ledger.taken] == [parcel.id for parcel in parcels]
        assert internet.complaints == []

    async def test_are_as_large_as_the_service_takes(self, channel: Channel, desk: Station) -> None:
        parcels = [parcel_to(serial=serial) for serial in range(channel.batch_limit)]
        verdicts = await channel.deliver_batch(parcels)

        assert {verdict.outcome for verdict in verdicts} == {Outcome.ACCEPTED}
        assert len(desk.ledger.arrivals) == 1

    async def test_have_a_verdict_for_each(self, channel: Channel, desk: Station, kind: str) -> None:
        error = {"postmark": "406", "resend": "validation_error", "mailjet": "mj-0013", "mailtrap": "bad_request"}[kind]
        recipients = ["ada@example.org", f"native.{error}@example.org", "grace@example.org"]
        parcels = [parcel_to(recipient, serial=serial) for serial, recipient in enumerate(recipients)]
        verdicts = await channel.deliver_batch(parcels)

        outcomes = [verdict.outcome for verdict in verdicts]
        assert outcomes == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
        assert desk.ledger.counts == {parcels[0].id: 1, parcels[2].id: 1}

    async def test_are_all_in_doubt_where_the_answer_is_lost(self, channel: Channel, desk: Station) -> None:
        desk.life.lose_answers()
        verdicts = await channel.deliver_batch([parcel_to(serial=serial) for serial in range(3)])

        assert {verdict.outcome for verdict in verdicts} == {Outcome.AMBIGUOUS}

    async def test_are_all_throttled_together(self, channel: Channel, desk: Station) -> None:
        desk.life.fail(429)
        verdicts = await channel.deliver_batch([parcel_to(serial=serial) for serial in range(3)])

        assert {verdict.outcome for verdict in verdicts} == {Outcome.THROTTLED}

    async def test_the_full_message_says_the_same_in_a_batch(self, channel: Channel, desk: Station, kind: str) -> None:
        full = replace(parcel_for(kind), deduplication_key="")
        if kind == "resend":  # whose batches take no files
            full = replace(full, envelope=replace(full.envelope, attachments=()))
        assert channel.may_join(full) is (kind != "resend"), "what a key tells goes alone"
        await channel.deliver(full)
        await channel.deliver_batch([full, parcel_to()])

        alone, joined, _ = (replace(opened(found), id="", at=0, call=0) for found in desk.ledger.taken)
        if kind == "postmark":
            alone, joined = (replace(found, internet_message_id="") for found in (alone, joined))
        assert alone == joined


def abilities_of(desk: Station, kind: str) -> Capabilities:
    """Return what the adapter says that the account can carry."""
    return registry.adapter(kind).capabilities(options_of(desk))


async def outcome_of(channel: Channel) -> Outcome:
    """Return what came of a small message without a key, so that nothing is repeated."""
    return (await verdict_of(channel)).outcome


def verdict_of(channel: Channel) -> Awaitable[Verdict]:
    return channel.deliver(parcel_to())


def test_every_kind_over_http_has_a_desk() -> None:
    over_http = {kind for kind in registry.kinds() if issubclass(registry.adapter(kind).Options, HttpOptions)}

    assert over_http == set(HTTP_DESKS) == set(CARRIED)
