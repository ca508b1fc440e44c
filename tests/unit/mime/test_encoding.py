"""Any text stands in a header as ASCII, in lines that are short enough, and is read back."""

from __future__ import annotations

import re
from email.header import decode_header, make_header
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mime.encoding import ascii_fallback, encoded_words, parameter, phrase, unstructured
from tests.unit.mime.strategies import header_texts

_WORD = re.compile(r"=\?utf-8\?(q\?[A-Za-z0-9!*+/=_-]*|b\?[A-Za-z0-9+/]*=*)\?=")


@given(header_texts(), st.integers(32, 75))
def test_encoded_words_are_whole_words_that_fit_and_say_the_text(text: str, room: int) -> None:
    words = encoded_words(text, room)

    assert all(_WORD.fullmatch(word) and len(word) <= room for word in words)
    # Each by itself: a reader may decode one word without its neighbour (RFC 2047, section 5).
    assert "".join(str(make_header(decode_header(word))) for word in words) == text


@pytest.mark.parametrize("place", range(64))
def test_no_word_and_no_section_begins_or_ends_within_a_character(place: int) -> None:
    text = "x" * place + "é👩" + "y" * 90

    words = encoded_words(text, 75)
    sections = parameter("filename", text).split(";\r\n ")

    assert words[0].startswith("=?utf-8?q?")
    assert all("\ufffd" not in str(make_header(decode_header(word))) for word in words)
    assert all("\ufffd" not in unquote(section, errors="replace") for section in sections)


@given(st.text(st.characters(exclude_categories=())), st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,75}", fullmatch=True))
def test_whatever_the_text_a_header_is_one_ascii_header(text: str, name: str) -> None:
    for line in (unstructured(name, text), f"To: {phrase(text)}", f"Content-Type: a/b;\r\n {parameter('name', text)}"):
        assert line.isascii()
        assert re.sub(r"\r\n (?=[!-~])", " ", line).isprintable()
        assert max(map(len, line.split("\r\n"))) <= 998


@given(header_texts(), st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,75}", fullmatch=True))
def test_a_line_that_holds_a_word_has_at_most_76_characters(text: str, name: str) -> None:
    lines = (unstructured(name, text) + f"\r\nReply-To: {phrase(text)}").split("\r\n")

    assert all(len(line) <= 76 for line in lines if "=?" in line)


@pytest.mark.parametrize("length", [68, 69])
def test_a_line_is_folded_when_it_has_more_than_78_characters(length: int) -> None:
    folded = unstructured("Subject", "a " + "b" * (length - 1))

    assert ("\r\n" in folded) == (length > 68)
    assert max(map(len, folded.split("\r\n"))) <= 78


def test_a_line_that_cannot_be_folded_is_encoded_when_it_has_more_than_998_octets() -> None:
    assert unstructured("X-Order", "x" * 989) == "X-Order: " + "x" * 989
    assert unstructured("X-Order", "x" * 990).startswith("X-Order: =?utf-8?q?xx")


@given(header_texts())
def test_nothing_in_a_header_looks_like_a_word_but_what_was_encoded(text: str) -> None:
    line = unstructured("Subject", text)

    assert "=?" not in _WORD.sub("", line)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Your receipt", "Subject: Your receipt"),
        ("", "Subject: "),
        ("Grüße aus dem Norden", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus_dem_Norden?="),
        ("領収書", "Subject: =?utf-8?b?6aCY5Y+O5pu4?="),
        ("=?utf-8?q?a=0Ab?=", "Subject: =?utf-8?b?PT91dGYtOD9xP2E9MEFiPz0=?="),
        (" a", "Subject: =?utf-8?q?_a?="),
        ("a " * 38 + "b", "Subject: " + "a " * 33 + "a\r\n a a a a b"),
    ],
)
def test_a_text_takes_its_shortest_form(text: str, line: str) -> None:
    assert unstructured("Subject", text) == line


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("Lovelace, Ada", '"Lovelace, Ada"'),
        ('Ada "L"', '"Ada \\"L\\""'),
        ("J. Doe", '"J. Doe"'),
        ("Ada  L", "=?utf-8?q?Ada__L?="),
        ("名", "=?utf-8?b?5ZCN?="),
    ],
)
def test_a_name_takes_its_plainest_form(name: str, expected: str) -> None:
    assert phrase(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("receipt.pdf", 'filename="receipt.pdf"'),
        ("Grüße.pdf", "filename*=utf-8''Gr%C3%BC%C3%9Fe.pdf"),
        ("é" * 10, "filename*0*=utf-8''" + "%C3%A9" * 8 + ";\r\n filename*1*=" + "%C3%A9" * 2),
        ('a"b', "filename*=utf-8''a%22b"),
    ],
)
def test_a_parameter_takes_its_plainest_form(name: str, expected: str) -> None:
    assert parameter("filename", name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Résumé.pdf", "Resume.pdf"),
        ("履歴書.pdf", "___.pdf"),
        ('"=?a', "__?a"),
        (" ", "_"),
        ("x" * 99 + ".pdf", "x" * 60 + ".pdf"),
    ],
)
def test_a_fallback_is_the_nearest_ascii(name: str, expected: str) -> None:
    assert ascii_fallback(name) == expected
