"""The errors of the network, in the words of a reply; each transport adds those of its own library."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from typing import Final

#: Which types of error are of which `error_kind`.
Kinds = Sequence[tuple[str, tuple[type[BaseException], ...]]]

#: In this order: a certificate error is a TLS error, and all of them are OSErrors. A host name that DNS
#: cannot express is a UnicodeError.
NETWORK: Final[Kinds] = (
    ("certificate", (ssl.SSLCertVerificationError,)),
    ("tls", (ssl.SSLError,)),
    ("dns", (socket.gaierror, UnicodeError)),
    ("refused", (ConnectionRefusedError,)),
    ("timeout", (TimeoutError,)),
    ("reset", (ConnectionError,)),
)


def kind_of(failure: BaseException, kinds: Kinds) -> str:
    """Return the `error_kind` of a failure, judged by the error at its root; `io` where none fits."""
    for error in _chain(failure):
        for kind, types in kinds:
            if isinstance(error, types):
                return kind
    return "io"


def _chain(failure: BaseException) -> list[BaseException]:
    """Return the failure and its causes, the root first."""
    chain = [failure]
    while (cause := chain[0].__cause__) is not None and cause not in chain:
        chain.insert(0, cause)
    return chain
