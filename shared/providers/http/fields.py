"""A message in the fields that services over HTTP take: who it is for, and its texts in the form that travels."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from shared.domain.message import Address, RecipientKind
from shared.domain.outcome import Scope
from shared.mime.addresses import wire_address
from shared.mime.encoding import encoded_words, is_plain, phrase
from shared.mime.headers import ID_HEADER
from shared.providers.interface import Parcel, Unsendable


@dataclass(frozen=True, slots=True)
class Recipients:
    """Those an attempt is for, by the header that names them, their domains as A-labels."""

    to: tuple[Address, ...] = ()
    cc: tuple[Address, ...] = ()
    bcc: tuple[Address, ...] = ()


def recipients_of(parcel: Parcel) -> Recipients:
    """Return the recipients of a parcel: all of the envelope's, or those that are left."""
    everyone = parcel.envelope.recipients
    kinds: dict[RecipientKind, list[Address]] = {kind: [] for kind in RecipientKind}
    for number in parcel.recipients:
        kinds[parcel.envelope.kind_of(number)].append(travelling(everyone[number]))
    return Recipients(*(tuple(kinds[kind]) for kind in RecipientKind))


def travelling(address: Address) -> Address:
    """Return an address with its domain as A-labels."""
    return Address(wire_address(address.email)[0], address.name)


def mailbox(address: Address) -> str:
    """Return an address with its name as a header holds it (RFC 5322, 3.4), on one line, the name in ASCII."""
    email = travelling(address).email
    if not address.name:
        return email
    return f"{phrase(address.name)} <{email}>".replace("\r\n ", " ")


def header_text(text: str) -> str:
    """Return the value of a header on one line, in encoded words (RFC 2047) where it is not plain ASCII."""
    return text if is_plain(text) else " ".join(encoded_words(text, 75))


def headers_of(parcel: Parcel, forbidden: Collection[str] = ()) -> dict[str, str]:
    """Return the headers that no field of a service stands for: our ids, and the client's own.

    `forbidden` are names in lower case that the service takes from nobody: ours stay behind, and for
    one of the client's this raises Unsendable, for another service may carry it.
    """
    ours = {"Message-ID": parcel.internet_message_id, ID_HEADER: parcel.id}
    headers = {name: value for name, value in ours.items() if name.lower() not in forbidden}
    for name, value in parcel.envelope.headers:
        if name.lower() in forbidden:
            raise Unsendable(f"the service takes no header {name}")
        headers[name] = header_text(value)
    return headers


def bytes_within(message_bytes: int) -> int:
    """Return how much of bodies and decoded files a message of so many bytes holds: in base64, 57 of them take 78."""
    return message_bytes * 57 // 78


def base64_of(content: bytes) -> str:
    """Return base64 without line breaks."""
    return b64encode(content).decode()


def json_of_fields(fields: Any) -> bytes:
    """Return fields as JSON. Raises Unsendable for a text that no encoding can carry."""
    try:
        return orjson.dumps(fields)
    except orjson.JSONEncodeError as error:
        raise Unsendable(f"a text of the message is no Unicode: {error}", Scope.MESSAGE) from error
