"""Messages to send."""

from __future__ import annotations

from typing import Final

from shared.domain.message import Address, Attachment, Envelope
from shared.providers.interface import Parcel

#: One of everything that a message can hold.
RICH: Final = Envelope(
    sender=Address("shop@example.com", "Šhop & Co."),
    to=(Address("ada@example.org", "Ada Lovelace"), Address("grace@bücher.example")),
    cc=(Address("linus@example.net"),),
    bcc=(Address("archive@example.com"),),
    reply_to=(Address("help@example.com"),),
    subject="Your receipt №1042, thank you",
    text="Dear Ada,\n.\n..two dots\nFrom us, with ünïcode\n",
    html="<p>Dear Ada</p>\n",
    headers=(("X-Order", "1042"),),
    attachments=(Attachment("receipt.bin", "application/octet-stream", 256, bytes(range(256))),),
)


def envelope_to(*recipients: str) -> Envelope:
    """Return a small message to these recipients, or to Ada."""
    return Envelope(
        sender=Address("shop@example.com"),
        to=tuple(map(Address, recipients or ("ada@example.org",))),
        subject="Hello",
        text="It works.\n",
    )


def parcel_of(envelope: Envelope, *numbers: int, serial: int = 0) -> Parcel:
    """Return the parcel of an envelope, for all its recipients where no numbers are given."""
    message_id = f"msg_01kas3v7q2f8x4m9d0w5t6{serial:06}"
    return Parcel(
        id=message_id,
        envelope=envelope,
        recipients=numbers or tuple(range(len(envelope.recipients))),
        internet_message_id=f"<{message_id}@example.com>",
        date=1_795_000_000_000,
    )


def parcel_to(*recipients: str, serial: int = 0) -> Parcel:
    """Return the parcel of a small message to these recipients, or to Ada."""
    return parcel_of(envelope_to(*recipients), serial=serial)
