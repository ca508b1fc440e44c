"""Every message that is written says what its envelope says, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings

from shared.domain.message import Address, Attachment, Envelope
from shared.mime.writer import Unwritable, render
from tests.unit.mime.oracle import assert_faithful, raw_headers
from tests.unit.mime.strategies import envelopes

_ID: Final = "msg_01kas3v7q2f8x4m9d0w5t6y1zc03"
_ARGUMENTS: Final[dict[str, Any]] = {
    "message_id": _ID,
    "internet_message_id": f"<{_ID}@example.com>",
    "date": 1_795_518_127_999,
}
_SIMPLE: Final = Envelope(
    sender=Address("shop@example.com", "Shop"),
    to=(Address("ada@example.org", "Ada Lovelace"),),
    subject="Your receipt 1042",
    text="Thank you.\n",
)
_INJECTION: Final = "=?utf-8?q?a=0ABcc=3A_evil=40x.y?="


def _png(**more: Any) -> Attachment:
    fields: dict[str, Any] = {"content_id": "logo", "disposition": "inline", **more}
    return Attachment("logo.png", "image/png", 4, b"\x89PNG", **fields)


def _pdf(filename: str = "receipt.pdf", content: bytes = b"%PDF-1.7\n\0\xff\r\n.\r\n") -> Attachment:
    return Attachment(filename, "application/pdf", len(content), content)


def _faithful(envelope: Envelope) -> bytes:
    raw = render(envelope, **_ARGUMENTS)
    assert_faithful(envelope, raw, **_ARGUMENTS)
    return raw


def test_a_simple_message_is_written_to_the_letter() -> None:
    expected = (
        b"From: Shop <shop@example.com>\r\n"
        b"To: Ada Lovelace <ada@example.org>\r\n"
        b"Subject: Your receipt 1042\r\n"
        b"Date: Tue, 24 Nov 2026 11:02:07 +0000\r\n"
        b"Message-ID: <msg_01kas3v7q2f8x4m9d0w5t6y1zc03@example.com>\r\n"
        b"X-Reliable-Email-Id: msg_01kas3v7q2f8x4m9d0w5t6y1zc03\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Thank you.\r\n"
    )

    assert render(_SIMPLE, **_ARGUMENTS) == expected


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(envelopes())
def test_the_standard_library_reads_every_message_as_it_was_submitted(envelope: Envelope) -> None:
    _faithful(envelope)


_VECTORS: Final = {
    "html only": {"text": None, "html": "<p>Thank you.</p>"},
    "text and html": {"html": "<p>Thank you.</p>"},
    "an image of the html": {"html": '<img src="cid:logo">', "attachments": (_png(),)},
    "an image without html": {"attachments": (_png(),)},
    "an image of html beside a file": {"html": '<img src="cid:logo">', "attachments": (_png(), _pdf())},
    "two attachments": {"attachments": (_pdf(), _pdf("terms.pdf"))},
    "attachments only": {"text": None, "attachments": (_pdf(),)},
    "an empty attachment": {"attachments": (_pdf(content=b""),)},
    "an attachment of several blocks": {"attachments": (_pdf(content=bytes(range(256)) * 600),)},
    "a message as attachment": {"attachments": (Attachment("fwd.eml", "message/rfc822", 10, b"Subject: a"),)},
    "an invitation": {"attachments": (Attachment("a.ics", "text/calendar; method=REQUEST", 5, b"BEGIN"),)},
    "a file name of 255 letters": {"attachments": (_pdf("x" * 251 + ".pdf"),)},
    "a file name of 255 ideograms": {"attachments": (_pdf("履" * 251 + ".pdf"),)},
    "a file name of 255 emoji": {"attachments": (_pdf("👩" * 255),)},
    "a file name with quotes": {"attachments": (_pdf('"a" \\ %41;b=c.pdf'),)},
    "a file name like an encoded word": {"attachments": (_pdf(_INJECTION),)},
    "nothing at all": {"text": None, "subject": ""},
    "an empty text": {"text": ""},
    "a lone dot after LF": {"text": "a\n.\nb"},
    "a lone dot after CR": {"text": "a\r.\rb"},
    "lines of 998": {"text": "x" * 998 + "\n" + "y" * 998},
    "a line of 999": {"text": "x" * 999},
    "a Japanese text": {"text": "いつもご利用いただきありがとうございます。\n" * 9},
    "an umlaut": {"text": "Grüße aus Köln\n"},
    "spaces at a line's end": {"text": "ü \t\n \n"},
    "a boundary in the text": {"html": "", "text": f"--=_a_{_ID}--\n"},
    "a Japanese subject": {"subject": "ご注文ありがとうございます、領収書をお送りします" * 5},
    "a long subject": {"subject": "Your receipt for many things and more " * 20 + "end"},
    "a subject of one long word": {"subject": "x" * 2000},
    "a subject with spaces at its ends": {"subject": "  a  "},
    "a subject that holds a header": {"subject": _INJECTION},
    "a name that holds a header": {"to": (Address("ada@example.org", _INJECTION),)},
    "a value that holds a header": {"headers": (("X-Order", _INJECTION),)},
    "a name of emoji": {"to": (Address("ada@example.org", "👩‍🔬 Ada 🧮" * 9),)},
    "a name with specials": {"to": (Address("ada@example.org", 'Lovelace, "Ada" <\\> (Countess)'),)},
    "a long name": {"to": (Address("ada@example.org", "Augusta Ada King Countess of Lovelace " * 9),)},
    "many recipients": {"to": tuple(Address(f"ada{n}@example.org", f"Ada the {n}th") for n in range(50))},
    "a national domain": {"to": (Address("ada@bücher.example", "Ada"),)},
    "a national local part": {"to": (Address("用户@例え.テスト", "用户"),)},
    "a copy alone": {"to": (), "cc": (Address("ada@example.org"),)},
    "references": {"headers": (("References", " ".join(f"<order-{n}@shop.example.com>" for n in range(30))),)},
    "a value of 998": {"headers": (("X-Order", "x" * 998),)},
    "the longest name": {"headers": (("X-" + "n" * 74, "é" * 40),)},
}


@pytest.mark.parametrize("changes", _VECTORS.values(), ids=_VECTORS.keys())
def test_it_is_read_as_it_was_submitted(changes: dict[str, Any]) -> None:
    _faithful(replace(_SIMPLE, **changes))


@pytest.mark.parametrize("field", ["subject", "sender", "headers"])
@pytest.mark.parametrize(
    "text", [_INJECTION, "a\r\nBcc: evil@x.y", "a\nBcc: evil@x.y", "a\u2028Bcc: evil@x.y", "a\x85b"]
)
def test_no_text_begins_a_header_even_if_it_was_not_validated(field: str, text: str) -> None:
    values: dict[str, Any] = {"subject": text, "sender": Address("a@x.example", text), "headers": (("X-Order", text),)}

    raw = render(replace(_SIMPLE, **{field: values[field]}), **_ARGUMENTS)

    assert "bcc" not in [name.lower() for name, _ in raw_headers(raw)]


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("X-A\r\nBcc", "evil@x.y"),)},
        {"headers": (("Bcc", "evil@x.y"),)},
        {"sender": Address("a@x.example>\r\nBcc: <evil@x.y")},
        {"sender": Address("a@x.example, evil@x.y")},
        {"sender": Address("ada")},
        {"sender": Address("=?utf-8?q?a=0ABcc=3A?=@x.example")},
    ],
)
def test_names_and_addresses_that_were_not_validated_are_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(Unwritable):
        render(replace(_SIMPLE, **changes), **_ARGUMENTS)


def test_a_media_type_and_a_content_id_that_were_not_validated_are_not_written() -> None:
    file = _png(content_id=_INJECTION)

    raw = render(
        replace(_SIMPLE, attachments=(replace(file, content_type=f'image/png; name="{_INJECTION}"'),)), **_ARGUMENTS
    )

    assert _INJECTION.encode() not in raw


def test_a_message_id_cannot_hold_a_header() -> None:
    with pytest.raises(Unwritable):
        render(_SIMPLE, **{**_ARGUMENTS, "internet_message_id": "<a@b>\r\nBcc: evil@x.y"})


def test_blind_recipients_stand_nowhere() -> None:
    raw = render(replace(_SIMPLE, bcc=(Address("secret@example.net", "Secret"),)), **_ARGUMENTS)

    assert b"ecret" not in raw


def test_a_message_for_blind_recipients_alone_names_an_empty_group() -> None:
    raw = render(replace(_SIMPLE, to=(), bcc=(Address("secret@example.net"),)), **_ARGUMENTS)

    assert ("To", "undisclosed-recipients:;") in raw_headers(raw)


def test_a_message_is_ascii_where_only_domains_names_and_blind_recipients_are_not() -> None:
    raw = _faithful(replace(_SIMPLE, to=(Address("a@bücher.example", "Grüße"),), bcc=(Address("grüße@a.example"),)))

    assert raw.isascii()


def test_a_national_local_part_stands_as_it_is() -> None:
    raw = _faithful(replace(_SIMPLE, to=(Address("grüße@bücher.example"),)))

    assert "\r\nTo: grüße@xn--bcher-kva.example\r\n".encode() in raw


def test_the_same_message_is_written_twice_in_the_same_bytes() -> None:
    envelope = replace(_SIMPLE, html="<p>", attachments=(_pdf(), _png()))

    assert render(envelope, **_ARGUMENTS) == render(envelope, **_ARGUMENTS)


def test_headers_are_folded_at_78_characters() -> None:
    envelope = replace(
        _SIMPLE,
        subject="Your receipt for many things and more " * 20 + "end",
        to=tuple(Address(f"ada{n}@example.org", "Ada Lovelace é") for n in range(20)),
        attachments=(_pdf("履" * 251 + ".pdf"),),
    )

    assert max(map(len, render(envelope, **_ARGUMENTS).split(b"\r\n"))) <= 78


def test_an_unknown_media_type_becomes_bytes() -> None:
    raw = render(replace(_SIMPLE, attachments=(Attachment("a", "x\r\nBcc: e@x.y", 1, b"a"),)), **_ARGUMENTS)

    assert b"Content-Type: application/octet-stream;\r\n" in raw
