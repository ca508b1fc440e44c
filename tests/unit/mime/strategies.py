"""Random envelopes, of everything that validation lets through."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from shared.domain.message import Address, Attachment, Envelope
from shared.mime.headers import is_content_id, is_header_name, is_media_type, is_reserved

# What is likely to break a header: encoded words, quotes, commas, runs of spaces, long words.
_TROUBLE: Final = st.sampled_from(
    [
        "=?utf-8?q?a=0ABcc=3A_evil=40x.y?=",
        "=?utf-8?b?Cg==?=",
        "=?",
        "?=",
        "=",
        "_",
        '"',
        "\\",
        ",",
        ";",
        "<a@b.example>",
        "  ",
        " ",
        "(",
        ")",
        "日本語の件名",
        "👩‍👩‍👧 family",
        "é",
        "À" * 60,  # its last octet is the smallest that continues a character
        "e\u0301",
        "x" * 70,
        "word " * 20,
        "--=_",
    ]
)
_LETTERS: Final = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029")


def header_texts(max_pieces: int = 6) -> st.SearchStrategy[str]:
    """Texts that may stand in a header: subjects, names, values."""
    pieces = st.one_of(st.text(_LETTERS, max_size=30), st.text("abc XYZ", max_size=30), _TROUBLE)
    return st.lists(pieces, max_size=max_pieces).map("".join)


def emails() -> st.SearchStrategy[str]:
    """Addresses as they are kept: common ones, with national domains, with national local parts."""
    local = st.one_of(
        st.from_regex(r"[a-z0-9!#$%&'*+/=^_`{|}~-]{1,12}(\.[A-Z0-9]{1,8})?", fullmatch=True),
        st.sampled_from(["ada", "grüße", "用户", "o'brien", "x" * 64]),
    )
    domain = st.sampled_from(
        [
            "example.org",
            "Example.COM",
            "bücher.example",
            "例え.テスト",
            "localhost",
            "sub.domain.test",
            "a" * 63 + ".local",
        ]
    )
    return st.builds(lambda left, right: f"{left}@{right}", local, domain)


def addresses() -> st.SearchStrategy[Address]:
    """Addresses with and without a name."""
    return st.builds(Address, emails(), st.just("") | header_texts(3))


def bodies() -> st.SearchStrategy[str]:
    """Texts of a body, with every kind of line end, long lines, and what looks like a boundary."""
    pieces = st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
        st.text("abc .=-_", max_size=40),
        st.sampled_from(
            ["\n", "\r", "\r\n", "\n.\n", "\r.\r", "\n--=_a_msg_0--\n", " \n", "x" * 998, "x" * 999, "日本語" * 30]
        ),
    )
    return st.lists(pieces, max_size=8).map("".join)


def filenames() -> st.SearchStrategy[str]:
    """File names of 1 to 255 characters, without path separators and control characters."""
    letters = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\\\u2028\u2029")
    plain = st.text("abc .-_'\"%;", min_size=1, max_size=60)
    return st.one_of(st.text(letters, min_size=1, max_size=255), plain, st.sampled_from(["receipt.pdf", "履歴書.docx"]))


# Wider than what is taken: `is_media_type` and `is_content_id` have to sort them out.
_TYPE_NAME: Final = st.text("aZ9!#$&^_.+-", min_size=1, max_size=8)
_QUOTED: Final = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
_PARAMETER: Final = st.builds(
    "{}={}".format,
    _TYPE_NAME,
    st.text("aZ9!#$%&'*+.^_`{|}~-", min_size=1, max_size=8)
    | st.lists(_QUOTED | _TROUBLE, max_size=3).map("".join).map('"{}"'.format),
)


def media_types() -> st.SearchStrategy[str]:
    """Media types with parameters, of every character that one may hold."""
    return (
        st.builds("{}/{}".format, _TYPE_NAME, _TYPE_NAME)
        .flatmap(lambda name: st.lists(_PARAMETER, max_size=2).map(lambda parameters: "; ".join([name, *parameters])))
        .filter(is_media_type)
    )


def content_ids() -> st.SearchStrategy[str]:
    """Content ids of every character that one may hold."""
    visible = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=20)
    return (_TROUBLE | st.builds("{}{}{}".format, visible, _TROUBLE, visible)).filter(is_content_id)


def attachments() -> st.SearchStrategy[Attachment]:
    """Files of some bytes, a few of them images that html may refer to."""
    common_types = st.sampled_from(
        [
            "application/pdf",
            "image/png",
            "text/plain",
            "text/calendar; method=REQUEST",
            'text/csv; charset="utf-8"; header=present',
            "message/rfc822",
            "multipart/mixed",
        ]
    )
    common_ids = st.none() | st.from_regex(r"[a-z0-9.]{1,20}(@[a-z]{1,9})?", fullmatch=True)
    return st.builds(
        lambda filename, media_type, content, content_id, disposition: Attachment(
            filename, media_type, len(content), content, content_id, disposition
        ),
        filenames(),
        common_types | media_types(),
        st.binary(max_size=300),
        common_ids | content_ids(),
        st.sampled_from(["attachment", "inline"]),
    )


def custom_headers() -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    """A client's own headers, with names unique whatever their case."""
    names = st.one_of(
        st.sampled_from(["X-Order", "In-Reply-To", "References", "List-Unsubscribe", "X-" + "n" * 74]),
        st.from_regex(r"X-[A-Za-z0-9-]{1,60}", fullmatch=True),
    ).filter(lambda name: is_header_name(name) and not is_reserved(name))
    values = header_texts().filter(lambda value: len(value.encode()) <= 998)
    headers = st.lists(st.tuples(names, values), max_size=4, unique_by=lambda header: header[0].lower())
    return headers.map(tuple)


def envelopes() -> st.SearchStrategy[Envelope]:
    """Whole envelopes, also without anything to show."""
    several = st.lists(addresses(), max_size=4).map(tuple)
    return st.builds(
        Envelope,
        sender=addresses(),
        to=several,
        cc=several,
        bcc=several,
        reply_to=several,
        subject=header_texts(),
        text=st.none() | bodies(),
        html=st.none() | bodies(),
        headers=custom_headers(),
        attachments=st.lists(attachments(), max_size=3).map(tuple),
    )
