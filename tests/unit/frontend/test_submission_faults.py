"""Everything that can be wrong with a submission, with the code and the place that its sender is told."""

from __future__ import annotations

from typing import Any

import pytest

from services.frontend.limits import Limits, Rules
from services.frontend.schema import SubmissionSchema
from tests.unit.frontend.bodies import NOW, attachment, body, places, refuse, schema_with

MEBIBYTE = 1 << 20
ADDRESSES = [f"ada{number}@example.org" for number in range(51)]

FILENAME = "#/attachments/0/filename"
TURNED = ("forbidden_character", FILENAME)

FAULTS: list[tuple[str, Any, str, str]] = [
    # The body as a whole
    ("a list", [], "wrong_type", "#"),
    ("a string", "mail", "wrong_type", "#"),
    ("null", None, "wrong_type", "#"),
    ("a truth value", True, "wrong_type", "#"),
    ("too many fields", body(**{f"x{number}": 1 for number in range(200)}), "too_many", "#"),
    ("a field in another spelling", body(sendAt="2026-12-01T09:00:00Z"), "unknown_field", "#/sendAt"),
    ("an unknown field that is null", body(sendAt=None), "unknown_field", "#/sendAt"),
    ("a field with a slash and a tilde", body(**{"a/b~c": 1}), "unknown_field", "#/a~1b~0c"),
    ("a field that no fragment can hold", body(**{"grüße {1}": 1}), "unknown_field", "#/gr%C3%BC%C3%9Fe%20%7B1%7D"),
    ("a template", body(template="welcome"), "unknown_field", "#/template"),
    ("variables", body(variables={}), "unknown_field", "#/variables"),
    ("raw MIME", body(raw="U3ViamVjdDo="), "unknown_field", "#/raw"),
    ("unsubscribe", body(unsubscribe={}), "unknown_field", "#/unsubscribe"),
    # Sender and recipients
    ("no sender", body(**{"from": ...}), "missing", "#/from"),
    ("a sender that is null", body(**{"from": None}), "missing", "#/from"),
    ("two senders", body(**{"from": ["a@example.com", "b@example.com"]}), "wrong_type", "#/from"),
    ("no recipient", body(to=...), "missing", "#/to"),
    ("an empty list of recipients", body(to=[]), "missing", "#/to"),
    ("empty lists of recipients", body(to=[], cc=[], bcc=None), "missing", "#/to"),
    ("a number as recipient", body(to=1), "wrong_type", "#/to"),
    ("null among the recipients", body(to=["ada@example.org", None]), "wrong_type", "#/to/1"),
    ("a list among the recipients", body(to=[["ada@example.org"]]), "wrong_type", "#/to/0"),
    ("no domain", body(to="grace@"), "invalid_address", "#/to"),
    ("no domain, in a list", body(to=["ada@example.org", "grace@"]), "invalid_address", "#/to/1"),
    ("no domain, in an object", body(to=["a@example.org", {"email": "grace@"}]), "invalid_address", "#/to/1/email"),
    ("no at sign", body(to="grace"), "invalid_address", "#/to"),
    ("an empty address", body(to=""), "invalid_address", "#/to"),
    ("two addresses in one string", body(to="a@example.org, b@example.org"), "invalid_address", "#/to"),
    ("an at sign in a display name", body(to="ada@example.org <x@example.net>"), "invalid_address", "#/to"),
    ("an encoded word in a local part", body(to="=?utf-8?q?a?=@example.org"), "invalid_address", "#/to"),
    ("a line break in an address", body(to="ada@example.org\r\nBcc: x@example.net"), "invalid_address", "#/to"),
    ("a NUL in an address", body(to="ada\0@example.org"), "invalid_address", "#/to"),
    ("angle brackets in an object", body(to={"email": "<ada@example.org>"}), "invalid_address", "#/to/email"),
    ("an address without email", body(cc={"name": "Ada"}), "missing", "#/cc/email"),
    (
        "an unknown field of an address",
        body(bcc=[{"email": "a@example.org", "nmae": "A"}]),
        "unknown_field",
        "#/bcc/0/nmae",
    ),
    ("a line break in a name", body(to={"email": "a@example.org", "name": "A\nB"}), "forbidden_character", "#/to/name"),
    ("a number as name", body(to={"email": "a@example.org", "name": 7}), "wrong_type", "#/to/name"),
    ("a long name", body(to={"email": "a@example.org", "name": "x" * 256}), "too_long", "#/to/name"),
    ("a long address", body(to="x" * 1_025), "too_long", "#/to"),
    ("51 recipients", body(to=ADDRESSES), "too_many", "#/to"),
    ("51 recipients in two lists", body(to=ADDRESSES[:30], cc=ADDRESSES[30:]), "too_many", "#/cc"),
    ("one recipient too many in the last list", body(to=ADDRESSES[:50], bcc="x@example.net"), "too_many", "#/bcc"),
    ("11 addresses to answer to", body(reply_to=ADDRESSES[:11]), "too_many", "#/reply_to"),
    # Subject and bodies
    ("no subject", body(subject=...), "missing", "#/subject"),
    ("a number as subject", body(subject=1042), "wrong_type", "#/subject"),
    ("a line feed in the subject", body(subject="Your\nreceipt"), "forbidden_character", "#/subject"),
    ("a NUL in the subject", body(subject="Your\0receipt"), "forbidden_character", "#/subject"),
    ("a next-line in the subject", body(subject="Your\x85receipt"), "forbidden_character", "#/subject"),
    ("a line separator in the subject", body(subject="Your\u2028receipt"), "forbidden_character", "#/subject"),
    ("a long subject", body(subject="x" * 999), "too_long", "#/subject"),
    ("no content at all", body(text=...), "missing", "#/text"),
    ("no content but no attachments", body(text=None, attachments=[]), "missing", "#/text"),
    ("a NUL in the text", body(text="Thank\0you"), "forbidden_character", "#/text"),
    ("a NUL in the HTML", body(html="<p>\0</p>"), "forbidden_character", "#/html"),
    ("a list as HTML", body(html=["<p>"]), "wrong_type", "#/html"),
    ("a long text", body(text="x" * (2 * MEBIBYTE + 1)), "too_large", "#/text"),
    ("a text that is long in UTF-8", body(html="ü" * (MEBIBYTE + 1)), "too_large", "#/html"),
    # Headers
    ("headers as a list", body(headers=[["X-Order", "1042"]]), "wrong_type", "#/headers"),
    ("a number as header", body(headers={"X-Order": 1042}), "wrong_type", "#/headers/X-Order"),
    ("null as header", body(headers={"X-Order": None}), "wrong_type", "#/headers/X-Order"),
    ("a reserved header", body(headers={"Bcc": "x@example.net"}), "reserved_header", "#/headers/Bcc"),
    (
        "a reserved header in small letters",
        body(headers={"message-id": "<1@x>"}),
        "reserved_header",
        "#/headers/message-id",
    ),
    ("a content header", body(headers={"Content-Foo": "x"}), "reserved_header", "#/headers/Content-Foo"),
    ("a space in a header's name", body(headers={"X Order": "1"}), "invalid_header_name", "#/headers/X%20Order"),
    ("a line break in a header's name", body(headers={"X\r\nBcc": "1"}), "invalid_header_name", "#/headers/X%0D%0ABcc"),
    ("an empty header name", body(headers={"": "1"}), "invalid_header_name", "#/headers/"),
    ("a line break in a header", body(headers={"X-A": "1\r\nBcc: x@y.z"}), "forbidden_character", "#/headers/X-A"),
    ("a long header", body(headers={"X-A": "x" * 999}), "header_too_long", "#/headers/X-A"),
    ("a header twice", body(headers={"X-Order": "1", "x-order": "2"}), "duplicate", "#/headers/x-order"),
    ("65 headers", body(headers={f"X-{number}": "" for number in range(65)}), "too_many", "#/headers"),
    # Attachments
    ("one attachment without a list", body(attachments=attachment()), "wrong_type", "#/attachments"),
    ("21 attachments", body(attachments=[attachment()] * 21), "too_many", "#/attachments"),
    ("an attachment without name", body(attachments=[attachment(filename=...)]), "missing", "#/attachments/0/filename"),
    (
        "an attachment with an empty name",
        body(attachments=[attachment(filename="")]),
        "missing",
        "#/attachments/0/filename",
    ),
    ("a path", body(attachments=[attachment(filename="../x")]), "forbidden_character", "#/attachments/0/filename"),
    (
        "a path of Windows",
        body(attachments=[attachment(filename="a\\b")]),
        "forbidden_character",
        "#/attachments/0/filename",
    ),
    (
        "a control in a name",
        body(attachments=[attachment(filename="a\x1b[b")]),
        "forbidden_character",
        "#/attachments/0/filename",
    ),
    *(
        (f"a folder {name}", body(attachments=[attachment(filename=name)]), "invalid_filename", FILENAME)
        for name in (".", "..")
    ),
    *(
        (f"U+{ord(letter):04X} in a file name", body(attachments=[attachment(filename=f"a{letter}gpj.exe")]), *TURNED)
        for letter in "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    ),
    ("a long file name", body(attachments=[attachment(filename="x" * 256)]), "too_long", "#/attachments/0/filename"),
    (
        "an attachment without content",
        body(attachments=[attachment(content=...)]),
        "missing",
        "#/attachments/0/content",
    ),
    ("base64 without padding", body(attachments=[attachment(content="YQ")]), "bad_base64", "#/attachments/0/content"),
    (
        "base64 with a line break",
        body(attachments=[attachment(content="YWJj\nYWJj")]),
        "bad_base64",
        "#/attachments/0/content",
    ),
    ("base64 for URLs", body(attachments=[attachment(content="_-__")]), "bad_base64", "#/attachments/0/content"),
    (
        "base64 that is not ASCII",
        body(attachments=[attachment(content="ÄÖÜß")]),
        "bad_base64",
        "#/attachments/0/content",
    ),
    ("bytes as a list", body(attachments=[attachment(content=[1, 2])]), "wrong_type", "#/attachments/0/content"),
    (
        "a media type of one word",
        body(attachments=[attachment(content_type="pdf")]),
        "invalid_content_type",
        "#/attachments/0/content_type",
    ),
    (
        "a multipart",
        body(attachments=[attachment(content_type="multipart/mixed")]),
        "invalid_content_type",
        "#/attachments/0/content_type",
    ),
    (
        "a message",
        body(attachments=[attachment(content_type="Message/RFC822")]),
        "invalid_content_type",
        "#/attachments/0/content_type",
    ),
    (
        "a content id in brackets",
        body(attachments=[attachment(content_id="<logo>")]),
        "invalid_content_id",
        "#/attachments/0/content_id",
    ),
    (
        "an unknown disposition",
        body(attachments=[attachment(disposition="hidden")]),
        "unknown_value",
        "#/attachments/0/disposition",
    ),
    ("a URL to fetch", body(attachments=[attachment(url="http://10.0.0.1/")]), "unknown_field", "#/attachments/0/url"),
    (
        "a content id twice",
        body(attachments=[attachment(content_id="logo")] * 2),
        "duplicate",
        "#/attachments/1/content_id",
    ),
    # Tags and metadata
    ("one tag without a list", body(tags="receipt"), "wrong_type", "#/tags"),
    ("11 tags", body(tags=[str(number) for number in range(11)]), "too_many", "#/tags"),
    ("a tag with a space", body(tags=["ok", "my receipt"]), "invalid_tag", "#/tags/1"),
    ("an empty tag", body(tags=[""]), "invalid_tag", "#/tags/0"),
    ("a long tag", body(tags=["x" * 65]), "invalid_tag", "#/tags/0"),
    ("a number in the metadata", body(metadata={"order": 1042}), "wrong_type", "#/metadata/order"),
    ("an object in the metadata", body(metadata={"order": {}}), "wrong_type", "#/metadata/order"),
    ("a NUL in the metadata", body(metadata={"order": "10\x0042"}), "forbidden_character", "#/metadata/order"),
    ("a NUL in a name of metadata", body(metadata={"or\0der": "1042"}), "forbidden_character", "#/metadata/or%00der"),
    ("metadata without a name", body(metadata={"": "1042"}), "missing", "#/metadata/"),
    ("metadata of 4,097 bytes", body(metadata={"a": "x" * 4_096}), "too_large", "#/metadata"),
    # How it is sent
    ("an unknown priority", body(priority="urgent"), "unknown_value", "#/priority"),
    ("a priority in capitals", body(priority="HIGH"), "unknown_value", "#/priority"),
    ("a number as priority", body(priority=1), "wrong_type", "#/priority"),
    ("an unknown pool", body(pool="nowhere"), "unknown_pool", "#/pool"),
    ("an unknown way", body(on_ambiguous="ask"), "unknown_value", "#/on_ambiguous"),
    ("a time in words", body(send_at="tomorrow"), "bad_time", "#/send_at"),
    ("a time without offset", body(send_at="2026-12-01T09:00:00"), "bad_time", "#/send_at"),
    ("a number as time", body(send_at=1_796_112_000), "wrong_type", "#/send_at"),
    ("a time in two years", body(send_at="2028-12-01T09:00:00Z"), "out_of_range", "#/send_at"),
    ("a negative delay", body(delay_seconds=-1), "out_of_range", "#/delay_seconds"),
    ("a delay of two years", body(delay_seconds=2 * 365 * 86_400), "out_of_range", "#/delay_seconds"),
    ("a broken delay", body(delay_seconds=1.5), "wrong_type", "#/delay_seconds"),
    ("a whole delay as a float", body(delay_seconds=60.0), "wrong_type", "#/delay_seconds"),
    ("a delay in a string", body(delay_seconds="60"), "wrong_type", "#/delay_seconds"),
    ("true as a delay", body(delay_seconds=True), "wrong_type", "#/delay_seconds"),
    ("no time to live", body(ttl_seconds=0), "out_of_range", "#/ttl_seconds"),
    ("a time to live beyond all calendars", body(ttl_seconds=10**15), "out_of_range", "#/ttl_seconds"),
    ("true as a time to live", body(ttl_seconds=True), "wrong_type", "#/ttl_seconds"),
    ("a bad end", body(expires_at="2026-12-32T00:00:00Z"), "bad_time", "#/expires_at"),
    ("both times to send", body(send_at="2026-12-01T09:00:00Z", delay_seconds=5), "conflict", "#/delay_seconds"),
    ("both times to expire", body(expires_at="2026-12-01T09:00:00Z", ttl_seconds=5), "conflict", "#/ttl_seconds"),
    (
        "an end before the time to send",
        body(send_at="2026-12-01T09:00:00+01:00", expires_at="2026-12-01T07:59:59Z"),
        "wrong_order",
        "#/expires_at",
    ),
    # The idempotency key
    ("an empty key", body(idempotency_key=""), "missing", "#/idempotency_key"),
    ("an empty key in quotes", body(idempotency_key='""'), "missing", "#/idempotency_key"),
    ("a key with a space", body(idempotency_key="order 1042"), "forbidden_character", "#/idempotency_key"),
    ("a key that is not ASCII", body(idempotency_key="größe"), "forbidden_character", "#/idempotency_key"),
    ("text behind a key's quotes", body(idempotency_key='"a";b="c"'), "bad_quotes", "#/idempotency_key"),
    ("a key in quotes that do not end", body(idempotency_key='"a'), "bad_quotes", "#/idempotency_key"),
    ("a key in quotes with quotes inside", body(idempotency_key='"a"b"'), "bad_quotes", "#/idempotency_key"),
    ("a key that is a quote", body(idempotency_key='"'), "bad_quotes", "#/idempotency_key"),
    ("a long key", body(idempotency_key="x" * 256), "too_long", "#/idempotency_key"),
    ("a number as key", body(idempotency_key=1042), "wrong_type", "#/idempotency_key"),
]


@pytest.mark.parametrize(
    ("given", "code", "place"), [case[1:] for case in FAULTS], ids=[case[0].replace(" ", "-") for case in FAULTS]
)
def test_a_fault_is_the_only_one_and_is_told_with_its_place(given: Any, code: str, place: str) -> None:
    assert places(refuse(given)) == [(code, place)]


def test_all_faults_are_told_at_once() -> None:
    given = body(to=["grace@", {"email": "ada"}], subject="a\nb", text=..., sendAt="tomorrow", tags=[1], ttl_seconds=0)

    assert sorted(places(refuse(given))) == [
        ("forbidden_character", "#/subject"),
        ("invalid_address", "#/to/0"),
        ("invalid_address", "#/to/1/email"),
        ("missing", "#/text"),
        ("out_of_range", "#/ttl_seconds"),
        ("unknown_field", "#/sendAt"),
        ("wrong_type", "#/tags/0"),
    ]


def test_an_empty_object_lacks_sender_recipient_subject_and_content() -> None:
    assert sorted(places(refuse({}))) == [
        ("missing", "#/from"),
        ("missing", "#/subject"),
        ("missing", "#/text"),
        ("missing", "#/to"),
    ]


def test_a_wrong_name_is_answered_with_the_right_one() -> None:
    (fault,) = refuse(body(sendAt="2026-12-01T09:00:00Z"))

    assert fault.detail == "There is no field 'sendAt'. Did you mean 'send_at'?"


def test_a_bad_address_is_told_in_words() -> None:
    (fault,) = refuse(body(to="grace@"))

    assert fault.detail == "'grace@' has no domain after the @"


def test_a_line_break_is_told_with_its_position() -> None:
    (fault,) = refuse(body(subject="Hello world\nX: y"))

    assert fault.detail == "A line break (U+000A) cannot stand in a header; found at character 12"


def test_of_many_unknown_fields_the_first_twenty_are_named() -> None:
    faults = refuse(body(**{f"x_{number}": 1 for number in range(100)}))

    assert len(faults) == 21
    assert faults[-1].detail == "There are 80 more fields that do not exist"


@pytest.mark.parametrize(
    ("name", "pointer"), [("x" * 255, f"#/headers/{'x' * 255}"), ("x" * 256, "#/headers"), ("~" * 255, "")]
)
def test_a_pointer_is_whole_or_points_at_what_holds_the_name(name: str, pointer: str) -> None:
    assert [fault.where for fault in refuse(body(headers={name: "a"}))] == [pointer or f"#/headers/{'~0' * 255}"]


def test_a_name_of_a_megabyte_is_not_sent_back() -> None:
    (fault,) = refuse(body(**{"x" * MEBIBYTE: 1}))

    assert len(fault.where) + len(fault.detail) < 300


def test_attachments_are_limited_together() -> None:
    content = "A" * 4_000
    given = body(attachments=[attachment(content=content), attachment(content=content)])

    assert places(refuse(given, schema=schema_with(attachments_bytes=5_999))) == [("too_large", "#/attachments")]


def test_an_attachment_beyond_the_limit_is_refused_before_it_is_decoded() -> None:
    given = body(attachments=[attachment(content="!" * 4_000)])

    assert places(refuse(given, schema=schema_with(attachments_bytes=100))) == [
        ("too_large", "#/attachments/0/content")
    ]


@pytest.mark.parametrize(
    ("key", "code"), [("", "missing"), ('""', "missing"), ("a b", "forbidden_character"), ("x" * 256, "too_long")]
)
def test_a_bad_key_in_the_header_is_told_with_the_header(key: str, code: str) -> None:
    assert places(refuse(body(), key=key)) == [(code, "Idempotency-Key")]


def test_different_keys_in_body_and_header_are_refused() -> None:
    assert places(refuse(body(idempotency_key="a"), key="b")) == [("conflict", "Idempotency-Key")]


@pytest.mark.parametrize("days", [1, 30])
def test_how_far_ahead_a_message_is_scheduled_is_limited(days: int) -> None:
    schema = SubmissionSchema(Rules(limits=Limits(schedule_days=days)))
    last = NOW + days * 86_400_000

    assert list(schema.judge(body(), {"to": [1], "send_at": last}, NOW)) == []
    assert [fault.code for fault in schema.judge(body(), {"to": [1], "send_at": last + 1}, NOW)] == ["out_of_range"]
