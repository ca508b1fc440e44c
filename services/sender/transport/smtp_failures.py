"""The errors of the network and of aiosmtplib, in the words of a reply."""

from __future__ import annotations

from typing import Final

import aiosmtplib

from services.sender.transport import failures
from shared.providers.interface import SmtpLine

#: Everything by which a dialogue can end early. aiosmtplib passes some errors on as it found them:
#: OSError covers time-outs, resets and TLS, UnicodeError is a host name that DNS cannot express.
FAILURES: Final = (aiosmtplib.SMTPException, OSError, UnicodeError)


#: aiosmtplib gives -1 to what it could not read.
_CODES: Final = range(200, 600)


class Unsupported(aiosmtplib.SMTPException):
    """The server does not offer what the account or the message needs."""


def spoken(failure: BaseException) -> SmtpLine | None:
    """Return the server's reply where the failure is one."""
    if isinstance(failure, aiosmtplib.SMTPResponseException) and failure.code in _CODES:
        return smtp_line(failure.code, failure.message)
    return None


def smtp_line(code: int, text: str) -> SmtpLine:
    """Return a reply as text that every codec takes: aiosmtplib leaves surrogates where bytes were no UTF-8."""
    return SmtpLine(code, text if text.isascii() else text.encode("utf-8", "replace").decode())


def kind_of(failure: BaseException) -> str:
    """Return the `error_kind` of a failure."""
    return failures.kind_of(failure, _KINDS)


def describe(failure: BaseException) -> str:
    """Return the failure in words."""
    if isinstance(failure, TimeoutError) and not str(failure):
        return "no answer in time"
    words = failure.message if isinstance(failure, aiosmtplib.SMTPException) else str(failure)
    return " ".join(str(words).split()) or type(failure).__name__


_KINDS: Final[failures.Kinds] = (("unsupported", (Unsupported,)), *failures.NETWORK)
