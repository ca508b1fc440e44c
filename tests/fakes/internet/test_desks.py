"""Every desk by hand: it takes what is right, and refuses what is wrong as its provider does."""

from __future__ import annotations

import base64
from copy import deepcopy
from random import Random
from typing import Any

import orjson
import pytest

from tests.fakes.internet import HTTP_DESKS, opened
from tests.fakes.internet.by_hand import FILE, MIME, NOW, OURS, RIGHT, call_of, form, signature
from tests.fakes.internet.desk import Answer, Complaint, Desk
from tests.fakes.internet.mailersend import MailersendDesk

everywhere = pytest.mark.parametrize("kind", HTTP_DESKS)


@pytest.fixture
def complaints() -> list[Complaint]:
    return []


@pytest.fixture
def desk(kind: str, complaints: list[Complaint]) -> Desk:
    return HTTP_DESKS[kind](kind, Random(1), complaints)  # noqa: S311 - the same at every run


def changed(kind: str, *path: Any, value: Any = None) -> Any:
    """Return a right document with one member changed, or taken away."""
    document = deepcopy(RIGHT[kind].document)
    place = document
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def said(answer: Answer) -> str:
    return f"{answer.status} {answer.body.decode()} {dict(answer.headers)}"


@everywhere
def test_takes_a_right_request(desk: Desk, complaints: list[Complaint]) -> None:
    answer = desk.respond(call_of(desk))

    (taken,) = desk.ledger.taken
    assert answer.status in {200, 201, 202}, said(answer)
    assert (taken.sender, taken.recipients, taken.subject) == ("shop@example.com", ("ada@example.org",), "Hello")
    assert taken.message_id == OURS
    assert complaints == []


@everywhere
def test_names_each_message_differently(desk: Desk) -> None:
    desk.respond(call_of(desk))
    desk.respond(
        call_of(desk, changed("mailgun", 0, value=("from", "b@example.com")) if desk.kind == "mailgun" else None)
    )

    ids = [taken.id for taken in desk.ledger.taken]
    assert len(set(ids)) == len(ids) - (desk.kind == "postal")  # which names it by its own Message-ID


@everywhere
@pytest.mark.parametrize("proof", [None, "nonsense"])
def test_refuses_who_does_not_prove_who_they_are(desk: Desk, proof: str | None, complaints: list[Complaint]) -> None:
    name = {"postmark": "X-Postmark-Server-Token", "brevo": "api-key", "postal": "X-Server-API-Key"}
    answer = desk.respond(call_of(desk, headers={name.get(desk.kind, "Authorization"): proof}))

    assert answer.status in {401, 403} or b"APIKey" in answer.body or b"AccessDenied" in answer.body, said(answer)
    assert desk.ledger.taken == []
    assert len(complaints) == 1


@everywhere
def test_knows_no_other_path(desk: Desk, complaints: list[Complaint]) -> None:
    answer = desk.respond(call_of(desk, path=RIGHT[desk.kind].path + "s/x"))

    assert answer.status == 404 or answer.body == b"Mailgun Magnificent API", said(answer)
    assert len(complaints) == 1


@everywhere
def test_wants_its_own_content_type(desk: Desk, complaints: list[Complaint]) -> None:
    call = call_of(desk, headers={"Content-Type": "text/plain"})
    if desk.kind == "ses":
        headers = {"Content-Type": "text/plain", "Host": "api.test"}
        proof = signature(desk, "POST", call.path, headers, call.body)
        call = call_of(desk, headers={"Content-Type": "text/plain", "Host": "api.test", **proof})
    answer = desk.respond(call)

    assert answer.status in {400, 415} or b"parameter-error" in answer.body, said(answer)
    assert len(complaints) == 1


@everywhere
def test_refuses_what_is_not_of_its_format(desk: Desk, complaints: list[Complaint]) -> None:
    answer = desk.respond(call_of(desk, b"{nonsense"))

    assert answer.status in {400, 422} or b"parameter-error" in answer.body, said(answer)
    assert len(complaints) == 1


@everywhere
def test_every_error_is_in_the_providers_own_format(desk: Desk) -> None:
    for name, native in desk.natives.items():
        answer = desk.error(name)
        assert answer.status == native.status
        if answer.headers.get("Content-Type") == "application/json":
            assert orjson.loads(answer.body)


@everywhere
def test_a_recipient_may_ask_for_a_native_error(desk: Desk, complaints: list[Complaint]) -> None:
    name = (
        "bad_address"
        if desk.kind == "mailgun"
        else next(n for n, e in desk.natives.items() if e.outcome == "rejected" and e.status != 413)
    )
    text = orjson.dumps(RIGHT[desk.kind].document) if desk.kind != "mailgun" else form(*RIGHT["mailgun"].document)
    answer = desk.respond(call_of(desk, text.replace(b"ada@example.org", f"native.{name}@example.org".encode())))

    assert (answer.status, desk.ledger.taken, complaints) == (desk.natives[name].status, [], [])


WRONG: dict[str, tuple[str, Any, str]] = {
    "ses: an empty destination": ("ses", changed("ses", "Destination", value={}), "BadRequestException"),
    "ses: raw and simple": ("ses", changed("ses", "Content", "Simple", value={}), "BadRequestException"),
    "ses: a name that is not ASCII": (
        "ses",
        changed("ses", "FromEmailAddress", value="Šhop <a@b.example>"),
        "BadRequestException",
    ),
    "ses: SMTPUTF8": (
        "ses",
        changed("ses", "Destination", "ToAddresses", value=["grüße@b.example"]),
        "BadRequestException",
    ),
    "ses: 51 recipients": (
        "ses",
        changed("ses", "Destination", "ToAddresses", value=[f"a{n}@b.example" for n in range(51)]),
        "Recipient count",
    ),
    "ses: 8 bits": (
        "ses",
        changed("ses", "Content", "Raw", "Data", value=base64.b64encode(MIME + "ü\r\n".encode()).decode()),
        "8-bit",
    ),
    "ses: a blind recipient shown": (
        "ses",
        changed("ses", "Content", "Raw", "Data", value=base64.b64encode(b"Bcc: x@y.example\r\n" + MIME).decode()),
        "blind",
    ),
    "ses: a tag of other characters": ("ses", changed("ses", "EmailTags", 0, "Value", value="a b"), "BadRequest"),
    "ses: a member it does not know": ("ses", changed("ses", "Tags", value={}), "BadRequest"),
    "sendgrid: nobody": ("sendgrid", changed("sendgrid", "personalizations"), "personalizations"),
    "sendgrid: an empty part": ("sendgrid", changed("sendgrid", "content", 0, "value", value=""), "empty"),
    "sendgrid: parts out of order": (
        "sendgrid",
        changed("sendgrid", "content", value=list(reversed(RIGHT["sendgrid"].document["content"]))),
        "first",
    ),
    "sendgrid: the same address twice": (
        "sendgrid",
        changed("sendgrid", "personalizations", 0, "bcc", value=[{"email": "ADA@example.org"}]),
        "unique",
    ),
    "sendgrid: a forbidden header": (
        "sendgrid",
        changed("sendgrid", "headers", value={"Reply-To": "a@b.example"}),
        "Reply-To",
    ),
    "sendgrid: eleven categories": (
        "sendgrid",
        changed("sendgrid", "categories", value=[str(n) for n in range(11)]),
        "11",
    ),
    "sendgrid: reply_to twice": (
        "sendgrid",
        {
            **RIGHT["sendgrid"].document,
            "reply_to": {"email": "a@b.example"},
            "reply_to_list": [{"email": "a@b.example"}],
        },
        "reply_to",
    ),
    "sendgrid: no subject": ("sendgrid", changed("sendgrid", "subject"), "subject"),
    "sendgrid: metadata of numbers": (
        "sendgrid",
        changed("sendgrid", "personalizations", 0, "custom_args", value={"order": 7}),
        "no string",
    ),
    "sendgrid: base64 with a line break": (
        "sendgrid",
        changed("sendgrid", "attachments", 0, "content", value=FILE[:4] + "\r\n" + FILE[4:]),
        "control character",
    ),
    "mailgun: nobody": ("mailgun", [*RIGHT["mailgun"].document[:1], *RIGHT["mailgun"].document[2:]], "to"),
    "mailgun: no body": ("mailgun", [*RIGHT["mailgun"].document[:3], ("h:X-A", "b")], "at least one"),
    "mailgun: recipient variables": ("mailgun", [*RIGHT["mailgun"].document, ("recipient-variables", "{}")], "unknown"),
    "mailgun: four tags": (
        "mailgun",
        [*RIGHT["mailgun"].document, *[("o:tag", str(n)) for n in range(3)]],
        "more than 3",
    ),
    "mailgun: a bare date": ("mailgun", [*RIGHT["mailgun"].document, ("o:deliverytime", "2026-11-24")], "RFC 2822"),
    "mailgun: a name of a header that is not ASCII": ("mailgun", [*RIGHT["mailgun"].document, ("h:X-Ü", "b")], "ASCII"),
    "mailgun: 17 KB of variables": ("mailgun", [*RIGHT["mailgun"].document, ("v:a", "b" * 17_000)], "16 KB"),
    "sparkpost: no content": ("sparkpost", changed("sparkpost", "content"), "1400"),
    "sparkpost: no address": (
        "sparkpost",
        changed("sparkpost", "recipients", 0, "address", "email", value="ada"),
        "5002",
    ),
    "sparkpost: a long campaign": ("sparkpost", changed("sparkpost", "campaign_id", value="ü" * 33), "1300"),
    "sparkpost: a forbidden header": (
        "sparkpost",
        changed("sparkpost", "content", "headers", value={"Reply-To": "a@b.example"}),
        "1300",
    ),
    "postmark: no body": ("postmark", changed("postmark", "TextBody"), "TextBody or HtmlBody"),
    "postmark: a wrong sender": ("postmark", changed("postmark", "From", value="shop"), '"ErrorCode":300'),
    "postmark: 51 addresses": (
        "postmark",
        changed("postmark", "Bcc", value=",".join(f"a{n}@b.example" for n in range(50))),
        "50",
    ),
    "postmark: a program": (
        "postmark",
        changed("postmark", "Attachments", value=[{"Name": "a.EXE", "Content": FILE, "ContentType": "a/b"}]),
        '"ErrorCode":411',
    ),
    "postmark: no such stream": ("postmark", changed("postmark", "MessageStream", value="news"), '"ErrorCode":1235'),
    "postmark: a header with a field": (
        "postmark",
        changed("postmark", "Headers", value=[{"Name": "Subject", "Value": "b"}]),
        '"ErrorCode":300',
    ),
    "resend: nobody": ("resend", changed("resend", "to"), "missing_required_field"),
    "resend: a wrong sender": ("resend", changed("resend", "from", value="shop"), "invalid_from_address"),
    "resend: a tag of other characters": (
        "resend",
        changed("resend", "tags", 0, "value", value="ä"),
        "validation_error",
    ),
    "resend: a file without a name": (
        "resend",
        changed("resend", "attachments", value=[{"content": FILE}]),
        "invalid_attachment",
    ),
    "brevo: text alone": (
        "brevo",
        {**changed("brevo", "htmlContent"), "textContent": "It works."},
        "missing_parameter",
    ),
    "brevo: a value beyond ASCII": ("brevo", changed("brevo", "headers", "X-Order", value="№ 7"), "invalid_parameter"),
    "brevo: a key that is no UUID": ("brevo", changed("brevo", "headers", "idempotencyKey", value="7"), "UUID"),
    "brevo: a kind of file it does not know": (
        "brevo",
        changed("brevo", "attachment", value=[{"name": "a.bin", "content": FILE}]),
        "Unsupported",
    ),
    "brevo: a hundred recipients": ("brevo", changed("brevo", "bcc", value=[{"email": "a@b.example"}] * 99), "99"),
    "mailjet: a header of its own": (
        "mailjet",
        changed("mailjet", "Messages", 0, "Headers", value={"Message-Id": "<a@b>"}),
        "send-0011",
    ),
    "mailjet: no body": ("mailjet", changed("mailjet", "Messages", 0, "TextPart"), "send-0003"),
    "mailjet: no address": ("mailjet", changed("mailjet", "Messages", 0, "To", 0, "Email", value="ada"), "mj-0013"),
    "mailjet: 51 messages": ("mailjet", {"Messages": RIGHT["mailjet"].document["Messages"] * 51}, "mj-0008"),
    "mailersend: a header": (
        "mailersend",
        changed("mailersend", "headers", value=[{"name": "X-A", "value": "b"}]),
        "#MS42206",
    ),
    "mailersend: six tags": ("mailersend", changed("mailersend", "tags", value=list("abcdef")), "#MS42210"),
    "mailersend: no subject": ("mailersend", changed("mailersend", "subject"), "#MS42208"),
    "mailtrap: no sender": ("mailtrap", changed("mailtrap", "from"), "from"),
    "mailtrap: a file without a name": (
        "mailtrap",
        changed("mailtrap", "attachments", value=[{"content": FILE}]),
        "filename",
    ),
    "mailtrap: a long category": ("mailtrap", changed("mailtrap", "category", value="a" * 256), "256"),
    "postal: nobody": ("postal", changed("postal", "rcpt_to"), "parameter-error"),
    "postal: bare line feeds": (
        "postal",
        changed("postal", "data", value=base64.b64encode(MIME + b"a\nb").decode()),
        "CRLF",
    ),
}


@pytest.mark.parametrize(("kind", "document", "words"), WRONG.values(), ids=WRONG)
def test_refuses_what_is_wrong(desk: Desk, document: Any, words: str, complaints: list[Complaint]) -> None:
    answer = desk.respond(call_of(desk, document))

    assert words in said(answer)
    assert desk.ledger.taken == []
    assert len(complaints) == 1


@pytest.mark.parametrize("kind", ["sendgrid", "sparkpost", "brevo", "mailersend", "mailtrap"])
def test_domains_travel_as_a_labels(desk: Desk, complaints: list[Complaint]) -> None:
    text = orjson.dumps(RIGHT[desk.kind].document).replace(b"ada@example.org", "ada@bücher.example".encode())
    desk.respond(call_of(desk, text))

    assert (desk.ledger.taken, len(complaints)) == ([], 1)


class TestSes:
    kind = pytest.mark.parametrize("kind", ["ses"])

    @kind
    def test_a_signature_six_minutes_old_is_refused(self, desk: Desk) -> None:
        call = call_of(desk)
        late = type(call)(**{**{name: getattr(call, name) for name in call.__slots__}, "now": NOW + 360})

        assert "InvalidSignature" in said(desk.respond(late))

    @kind
    def test_a_body_that_was_not_signed_is_refused(self, desk: Desk) -> None:
        call = call_of(desk)
        bent = type(call)(**{**{name: getattr(call, name) for name in call.__slots__}, "body": call.body + b" "})

        assert "SignatureDoesNotMatch" in said(desk.respond(bent))

    @kind
    def test_what_a_raw_message_says_can_be_opened(self, desk: Desk) -> None:
        desk.respond(call_of(desk))

        taken = opened(desk.ledger.taken[0])
        assert (taken.sender_name, taken.text, taken.header("X-Reliable-Email-Id")) == ("Shop", "It works.\n", OURS)


class TestMailgun:
    kind = pytest.mark.parametrize("kind", ["mailgun"])

    @kind
    def test_takes_ready_mime(self, desk: Desk) -> None:
        body = form(("to", "ada@example.org"), ("message", MIME, "message.mime", "message/rfc822"))
        answer = desk.respond(call_of(desk, body, path="/v3/shop.example/messages.mime"))

        (taken,) = desk.ledger.taken
        assert (answer.status, taken.mime, taken.message_id, taken.id) == (200, MIME, OURS, "<1@example.com>")

    @kind
    def test_ready_mime_is_a_file(self, desk: Desk) -> None:
        body = form(("to", "ada@example.org"), ("message", MIME.decode()))

        assert desk.respond(call_of(desk, body, path="/v3/shop.example/messages.mime")).status == 400

    @kind
    def test_a_file_without_a_name_is_dropped(self, desk: Desk, complaints: list[Complaint]) -> None:
        answer = desk.respond(call_of(desk, [*RIGHT["mailgun"].document, ("attachment", "content")]))

        assert (answer.status, desk.ledger.taken[0].attachments, len(complaints)) == (200, (), 1)

    @kind
    def test_finds_what_it_took_by_its_message_id(self, desk: Desk) -> None:
        desk.respond(call_of(desk, [*RIGHT["mailgun"].document, ("h:Message-Id", "<1@example.com>")]))
        found, missing = (
            orjson.loads(
                desk.respond(call_of(desk, path=f"/v3/shop.example/events?message-id={name}", method="GET")).body
            )["items"]
            for name in ("1@example.com", "2@example.com")
        )

        assert (len(found), missing) == (1, [])

    @kind
    def test_another_domain_is_not_there(self, desk: Desk) -> None:
        assert "404" in said(desk.respond(call_of(desk, path="/v3/other.example/messages")))


class TestSparkpost:
    kind = pytest.mark.parametrize("kind", ["sparkpost"])

    @kind
    def test_runs_templates_unless_told_not_to(self, desk: Desk) -> None:
        for options in ({"perform_substitutions": False}, {}):
            document = {**changed("sparkpost", "content", "text", value="Hello {{name}}"), "options": options}
            desk.respond(call_of(desk, document))

        assert [taken.text for taken in desk.ledger.taken] == ["Hello {{name}}", "Hello "]

    @kind
    def test_runs_the_subject_in_any_case(self, desk: Desk) -> None:
        subject = "{{opening_double_curly()}} name {{closing_double_curly()}}{{x}}"
        desk.respond(call_of(desk, changed("sparkpost", "content", "subject", value=subject)))

        assert desk.ledger.taken[0].subject == "{{ name }}"

    @kind
    def test_ignores_what_it_does_not_know(self, desk: Desk, complaints: list[Complaint]) -> None:
        answer = desk.respond(call_of(desk, {**RIGHT["sparkpost"].document, "reply_to": "a@b.example"}))

        assert (answer.status, len(complaints)) == (200, 1)

    @kind
    def test_shows_copies_by_their_header(self, desk: Desk, complaints: list[Complaint]) -> None:
        document = deepcopy(RIGHT["sparkpost"].document)
        document["content"]["headers"] = {"CC": "carol@example.org"}
        document["recipients"] = [
            {"address": {"email": email, "header_to": '"Ada" <ada@example.org>'}}
            for email in ("ada@example.org", "carol@example.org", "dan@example.org")
        ]
        desk.respond(call_of(desk, document))

        (taken,) = desk.ledger.taken
        groups = [[address.email for address in group] for group in (taken.to, taken.cc, taken.bcc)]
        assert (groups, complaints) == ([["ada@example.org"], ["carol@example.org"], ["dan@example.org"]], [])


class TestPostmark:
    kind = pytest.mark.parametrize("kind", ["postmark"])

    @kind
    def test_keeps_our_message_id_only_when_told_to(self, desk: Desk) -> None:
        ours = {"Name": "Message-ID", "Value": "<1@example.com>"}
        for headers in ([ours], [ours, {"Name": "X-PM-KeepID", "Value": "true"}]):
            desk.respond(call_of(desk, changed("postmark", "Headers", value=headers)))

        replaced, kept = (taken.internet_message_id for taken in desk.ledger.taken)
        assert replaced.endswith("@mtasv.net>")
        assert kept == "<1@example.com>"

    @kind
    def test_answers_each_of_a_batch(self, desk: Desk) -> None:
        document = [RIGHT["postmark"].document, changed("postmark", "To", value="ada")]
        answer = desk.respond(call_of(desk, document, path="/email/batch"))

        assert (answer.status, [entry["ErrorCode"] for entry in orjson.loads(answer.body)]) == (200, [0, 300])

    @kind
    def test_finds_what_it_took_by_metadata(self, desk: Desk) -> None:
        desk.respond(call_of(desk))
        answer = desk.respond(
            call_of(desk, path=f"/messages/outbound?metadata_id={OURS}&count=1&offset=0", method="GET")
        )

        assert orjson.loads(answer.body)["TotalCount"] == 1


class TestResend:
    kind = pytest.mark.parametrize("kind", ["resend"])

    @kind
    def test_a_key_makes_no_second_copy(self, desk: Desk) -> None:
        first, second = (desk.respond(call_of(desk, headers={"Idempotency-Key": "k"})) for _ in range(2))

        assert (first.body, len(desk.ledger.taken)) == (second.body, 1)

    @kind
    def test_another_body_under_a_key_is_refused(self, desk: Desk) -> None:
        desk.respond(call_of(desk, headers={"Idempotency-Key": "k"}))
        answer = desk.respond(call_of(desk, changed("resend", "text", value="Other"), headers={"Idempotency-Key": "k"}))

        assert "invalid_idempotent_request" in said(answer)

    @kind
    def test_a_forgotten_key_makes_a_second_copy(self, desk: Desk) -> None:
        desk.respond(call_of(desk, headers={"Idempotency-Key": "k"}))
        desk.forget()
        desk.respond(call_of(desk, headers={"Idempotency-Key": "k"}))

        assert desk.ledger.duplicates == {OURS: 2}

    @kind
    def test_a_strict_batch_is_taken_whole_or_not_at_all(self, desk: Desk) -> None:
        documents = [RIGHT["resend"].document, changed("resend", "to")]
        answer = desk.respond(call_of(desk, documents, path="/emails/batch"))

        assert (answer.status, desk.ledger.taken) == (422, [])

    @kind
    def test_a_permissive_batch_takes_the_good_ones(self, desk: Desk) -> None:
        documents = [changed("resend", "to"), RIGHT["resend"].document]
        answer = desk.respond(
            call_of(desk, documents, path="/emails/batch", headers={"x-batch-validation": "permissive"})
        )

        shown = orjson.loads(answer.body)
        assert (len(shown["data"]), [error["index"] for error in shown["errors"]]) == (1, [0])

    @kind
    def test_a_name_that_contradicts_the_type_is_complained_of(self, desk: Desk, complaints: list[Complaint]) -> None:
        file = {"filename": "a.pdf", "content": FILE, "content_type": "image/png"}
        desk.respond(call_of(desk, changed("resend", "attachments", value=[file])))

        assert len(complaints) == 1

    @kind
    def test_wants_to_know_what_calls(self, desk: Desk) -> None:
        assert desk.respond(call_of(desk, headers={"User-Agent": None})).status == 403


class TestBrevo:
    kind = pytest.mark.parametrize("kind", ["brevo"])

    @kind
    def test_says_that_a_key_was_used(self, desk: Desk) -> None:
        document = changed("brevo", "headers", "idempotencyKey", value="11111111-1111-4111-8111-111111111111")
        first, second = (desk.respond(call_of(desk, document)) for _ in range(2))

        assert (first.status, len(desk.ledger.taken)) == (201, 1)
        assert "duplicate_request" in said(second)

    @kind
    def test_mangles_names_that_are_not_encoded(self, desk: Desk, complaints: list[Complaint]) -> None:
        desk.respond(call_of(desk, changed("brevo", "sender", "name", value="Bücher & Co.")))

        assert len(complaints) == 1


class TestMailjet:
    kind = pytest.mark.parametrize("kind", ["mailjet"])

    @kind
    def test_one_bad_message_sets_the_status_of_a_batch(self, desk: Desk) -> None:
        good = RIGHT["mailjet"].document["Messages"][0]
        answer = desk.respond(call_of(desk, {"Messages": [good, {**good, "To": [{"Email": "ada"}]}]}))

        statuses = [message["Status"] for message in orjson.loads(answer.body)["Messages"]]
        assert (answer.status, statuses, len(desk.ledger.taken)) == (400, ["success", "error"], 1)

    @kind
    def test_finds_what_it_took_by_custom_id(self, desk: Desk) -> None:
        desk.respond(call_of(desk))
        answer = desk.respond(call_of(desk, path=f"/v3/REST/message?CustomID={OURS}", method="GET"))

        assert orjson.loads(answer.body)["Count"] == 1


class TestMailersend:
    kind = pytest.mark.parametrize("kind", ["mailersend"])

    @kind
    def test_enterprises_may_set_headers(self, desk: Desk) -> None:
        assert isinstance(desk, MailersendDesk)
        desk.is_enterprise = True
        desk.respond(call_of(desk, changed("mailersend", "headers", value=[{"name": "X-A", "value": "b"}])))

        assert desk.ledger.taken[0].header("x-a") == "b"


class TestMailtrap:
    kind = pytest.mark.parametrize("kind", ["mailtrap"])

    @kind
    def test_answers_each_of_a_batch(self, desk: Desk) -> None:
        document = {"base": changed("mailtrap", "to"), "requests": [{"to": [{"email": "ada@example.org"}]}, {}]}
        answer = desk.respond(call_of(desk, document, path="/api/batch"))

        assert [entry["success"] for entry in orjson.loads(answer.body)["responses"]] == [True, False]


class TestPostal:
    kind = pytest.mark.parametrize("kind", ["postal"])

    @kind
    def test_takes_messages_in_fields_too(self, desk: Desk) -> None:
        document = {
            "to": ["ada@example.org"],
            "from": "shop@example.com",
            "subject": "Hello",
            "plain_body": "It works.",
        }
        answer = desk.respond(call_of(desk, document, path="/api/v1/send/message"))

        assert orjson.loads(answer.body)["status"] == "success"

    @kind
    def test_an_error_is_a_200(self, desk: Desk) -> None:
        answer = desk.respond(call_of(desk, {"from": "a@b.example"}, path="/api/v1/send/message"))

        assert (answer.status, orjson.loads(answer.body)["data"]["code"]) == (200, "NoRecipients")
