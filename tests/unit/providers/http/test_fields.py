from __future__ import annotations

from email.headerregistry import Address as Mailbox
from email.message import EmailMessage
from email.parser import Parser
from email.policy import SMTP

import pytest

from shared.domain.message import Address
from shared.domain.outcome import Scope
from shared.providers.http.fields import (
    base64_of,
    bytes_within,
    header_text,
    headers_of,
    json_of_fields,
    mailbox,
    recipients_of,
    travelling,
)
from shared.providers.interface import Unsendable
from tests.unit.providers.envelopes import ID, INTERNET_MESSAGE_ID, full_parcel


def read_back(line: str) -> EmailMessage:
    message = Parser(EmailMessage, policy=SMTP).parsestr(line)
    assert isinstance(message, EmailMessage)
    return message


def test_recipients_stand_under_the_header_that_names_them() -> None:
    left = recipients_of(full_parcel())

    assert [[address.email for address in addresses] for addresses in (left.to, left.cc, left.bcc)] == [
        ["ada@example.org", "grace@xn--zrich-kva.example"],
        ["carol@example.org"],
        ["archive@example.com"],
    ]


def test_only_those_that_are_left_are_named() -> None:
    left = recipients_of(full_parcel((1, 3)))

    assert (len(left.to), len(left.cc), len(left.bcc)) == (1, 0, 1)


def test_a_domain_travels_as_a_labels_and_a_local_part_as_it_is() -> None:
    assert travelling(Address("jürgen@bücher.example", "Jürgen")) == Address("jürgen@xn--bcher-kva.example", "Jürgen")


@pytest.mark.parametrize("name", ["Ada Lovelace", "Carol, Accounts", 'The "Best" \\ Shop', "Bücher & Co.", "=?x?="])
def test_a_mailbox_is_one_line_of_ascii_that_is_read_back(name: str) -> None:
    line = mailbox(Address("ada@bücher.example", name))

    assert line.isascii()
    assert "\n" not in line
    assert read_back(f"To: {line}\n\n")["To"].addresses == (Mailbox(name, addr_spec="ada@xn--bcher-kva.example"),)


def test_a_mailbox_without_a_name_is_the_address() -> None:
    assert mailbox(Address("ada@example.org")) == "ada@example.org"


@pytest.mark.parametrize("text", ["plain", "№ 7", "=?utf-8?q?x?=", "ü" * 300, " edges "])
def test_a_header_is_one_line_of_ascii_that_is_read_back(text: str) -> None:
    line = header_text(text)

    assert line.isascii()
    assert "\n" not in line
    assert str(read_back(f"X-Note: {line}\n\n")["X-Note"]) == text


def test_our_ids_travel_beside_the_clients_headers() -> None:
    assert headers_of(full_parcel()) == {
        "Message-ID": INTERNET_MESSAGE_ID,
        "X-Reliable-Email-Id": ID,
        "In-Reply-To": "<6@example.com>",
        "List-Unsubscribe": "<https://example.com/u/7>",
        "X-Order": "=?utf-8?b?4oSWIDc=?=",
    }


def test_where_a_service_forbids_one_of_ours_it_stays_behind() -> None:
    assert "Message-ID" not in headers_of(full_parcel(), {"message-id"})


def test_where_a_service_forbids_the_clients_another_may_carry_it() -> None:
    with pytest.raises(Unsendable) as refusal:
        headers_of(full_parcel(headers=(("X-Sg-Id", "1"),)), {"x-sg-id"})
    assert refusal.value.scope is Scope.PROVIDER


def test_half_a_surrogate_cannot_travel_anywhere() -> None:
    with pytest.raises(Unsendable) as refusal:
        json_of_fields({"subject": "\ud800"})
    assert refusal.value.scope is Scope.MESSAGE


def test_base64_has_no_line_breaks() -> None:
    assert base64_of(b"x" * 100) == "eHh4" * 33 + "eA=="


def test_a_limit_of_a_whole_message_leaves_room_for_base64_in_lines() -> None:
    assert bytes_within(78_000) == 57_000
