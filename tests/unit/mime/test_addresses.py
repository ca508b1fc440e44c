"""Addresses are read strictly, kept as they were written, and travel in ASCII where they can."""

from __future__ import annotations

import email_validator
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.domain.message import Address
from shared.mime import addresses
from shared.mime.addresses import (
    InvalidAddress,
    check_email,
    mail_domain,
    parse_address,
    same_mailbox_key,
    wire_address,
)
from tests.unit.mime.strategies import emails


def _is_common(email: str) -> bool:
    return len(email) <= addresses._COMMON_LENGTH and addresses._COMMON.fullmatch(email) is not None


def _library(email: str) -> email_validator.ValidatedEmail:
    return email_validator.validate_email(email, strict=True, check_deliverability=False, globally_deliverable=False)


_LOCAL = st.text("azAZ09!#$%&'*+/=^_`{|}~-.", min_size=1, max_size=64)
_DOMAIN = st.lists(st.text("azAZ09-", min_size=1, max_size=63), min_size=1, max_size=5).map(".".join)


@given(st.builds("{}@{}.{}".format, _LOCAL, _DOMAIN, st.text("azAZ", min_size=1, max_size=9)).filter(_is_common))
def test_what_the_fast_path_takes_the_library_takes_with_the_same_result(email: str) -> None:
    validated = _library(email)

    local, _, domain = check_email(email).rpartition("@")
    # The library writes the mailbox names of RFC 2142 in lower case.
    assert validated.local_part in {local, local.lower()}
    assert validated.ascii_domain == domain.lower()
    assert not validated.smtputf8


@given(emails() | st.text(max_size=40) | st.builds("{}@{}.example".format, st.text(max_size=9), st.text(max_size=9)))
def test_whatever_is_taken_the_library_takes_and_sends_to_the_same_mailbox(text: str) -> None:
    try:
        email = check_email(text)
    except InvalidAddress:
        assume(condition=False)

    validated = _library(text)
    wired, needs_smtputf8 = wire_address(email)
    assert wired.lower() == f"{validated.local_part}@{validated.ascii_domain}".lower()
    assert needs_smtputf8 == validated.smtputf8


@given(st.text(max_size=80))
def test_a_text_is_an_address_or_invalid_and_nothing_else(text: str) -> None:
    try:
        address = parse_address(text)
    except InvalidAddress:
        return

    assert check_email(address.email) == address.email


@given(emails())
def test_an_address_is_kept_as_it_was_written(email: str) -> None:
    assert check_email(email) == email


@pytest.mark.parametrize(
    "email",
    ["a@localhost", "a@example.test", "a@printer.local", "a@b.example", "a@b.invalid", "a@x.onion", "a@bücher.test"],
)
def test_domains_that_no_mail_reaches_are_taken(email: str) -> None:
    assert check_email(email) == email


@pytest.mark.parametrize(
    ("email", "fault"),
    [
        ("", "The address is empty"),
        ("grace", "'grace' has no @"),
        ("grace@", "'grace@' has no domain after the @"),
        ("@example.org", "'@example.org' has nothing before the @"),
        ("a@b@example.org", "'a@b@example.org' has more than one @"),
        ("a@x.org, b@x.org", "has more than one @"),
        ('"ada l"@example.org', "has quotes before the @"),
        ("=?utf-8?q?a?=@example.org", "has '=?' before the @"),
        ("a@[192.0.2.1]", "bracket"),
        ("a@192.0.2.1", "ends in a number"),
        (".a@example.org", "period"),
        ("a..b@example.org", "two periods"),
        ("a.@example.org", "period"),
        ("a b@example.org", "SPACE"),
        (" a@example.org", "SPACE"),
        ("a@example.org\n", "invalid characters"),
        ("a\r\nb@example.org", "invalid characters"),
        ("a\0@example.org", "invalid characters"),
        ("a<b@example.org", "@"),
        ("a@exa>mple.org", "invalid characters"),
        ("a@-example.org", "hyphen"),
        ("a@example..org", "period"),
        ("a@example.org.", "period"),
        ("a@exa_mple.org", "invalid characters"),
        ("a@ab--cd.org", "two dashes"),
        ("a@xn--a.org", "IDNA"),
        ("a@" + "b" * 64 + ".org", "too many"),
        ("x" * 65 + "@example.org", "too long before the @"),
        ("ü" * 33 + "@example.org", "66 octets before the @"),
        ("a@" + "b." * 126 + "org", "longer than 254 octets"),
        ("a@" + "ü." * 60 + "org", "too long after the @"),
        ("\uff46ull@example.org", "look like others"),
        ("a\u200bb@example.org", "unsafe"),
        ("a\ud800@example.org", "unsafe"),
        ("a\uff20example.org", "no @"),
    ],
)
def test_a_text_that_is_no_address_is_refused_with_its_fault(email: str, fault: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        check_email(email)

    assert fault in caught.value.detail
    assert str(caught.value) == caught.value.detail
    assert caught.value.code == "invalid_address"
    assert caught.value.detail.isprintable()


def test_a_decomposed_local_part_is_kept_composed() -> None:
    assert check_email("andre\u0301@example.org") == "andr\u00e9@example.org"


def test_the_longest_local_part_and_the_longest_address_are_taken() -> None:
    longest = "x" * 64 + "@" + ".".join(["y" * 62] * 3)

    assert check_email(longest + "z") == longest + "z"
    with pytest.raises(InvalidAddress, match="longer than 254 octets"):
        check_email(longest + "zz")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.org", Address("ada@example.org")),
        ("  ada@example.org ", Address("ada@example.org")),
        ("<ada@example.org>", Address("ada@example.org")),
        ("Ada Lovelace <ada@example.org>", Address("ada@example.org", "Ada Lovelace")),
        ("Ada<ada@example.org>", Address("ada@example.org", "Ada")),
        ("Lovelace, Ada (Countess) <ada@example.org>", Address("ada@example.org", "Lovelace, Ada (Countess)")),
        ('"Ada \\"the\\" L@velace <x>" <ada@example.org>', Address("ada@example.org", 'Ada "the" L@velace <x>')),
        ("Grüße 👩‍🔬 <ada@bücher.example>", Address("ada@bücher.example", "Grüße 👩‍🔬")),
        ("=?utf-8?q?a?= <ada@example.org>", Address("ada@example.org", "=?utf-8?q?a?=")),
    ],
)
def test_a_name_before_an_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("ceo@bank.example <evil@example.org>", "has an @ in its display name"),
        ("a@x.example, b@y.example <c@z.example>", "has an @ in its display name"),
        ("Ada <b> <ada@example.org>", 'has a <, > or " in its display name'),
        ('Ada "L" <ada@example.org>', 'has a <, > or " in its display name'),
        ('"Ada" L <ada@example.org>', "only partly in quotes"),
        ('"Ada <ada@example.org>', "only partly in quotes"),
        ("ada@example.org>", "has a > without its <"),
        ("Ada <ada@example.org", "@"),
        ("Ada <>", "The address is empty"),
        ("Ada <grace@>", "'grace@' has no domain after the @"),
        ("Ada\r\nBcc: x <ada@example.org>", "U+000D"),
        ('"Ada\n" <ada@example.org>', "U+000A"),
        ("Ada\u2028 <ada@example.org>", "U+2028"),
    ],
)
def test_a_name_that_could_deceive_is_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidAddress) as caught:
        parse_address(text)

    assert fault in caught.value.detail


@pytest.mark.parametrize(
    ("email", "wired"),
    [
        ("Ada@Example.org", ("Ada@Example.org", False)),
        ("ada@Bücher.example", ("ada@xn--bcher-kva.example", False)),
        ("ada@faß.example", ("ada@xn--fa-hia.example", False)),
        ("ada@例え。テスト", ("ada@xn--r8jz45g.xn--zckzah", False)),
        ("用户@example.org", ("用户@example.org", True)),
        ("用户@例え.テスト", ("用户@xn--r8jz45g.xn--zckzah", True)),
    ],
)
def test_a_domain_travels_as_a_labels(email: str, wired: tuple[str, bool]) -> None:
    assert wire_address(email) == wired


def test_what_has_no_a_labels_does_not_travel() -> None:
    with pytest.raises(InvalidAddress):
        wire_address("ada@\u2028.example")


@pytest.mark.parametrize("other", ["ada@BÜCHER.example", "ada@XN--bcher-kva.Example", "ada@bu\u0308cher.example"])
def test_spellings_of_one_domain_are_one_mailbox(other: str) -> None:
    assert same_mailbox_key("ada@bücher.example") == same_mailbox_key(other)


def test_local_parts_differ_by_case() -> None:
    assert same_mailbox_key("Ada@example.org") != same_mailbox_key("ada@example.org")


def test_the_domain_of_an_address_is_lower_case_and_ascii() -> None:
    assert mail_domain("ada@BÜCHER.Example") == "xn--bcher-kva.example"
