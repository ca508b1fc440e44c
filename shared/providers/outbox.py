"""A folder on this machine: every message becomes an `.eml` file, and nothing leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from shared.domain.outcome import Outcome, Verdict
from shared.mime.writer import render
from shared.providers.interface import Capabilities, FileWrite, Parcel, Phase, Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxOptions:
    """The folder of an outbox."""

    directory: str = "data/outbox"
    """Where the `.eml` files go; made where it is missing, and seen from the working directory."""


class Outbox:
    """Writes each message to a file named after its id, so that a second try writes the same file again."""

    kind: ClassVar[str] = "outbox"
    Options: ClassVar[type[Any]] = OutboxOptions

    def capabilities(self, options: OutboxOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return no limit: a disk takes what fits."""
        return Capabilities()

    def build(self, parcel: Parcel, options: OutboxOptions) -> FileWrite:
        """Return the file: the message as a relay would get it, blind recipients in no header."""
        data = render(
            parcel.envelope,
            message_id=parcel.id,
            internet_message_id=parcel.internet_message_id,
            date=parcel.date,
        )
        return FileWrite(options.directory, f"{parcel.id}.eml", data)

    def classify(self, request: FileWrite, reply: Reply) -> Verdict:
        """Return `accepted` with the file's path, or `provider_down` where the disk did not keep it.

        A file that may be there in spite of an error is no `ambiguous` one: the next try replaces it.
        """
        if reply.phase is not Phase.ANSWERED:
            return Verdict(Outcome.PROVIDER_DOWN, reply.error)
        path = f"{request.directory.rstrip('/')}/{request.name}"
        return Verdict(Outcome.ACCEPTED, f"written to {path}", provider_message_id=path)
