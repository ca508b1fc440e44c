"""One message that uses every field, for the tests of every service: what travels is seen in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from shared.domain.message import Address, Attachment, Envelope
from shared.providers.interface import Parcel

ID: Final = "msg_01kas3v7q2h5x9b4n6c8d0e1f203"
INTERNET_MESSAGE_ID: Final = f"<{ID}@example.com>"

#: The instant of the first attempt: Tue, 24 Nov 2026 11:06:40 UTC, in milliseconds.
DATE: Final = 1_795_518_400_000

REPORT: Final = Attachment("Übersicht 2026.pdf", "application/pdf", 9, b"%PDF-1.7\n")
LOGO: Final = Attachment("logo.png", "image/png", 8, b"\x89PNG\r\n\x1a\n", content_id="logo@shop", disposition="inline")


def full_envelope(**changes: Any) -> Envelope:
    """Return a message with every field in use; recipients 0 and 1 are `to`, 2 is `cc`, 3 is `bcc`."""
    envelope = Envelope(
        sender=Address("shop@bücher.example", "Bücher & Co."),
        to=(Address("ada@example.org", "Ada Lovelace"), Address("grace@zürich.example")),
        cc=(Address("carol@example.org", "Carol, Accounts"),),
        bcc=(Address("archive@example.com"),),
        reply_to=(Address("help@bücher.example", "Hilfe"), Address("desk@example.com")),
        subject="Your order № 7: {{ name }}",
        text="Grüße, %recipient.name%\n",
        html='<p>Grüße, {{ name }}</p><img src="cid:logo@shop">',
        headers=(
            ("In-Reply-To", "<6@example.com>"),
            ("List-Unsubscribe", "<https://example.com/u/7>"),
            ("X-Order", "№ 7"),
        ),
        attachments=(REPORT, LOGO),
        tags=("receipt", "order.7"),
        metadata={"order": "7", "größe": "groß"},
        message_id_domain="example.com",
        size_bytes=1_200,
    )
    return replace(envelope, **changes)


def full_parcel(recipients: tuple[int, ...] | None = None, **changes: Any) -> Parcel:
    """Return the full message on its way to all its recipients or to these; `changes` are the envelope's."""
    envelope = full_envelope(**changes)
    numbers = tuple(range(len(envelope.recipients))) if recipients is None else recipients
    return Parcel(ID, envelope, numbers, INTERNET_MESSAGE_ID, DATE, f"{ID}.1", "bounces@example.com")
