"""Bodies travel in seven bits, in the shortest form, with CRLF and lines that SMTP carries."""

from __future__ import annotations

import base64
import quopri
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mime.bodies import encode_file, encode_text
from tests.unit.mime.oracle import with_line_ends
from tests.unit.mime.strategies import bodies

_DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "7bit": bytes,
    "quoted-printable": quopri.decodestring,
    "base64": base64.b64decode,
}


@given(bodies())
def test_a_text_is_read_back_with_its_line_ends_normalised(text: str) -> None:
    encoding, octets = encode_text(text)

    assert _DECODERS[encoding](octets).decode() == with_line_ends(text)


@given(bodies())
def test_every_encoded_line_is_carried_by_smtp(text: str) -> None:
    encoding, octets = encode_text(text)

    lines = octets.split(b"\r\n")
    assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines)
    assert max(map(len, lines)) <= (998 if encoding == "7bit" else 76)
    assert octets.isascii()


@given(bodies())
def test_no_boundary_can_stand_in_an_encoded_text(text: str) -> None:
    assert b"--=_" not in encode_text(text)[1]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("", "7bit"),
        ("Thank you.", "7bit"),
        ("x" * 998 + "\n" + "y" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("Grüße aus dem Norden", "quoted-printable"),
        ("a\0" + "b" * 9, "quoted-printable"),
        ("--=_a", "quoted-printable"),
        ("ありがとうございます", "base64"),
    ],
)
def test_a_text_takes_the_shortest_encoding_that_carries_it(text: str, encoding: str) -> None:
    assert encode_text(text)[0] == encoding


@pytest.mark.parametrize("text", ["a\n.\nb\n", "a\r.\rb\r", "a\r\n.\r\nb\r\n", "a\n.\rb"])
def test_every_line_end_becomes_crlf(text: str) -> None:
    assert encode_text(text) == ("7bit", b"a\r\n.\r\nb\r\n")


@given(st.binary(max_size=500) | st.sampled_from([57 * 1024 - 1, 57 * 1024, 57 * 1024 + 1, 200_000]).map(bytes))
def test_a_file_arrives_in_the_same_bytes_in_lines_of_76(content: bytes) -> None:
    encoded = encode_file(content)

    assert encoded == base64.encodebytes(content).replace(b"\n", b"\r\n")
