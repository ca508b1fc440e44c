"""What a submission may be, as numbers: what `GET /v1` shows and what the schema keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shared.domain.message import DEFAULT_POOL, Address
from shared.policy.routes import Route

MEBIBYTE: Final = 1 << 20

#: Limits that no configuration changes. Lengths are in characters unless the name says bytes.
BODY_BYTES: Final = 2 * MEBIBYTE  # of `text` and of `html`, each
SUBJECT_LENGTH: Final = 998  # RFC 5322, section 2.1.1: a line has at most 998 characters
NAME_LENGTH: Final = 255  # of the name beside an address
ADDRESS_LENGTH: Final = 1_024  # of an address as a string, with its name
REPLY_TO: Final = 10
TAGS: Final = 10  # the fewest that a provider with several tags takes
TAG_LENGTH: Final = 64
KEY_LENGTH: Final = 255
FILENAME_LENGTH: Final = 255
DURATION_SECONDS: Final = 10 * 365 * 86_400  # `ttl_seconds`: what is longer means "never" and is left out
REASON_LENGTH: Final = 500  # of a pause
BULK: Final = 1_000  # messages that one call requeues or deletes
KEYS_OF_AN_OBJECT: Final = 200  # an object with more is not looked into


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of this installation. Bytes of attachments are counted decoded.

    `batch_bytes` bounds what one batch may grow to once its defaults stand in every message: a
    request of 25 MiB could otherwise ask for 1,000 times its attachments.
    """

    request_bytes: int = 25 * MEBIBYTE
    attachments_bytes: int = 18 * MEBIBYTE
    attachments: int = 20
    recipients: int = 50
    batch_messages: int = 1_000
    headers: int = 64
    metadata_bytes: int = 4_096
    schedule_days: int = 365
    idempotency_hours: int = 24
    batch_bytes: int = 100 * MEBIBYTE


@dataclass(frozen=True, slots=True)
class Rules:
    """What a request is judged by: limits, the names of pools, and what stands in for what it leaves out.

    An empty `message_id_domain` means the domain of each message's sender.
    """

    limits: Limits = Limits()
    pools: frozenset[str] = frozenset({DEFAULT_POOL})
    routes: Sequence[Route] = ()
    default_from: Address | None = None
    message_id_domain: str = ""
