"""What may stand in a header."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mime.headers import (
    describe_forbidden,
    find_forbidden,
    header_fault,
    is_content_id,
    is_header_name,
    is_media_type,
    is_reserved,
)
from tests.unit.mime.strategies import header_texts


@given(st.text(st.characters(exclude_categories=())))
def test_controls_line_ends_and_half_surrogates_are_forbidden_and_nothing_else(text: str) -> None:
    places = [index for index, letter in enumerate(text) if category(letter) in {"Cc", "Cs", "Zl", "Zp"}]

    assert find_forbidden(text) == ((places[0], ord(text[places[0]])) if places else None)


@given(header_texts())
def test_no_harmless_text_is_forbidden(text: str) -> None:
    assert find_forbidden(text) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Your rece\nipt", "A line break (U+000A) cannot stand in a header; found at character 10"),
        ("\x85", "A line break (U+0085) cannot stand in a header; found at character 1"),
        ("a\t", "A control character (U+0009) cannot stand in a header; found at character 2"),
        ("\ud800", "A half surrogate (U+D800) cannot stand in a header; found at character 1"),
        ("harmless", None),
    ],
)
def test_the_first_forbidden_character_is_described(text: str, sentence: str | None) -> None:
    assert describe_forbidden(text) == sentence


@pytest.mark.parametrize("line_break", "\n\v\f\r\x85\u2028\u2029")
def test_whatever_some_reader_takes_for_a_line_end_is_called_a_line_break(line_break: str) -> None:
    assert (describe_forbidden(line_break) or "").startswith("A line break")


@pytest.mark.parametrize("name", ["X-Order", "List-Unsubscribe", "References", "a", "x" * 76])
def test_a_name_of_letters_digits_and_hyphens_is_taken(name: str) -> None:
    assert is_header_name(name)


@pytest.mark.parametrize("name", ["", "x" * 77, "X Order", "X:", "X-A\r\nBcc", "X-A\n", "X_A", "Ünicode"])
def test_any_other_name_is_refused(name: str) -> None:
    assert not is_header_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("From", "TO", "cc", "Bcc", "Subject", "Reply-To", "Sender", "Date", "Message-ID", "MIME-Version", "Received"),
        *("Return-Path", "DKIM-Signature", "Content-Type", "content-anything", "X-Reliable-Email-Id"),
    ],
)
def test_the_service_s_own_headers_are_reserved_whatever_their_case(name: str) -> None:
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["In-Reply-To", "References", "List-Id", "X-Subject", "Contents"])
def test_other_headers_are_free(name: str) -> None:
    assert not is_reserved(name)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("X-Order", "1042", None),
        ("X-Order", "x" * 998, None),
        ("X Order", "1042", "invalid_header_name"),
        ("Bcc", "a@b.example", "reserved_header"),
        ("X-Order", "a\r\nBcc: b", "forbidden_character"),
        ("X-Order", "x" * 999, "header_too_long"),
        ("X-Order", "ü" * 500, "header_too_long"),
    ],
)
def test_a_header_s_first_fault_is_named(name: str, value: str, code: str | None) -> None:
    fault = header_fault(name, value)

    assert (fault and fault.code) == code


@pytest.mark.parametrize(
    "text",
    [
        "application/pdf",
        "image/svg+xml",
        "text/calendar; method=REQUEST; charset=utf-8",
        'text/csv;header="present, yes"',
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ],
)
def test_media_types_are_recognised(text: str) -> None:
    assert is_media_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pdf",
        "a/",
        "/b",
        "a/b/c",
        "a/b;",
        "a/b; c",
        'a/b; c="d',
        "a/b\r\nBcc: e",
        "a/b\n",
        "ä/b",
        "a/" + "b" * 300,
        "a/b; c=d e",
        'application/pdf; name="=?utf-8?q?x=0ABcc=3A_evil=40x.y?="',
        'application/pdf; name="x =?utf-8?b?Cg==?="',
    ],
)
def test_other_texts_are_no_media_types(text: str) -> None:
    assert not is_media_type(text)


@pytest.mark.parametrize("text", ["logo", "logo@example.com", "part1.06090408"])
def test_content_ids_are_recognised(text: str) -> None:
    assert is_content_id(text)


@pytest.mark.parametrize(
    "text", ["", "a b", "<logo>", "a\r\nb", "ü", "x" * 129, "a(b)", "=?utf-8?q?x=0ABcc=3A_evil=40x.y?="]
)
def test_other_texts_are_no_content_ids(text: str) -> None:
    assert not is_content_id(text)
