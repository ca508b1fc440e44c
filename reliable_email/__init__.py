"""The face of reliable-email: its version, and all that a plug-in may import.

A plug-in is a kind of provider from elsewhere: a class that satisfies `Adapter`, announced
under the entry-point group `reliable_email.providers`. It imports from this package alone; all
else may move.
"""

from __future__ import annotations

from shared.domain.message import Address, Attachment, Envelope, RecipientKind
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.providers.http.options import HttpOptions
from shared.providers.http.rules import Fault, Rule, accepted, classify
from shared.providers.interface import (
    Adapter,
    AwsSignature,
    BatchAdapter,
    Capabilities,
    FileWrite,
    HttpRequest,
    KeyedAdapter,
    LookupAdapter,
    Parcel,
    Phase,
    Rehearsal,
    Reply,
    Request,
    SmtpLine,
    SmtpTransaction,
    Unsendable,
)

__version__ = "0.1.0"

__all__ = [
    "Adapter",
    "Address",
    "Attachment",
    "AwsSignature",
    "BatchAdapter",
    "Capabilities",
    "Envelope",
    "Fault",
    "FileWrite",
    "HttpOptions",
    "HttpRequest",
    "KeyedAdapter",
    "LookupAdapter",
    "Outcome",
    "Parcel",
    "Phase",
    "RecipientKind",
    "RecipientVerdict",
    "Rehearsal",
    "Reply",
    "Request",
    "Rule",
    "Scope",
    "Secret",
    "SmtpLine",
    "SmtpTransaction",
    "Unsendable",
    "Verdict",
    "__version__",
    "accepted",
    "classify",
]
