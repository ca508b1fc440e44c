"""Any server that speaks SMTP: one mail transaction, and a verdict for each of its recipients."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, ClassVar, Final, Literal

from shared.domain.errors import ConfigurationError, Fault
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.domain.secret import Secret
from shared.mime.addresses import wire_address
from shared.mime.writer import render
from shared.providers.interface import (
    Capabilities,
    Parcel,
    Phase,
    Reply,
    SmtpLine,
    SmtpTransaction,
    Unsendable,
)
from shared.providers.smtp.replies import Judgement, enhanced_code, judge, message_id, words

#: What would end an address or its line, and so start a command of its own (CVE-2024-27305 and its kin).
_FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029<>]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpOptions:
    """The account at an SMTP server. Raises ConfigurationError where the keys contradict each other.

    Of the common keys `connect_seconds` bounds each step up to the log-in, and `answer_seconds`
    the wait after the final dot.
    """

    host: str
    """The server's name or address. Example: `host = "smtp.example.com"`"""

    port: int = 587
    """587 and 2525 go with `tls = "starttls"`, 465 with "tls"."""

    tls: Literal["starttls", "tls", "none"] = "starttls"
    """"starttls" insists on it, "tls" starts with it; with "none" a password goes to loopback only."""

    username: str | None = None
    """The account's name; absent, nobody logs in. Example: `username = "mail"`"""

    password: Secret | None = None
    """The account's password. Example: `password = {file = "/run/secrets/relay-password"}`"""

    ca_file: str = ""
    """Certificates (PEM) to trust instead of the system's, for a server with an authority of its own."""

    def __post_init__(self) -> None:
        faults = tuple(_faults(self))
        if faults:
            raise ConfigurationError(faults)


def _faults(options: SmtpOptions) -> list[Fault]:
    faults = []
    if not re.fullmatch(r"[^\s/@<>]+", options.host):
        faults.append(Fault("host", "invalid_host", "A name or an address of a server is needed, without a port"))
    if not 0 < options.port < 1 << 16:
        faults.append(Fault("port", "out_of_range", "A port is a number from 1 to 65535"))
    if (options.username is None) is not (options.password is None):
        faults.append(Fault("password", "incomplete", "`username` and `password` go together; give both or neither"))
    if options.tls == "none" and options.password is not None and not _is_loopback(options.host):
        detail = 'With tls = "none" a password goes to loopback only; use "starttls" or "tls"'
        faults.append(Fault("password", "insecure", detail))
    return faults


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class Smtp:
    """Hands a message to a server in one mail transaction and reads its replies (RFC 5321)."""

    kind: ClassVar[str] = "smtp"
    Options: ClassVar[type[Any]] = SmtpOptions

    def capabilities(self, options: SmtpOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return no limit: a server tells its own after the greeting, and splits what it wants smaller."""
        return Capabilities()

    def build(self, parcel: Parcel, options: SmtpOptions) -> SmtpTransaction:  # noqa: ARG002 - the protocol's argument
        """Return the transaction. Raises Unsendable for an address that cannot travel."""
        envelope = parcel.envelope
        everyone = envelope.recipients
        sender, sender_needs_utf8 = _path(parcel.return_path or envelope.sender.email)
        paths = [_path(everyone[number].email) for number in parcel.recipients]
        data = render(
            envelope,
            message_id=parcel.id,
            internet_message_id=parcel.internet_message_id,
            date=parcel.date,
        )
        return SmtpTransaction(
            sender=sender,
            recipients=tuple(path for path, _ in paths),
            data=data,
            needs_smtputf8=sender_needs_utf8 or any(needs for _, needs in paths) or not _headers_are_ascii(data),
            needs_8bitmime=not data.isascii(),
        )

    def classify(self, request: SmtpTransaction, reply: Reply) -> Verdict:
        """Return one verdict, or one for each recipient where the server parted them."""
        count = len(request.recipients)
        common = _on_the_message(reply)
        if reply.stage == "rcpt" and reply.final is not None:
            shares = [_share(index, "rcpt", line) for index, line in enumerate(reply.rcpt)]
        elif reply.stage in {"data", "end"} and len(reply.rcpt) == count:
            shares = [
                _given(index, common) if 200 <= line.code < 300 else _share(index, "rcpt", line)
                for index, line in enumerate(reply.rcpt)
            ]
        else:
            return common
        return _merged(shares, common) if shares and len(shares) == count else common


def _path(email: str) -> tuple[str, bool]:
    address, needs_smtputf8 = wire_address(email)
    if not address or _FORBIDDEN.search(address):
        raise Unsendable("an address holds a character that no SMTP command may carry", Scope.MESSAGE)
    return address, needs_smtputf8


def _headers_are_ascii(data: bytes) -> bool:
    return data.isascii() or data.partition(b"\r\n\r\n")[0].isascii()


def _on_the_message(reply: Reply) -> Verdict:
    """Return what the end of the dialogue means for every recipient that was not refused before."""
    if reply.final is None:
        return _broken_off(reply)
    if reply.stage == "end" and 200 <= reply.final.code < 300:
        return _verdict(reply.final, Judgement(Outcome.ACCEPTED), message_id(reply.final.text))
    return _verdict(reply.final, judge(reply.stage, reply.final))


def _broken_off(reply: Reply) -> Verdict:
    """Return the verdict on a dialogue without a last reply: nothing is taken before the final dot."""
    where = f" ({reply.stage})" if reply.stage else ""
    detail = f"{reply.error or 'the connection broke'}{where}"
    if reply.phase in {Phase.SENT, Phase.ANSWERED}:
        return Verdict(Outcome.AMBIGUOUS, detail)
    if reply.error_kind == "unsupported" and reply.phase is Phase.SENDING:
        return Verdict(Outcome.REJECTED, detail, Scope.PROVIDER)
    if reply.error_kind in {"certificate", "unsupported"}:
        return Verdict(Outcome.MISCONFIGURED, detail)
    return Verdict(Outcome.PROVIDER_DOWN, detail)


def _verdict(line: SmtpLine, judgement: Judgement, provider_message_id: str | None = None) -> Verdict:
    return Verdict(
        judgement.outcome,
        words(line),
        judgement.scope,
        provider_message_id=provider_message_id,
        smtp_code=line.code,
        enhanced_code=enhanced_code(line),
    )


def _share(index: int, stage: str, line: SmtpLine) -> RecipientVerdict:
    return _given(index, _verdict(line, judge(stage, line)))


def _given(index: int, verdict: Verdict) -> RecipientVerdict:
    return RecipientVerdict(
        index, verdict.outcome, verdict.detail, verdict.scope, verdict.smtp_code, verdict.enhanced_code
    )


def _merged(shares: list[RecipientVerdict], common: Verdict) -> Verdict:
    """Return one verdict where all shares agree, else `partial`.

    Several recipients that were refused for good stay apart although they agree: each refusal
    has words of its own, which the recipient's owner wants to read.
    """
    for share in shares:
        if share.outcome is Outcome.PROVIDER_DOWN:
            return Verdict(share.outcome, share.detail, smtp_code=share.smtp_code, enhanced_code=share.enhanced_code)
    first = shares[0]
    agree = all((share.outcome, share.scope) == (first.outcome, first.scope) for share in shares)
    each_refused = first.outcome is Outcome.REJECTED and first.scope is Scope.MESSAGE and len(shares) > 1
    if agree and not each_refused:
        return Verdict(
            first.outcome,
            first.detail,
            first.scope,
            provider_message_id=common.provider_message_id,
            smtp_code=first.smtp_code,
            enhanced_code=first.enhanced_code,
        )
    tally = Counter(share.outcome for share in shares)
    return Verdict(
        Outcome.PARTIAL,
        ", ".join(f"{tally[outcome]} {outcome}" for outcome in Outcome if tally[outcome]),
        provider_message_id=common.provider_message_id,
        recipients=tuple(shares),
    )
