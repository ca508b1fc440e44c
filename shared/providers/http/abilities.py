"""What not every service can carry: each function returns what travels, or says that this service has no way.

Nothing that a recipient would see is dropped in silence: a message that cannot travel whole goes to a
provider that takes it. What only the provider's own statistics would use stays behind where it does not fit.
"""

from __future__ import annotations

from shared.domain.message import Address, Attachment, Envelope
from shared.mime.headers import is_media_type
from shared.providers.http.fields import Recipients, recipients_of, travelling
from shared.providers.interface import Parcel, Unsendable


def recipients_with_to(parcel: Parcel) -> Recipients:
    """Return the recipients for a service that wants one in `to`, where a retry may have left none.

    A copy's recipient is seen by all others anyway, and a single blind one sees only themselves.
    Raises Unsendable for several blind ones: each would see the others.
    """
    recipients = recipients_of(parcel)
    if recipients.to:
        return recipients
    if recipients.cc:
        return Recipients(to=recipients.cc, bcc=recipients.bcc)
    if len(recipients.bcc) == 1:
        return Recipients(to=recipients.bcc)
    raise Unsendable("the service wants a recipient in `to`, and this message has blind ones alone")


def only_reply_to(envelope: Envelope) -> Address | None:
    """Return where replies go, for a service that takes one address. Raises Unsendable for more."""
    if len(envelope.reply_to) > 1:
        raise Unsendable("the service takes one address in `reply_to`")
    return travelling(envelope.reply_to[0]) if envelope.reply_to else None


def require_no_header(envelope: Envelope, starts: tuple[str, ...]) -> None:
    """Raise Unsendable for a client's header whose name starts with one of these, in lower case."""
    for name, _ in envelope.headers:
        if name.lower().startswith(starts):
            raise Unsendable(f"the service takes no header {name}")


def text_of(envelope: Envelope) -> str | None:
    """Return the text, a blank for a message of files alone: services refuse one without any."""
    return envelope.text or (None if envelope.html else " ")


def require_ascii(parcel: Parcel) -> None:
    """Raise Unsendable for an address that needs SMTPUTF8 (RFC 6531): a local part beyond ASCII."""
    envelope = parcel.envelope
    named = (envelope.sender, *(envelope.recipients[number] for number in parcel.recipients), *envelope.reply_to)
    for address in named:
        if not address.email.rpartition("@")[0].isascii():
            raise Unsendable("the service takes only ASCII before the @ of an address")


def is_inline(envelope: Envelope, file: Attachment) -> bool:
    """Whether a file is an image of the html; without html it is a file like any other."""
    return bool(envelope.html) and file.content_id is not None and file.disposition == "inline"


def media_type(file: Attachment) -> str:
    """Return a file's media type, the most general one where it names none."""
    return file.content_type if is_media_type(file.content_type) else "application/octet-stream"
