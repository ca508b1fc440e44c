"""What of a message a provider can never carry, beyond its size: its sender, its addresses, its files."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from shared.domain.message import Envelope
from shared.mime.addresses import mail_domain
from shared.policy.views import MessageView
from shared.providers.interface import Capabilities

#: Names that a sentence holds; more would hide what it says.
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Inside:
    """What some providers look at: the domain of the sender, the ends of file names, whether ASCII is enough
    before the @ of every address."""

    sender_domain: str = ""
    extensions: frozenset[str] = frozenset()
    is_ascii: bool = True

    @classmethod
    def of(cls, envelope: Envelope, pending: Iterable[int]) -> Inside:
        """Return it for the recipients that are still to be served."""
        recipients = envelope.recipients
        named = (envelope.sender, *envelope.reply_to, *(recipients[number] for number in pending))
        return cls(
            sender_domain=mail_domain(envelope.sender.email),
            extensions=frozenset(_extension(file.filename) for file in envelope.attachments),
            is_ascii=all(address.email.rpartition("@")[0].isascii() for address in named),
        )


def looks_inside(able: Capabilities) -> bool:
    """Whether more than size and number of recipients decides what a provider carries."""
    return bool(
        able.is_ascii_only
        or able.refused_extensions
        or able.known_extensions is not None
        or able.sender_domains is not None
    )


def obstacle_inside(message: MessageView, able: Capabilities) -> str | None:
    """Return what the provider does not take of the message, and what helps; None where it takes all.

    A message of which `sender_domain` is not known passes.
    """
    if able.sender_domains is not None and message.sender_domain and message.sender_domain not in able.sender_domains:
        return (
            f"sends only from {_some(able.sender_domains)}, the message is from {message.sender_domain}; "
            "verify the domain there and add it to sender_domains"
        )
    if able.is_ascii_only and not message.is_ascii:
        return "takes only ASCII before the @ of an address; a provider of kind smtp may take it"
    if not message.extensions:
        return None
    refused = message.extensions & able.refused_extensions
    if refused:
        return f"takes no file that ends in {_some(refused)}; pack it, or link to it"
    if able.known_extensions is not None and not message.extensions <= able.known_extensions:
        strange = message.extensions - able.known_extensions
        return f"does not know files that end in {_some(strange) or 'nothing'}; pack them, or link to them"
    return None


def _extension(filename: str) -> str:
    stem, dot, end = filename.rpartition(".")
    return end.lower() if stem and dot else ""


def _some(names: Collection[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")
