"""Email addresses: strict reading, the form in which they travel, and when two are the same.

Only syntax is judged, never whether a domain exists: `ada@localhost`, `*.test` and `*.local` are
addresses like any other. An address is kept as its sender wrote it (a local part in Unicode form
NFC) and travels with its domain as A-labels.
"""

from __future__ import annotations

import re
import unicodedata
from typing import ClassVar, Final

import email_validator
import idna

from shared.domain.errors import ReliableEmailError
from shared.domain.message import Address
from shared.mime.headers import describe_forbidden

MAX_OCTETS: Final = 254  # RFC 5321, section 4.5.3.1.3, as RFC 3696's erratum 1690 reads it
MAX_LOCAL_OCTETS: Final = 64  # RFC 5321, section 4.5.3.1.1

# The common form. `?` is left out, so that no `=?` passes; labels have no double hyphen, so that
# neither `xn--` nor a reserved label does.
_COMMON: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\.)+[A-Za-z]+"
)
# Up to this length neither a local part nor a label can be too long, and none has to be measured.
_COMMON_LENGTH: Final = 64

_QUOTED_NAME: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_QUOTED_PAIR: Final = re.compile(r"\\(.)")
_SHOWN: Final = 80

# The library refuses .test, .local, .onion and their like as undeliverable; emptying its list is
# the documented way to have syntax judged alone.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()


class InvalidAddress(ReliableEmailError):
    """A text is no email address. `detail` says what is wrong with it, in a sentence for its sender."""

    code: ClassVar = "invalid_address"

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


def parse_address(text: str) -> Address:
    """Read `local@domain`, `Name <local@domain>` or `"Name, quoted" <local@domain>`.

    Raises InvalidAddress. A name without quotes may hold anything but `@`, `<`, `>` and `"`: an
    address in the place of a name deceives its reader. Comments and groups of RFC 5322 are not read.
    """
    text = text.strip(" ")
    if not text.endswith(">"):
        return Address(check_email(text))
    name, bracket, email = text[:-1].rpartition("<")
    if not bracket:
        raise InvalidAddress(f"{_shown(text)} has a > without its <")
    return Address(check_email(email), _read_name(name.strip(" "), text))


def check_email(email: str) -> str:
    """Return an address in the form in which it is kept.

    Raises InvalidAddress. Local parts in quotes and domains in brackets (RFC 5321, section 4.1.2
    and 4.1.3) are refused: hardly a provider takes them, and RFC 5321 itself advises against both.
    """
    if len(email) <= _COMMON_LENGTH and _COMMON.fullmatch(email):
        return email
    return _check_uncommon(email)


def wire_address(email: str) -> tuple[str, bool]:
    """Return an address as it travels, with A-labels, and whether it needs SMTPUTF8 (RFC 6531).

    Raises InvalidAddress for a domain without A-labels, which `check_email` would have refused.
    """
    if email.isascii():
        return email, False
    local, _, domain = email.rpartition("@")
    return f"{local}@{_a_labels(domain)}", not local.isascii()


def mail_domain(email: str) -> str:
    """Return the domain of an address as lower-case A-labels."""
    domain = email.rpartition("@")[2]
    return (domain if domain.isascii() else _a_labels(domain)).lower()


def same_mailbox_key(email: str) -> str:
    """Return a text that is equal for two spellings of one mailbox, and only for those.

    Domains know no case. Local parts do: only their own host may say otherwise (RFC 5321, 2.4).
    """
    return f"{email.rpartition('@')[0]}@{mail_domain(email)}"


def _read_name(name: str, text: str) -> str:
    if name.startswith('"'):
        quoted = _QUOTED_NAME.fullmatch(name)
        if quoted is None:
            raise InvalidAddress(f"{_shown(text)} has a display name that is only partly in quotes")
        name = _QUOTED_PAIR.sub(r"\1", quoted[1])
    elif "@" in name:
        raise InvalidAddress(f"{_shown(text)} has an @ in its display name: put the name in double quotes")
    elif any(mark in name for mark in '<>"'):
        raise InvalidAddress(f'{_shown(text)} has a <, > or " in its display name: put the name in double quotes')
    forbidden = describe_forbidden(name)
    if forbidden is not None:
        raise InvalidAddress(forbidden)
    return name


def _check_uncommon(email: str) -> str:
    local, at, domain = email.rpartition("@")
    _refuse_common_mistakes(email, local, at, domain)
    try:
        email_validator.validate_email(
            email,
            strict=True,
            allow_smtputf8=True,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            check_deliverability=False,
            globally_deliverable=False,
        )
    except email_validator.EmailNotValidError as error:
        reason = str(error)
        raise InvalidAddress(f"{_shown(email)}: {reason[:1].lower()}{reason[1:].rstrip('.')}") from error
    local = unicodedata.normalize("NFC", local)
    _refuse_deception(email, local, _a_labels(domain))
    return f"{local}@{domain}"


def _refuse_common_mistakes(email: str, local: str, at: str, domain: str) -> None:
    if not email:
        raise InvalidAddress("The address is empty")
    if not at:
        raise InvalidAddress(f"{_shown(email)} has no @")
    if not domain:
        raise InvalidAddress(f"{_shown(email)} has no domain after the @")
    if not local:
        raise InvalidAddress(f"{_shown(email)} has nothing before the @")
    if local.startswith('"'):
        raise InvalidAddress(f"{_shown(email)} has quotes before the @, which hardly a provider takes")
    if "@" in local:
        raise InvalidAddress(f"{_shown(email)} has more than one @; several addresses go into a list")
    if "=?" in local:
        raise InvalidAddress(f"{_shown(email)} has '=?' before the @, which begins an encoded word")
    if max(len(email), len(email.encode(errors="replace"))) > MAX_OCTETS:
        raise InvalidAddress(f"{_shown(email)} is longer than {MAX_OCTETS} octets")


def _refuse_deception(email: str, local: str, domain: str) -> None:
    """Refuse what the library lets pass: look-alikes, an IP address as a domain, a local part of too many octets."""
    if unicodedata.normalize("NFKC", local) != local:
        raise InvalidAddress(f"{_shown(email)} has characters before the @ that look like others (NFKC changes them)")
    if domain.rpartition(".")[2].isdigit():
        raise InvalidAddress(f"{_shown(email)} has a domain that ends in a number")
    octets = len(local.encode())
    if octets > MAX_LOCAL_OCTETS:
        raise InvalidAddress(f"{_shown(email)} has {octets} octets before the @, more than {MAX_LOCAL_OCTETS}")


def _a_labels(domain: str) -> str:
    """Return a domain in the form that DNS knows (IDNA 2008 after the mapping of UTS 46)."""
    if domain.isascii():
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise InvalidAddress(f"{_shown(domain)} is no domain: {error}") from error


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
