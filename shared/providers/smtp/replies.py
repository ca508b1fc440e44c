"""What an SMTP server's reply means: one table, read from top to bottom, where the first rule that fits decides.

The order is the knowledge. What holds everywhere stands first; within a stage the enhanced code
(RFC 3463) is judged before the number (RFC 5321, 4.2), because servers choose it with more care.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.domain.outcome import Outcome, Scope
from shared.providers.interface import SmtpLine

_ENHANCED: Final = re.compile(r"([245])\.\d{1,3}\.\d{1,3}(?!\S)")
_QUEUE_ID: Final = re.compile(r"\bqueued as <?([^\s<>;,]+)|^ok:? (?:id=)?(\S+)$", re.IGNORECASE)

_SESSION: Final = ("greeting", "ehlo", "starttls")
_CONTENT: Final = ("data", "end")
_TRANSACTION: Final = ("mail", "rcpt", *_CONTENT)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a reply means for the message or the recipient it was given to."""

    outcome: Outcome
    scope: Scope = Scope.MESSAGE


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table; a condition left empty always holds.

    `codes` are beginnings of the number ("5" is every 5xx), `enhanced` are whole enhanced codes,
    or beginnings where they end with a dot. `bare` asks that the reply has no enhanced code.
    """

    judgement: Judgement
    stages: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    enhanced: tuple[str, ...] = ()
    saying: re.Pattern[str] | None = None
    bare: bool = False

    def fits(self, stage: str, line: SmtpLine, enhanced: str | None) -> bool:
        """Return whether the rule speaks of this reply."""
        return (
            (not self.stages or stage in self.stages)
            and (not self.codes or str(line.code).startswith(self.codes))
            and (not self.enhanced or (enhanced is not None and self._has(enhanced)))
            and not (self.bare and enhanced)
            and (self.saying is None or self.saying.search(line.text) is not None)
        )

    def _has(self, enhanced: str) -> bool:
        return any(
            enhanced.startswith(wanted) if wanted.endswith(".") else enhanced == wanted for wanted in self.enhanced
        )


def _saying(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_DOWN: Final = Judgement(Outcome.PROVIDER_DOWN)
_THROTTLED: Final = Judgement(Outcome.THROTTLED)
_TEMPORARY: Final = Judgement(Outcome.TEMPORARY)
_MISCONFIGURED: Final = Judgement(Outcome.MISCONFIGURED)
_NOT_HERE: Final = Judgement(Outcome.REJECTED, Scope.PROVIDER)
_NOWHERE: Final = Judgement(Outcome.REJECTED, Scope.MESSAGE)

_TOO_FAST: Final = _saying(
    r"\brate\b|rate.?limit|too (?:many|fast|much mail)|throttl|slow down|sending (?:limit|quota)|message quota"
)
#: SES, SendGrid and Microsoft: the account may not use this sender, whichever command brings it out.
_SENDER_NOT_OURS: Final = _saying(
    r"\bnot verified|not allowed to send|not authori[sz]ed to send|match a verified sender|cannot send as"
)

RULES: Final = (
    # At any point.
    Rule(_DOWN, codes=("421",)),
    Rule(_THROTTLED, codes=("454",), saying=_saying(r"throttling failure|sending rate|message quota")),  # SES
    Rule(_TEMPORARY, ("rcpt",), ("4",), ("4.2.2",)),  # a full mailbox is "over quota" too
    Rule(_THROTTLED, codes=("450", "451", "452"), saying=_TOO_FAST),
    # Logging in. Nothing here is about a message, so a pause there is the provider's.
    Rule(_THROTTLED, ("auth",), ("535",), saying=_saying("too many connections")),  # Mailtrap
    Rule(_THROTTLED, ("auth",), ("451",), saying=_saying("credits exceeded")),  # SendGrid
    Rule(_DOWN, (*_SESSION, "auth"), ("4",)),
    Rule(_MISCONFIGURED, (*_SESSION, "auth"), ("5",)),
    Rule(_MISCONFIGURED, codes=("530", "534", "535", "538")),  # it wants TLS or a log-in first
    # MAIL FROM is about the account.
    Rule(_NOT_HERE, ("mail",), ("5",), ("5.3.4", "5.6.")),  # over SIZE; needs what it cannot carry
    Rule(_NOT_HERE, ("mail",), ("552", "555")),
    Rule(_MISCONFIGURED, ("mail",), ("5",)),
    Rule(_TEMPORARY, ("mail",), ("4",)),
    # RCPT TO is about one recipient, unless it shows that the account may not send at all.
    Rule(_THROTTLED, ("rcpt",), ("452",), ("4.5.3",)),  # too many recipients: the rest in another transaction
    Rule(_THROTTLED, ("rcpt",), ("552",), ("5.5.3",)),
    Rule(_THROTTLED, ("rcpt",), ("552",), bare=True),  # RFC 5321, 4.5.3.1.10: treat it as 452
    Rule(_MISCONFIGURED, ("rcpt",), ("5",), ("5.1.7", "5.1.8")),  # Postfix judges the sender only here
    Rule(_MISCONFIGURED, ("rcpt",), ("5",), saying=_saying("sender address rejected")),
    Rule(_NOWHERE, ("rcpt",), ("5",), ("5.1.",)),
    Rule(_MISCONFIGURED, ("rcpt",), ("5",), ("5.7.54",)),
    Rule(_MISCONFIGURED, ("rcpt",), ("5",), saying=_saying(r"\brelay")),
    Rule(_NOT_HERE, ("rcpt",), ("5",), ("5.2.3", "5.3.4", "5.6.", "5.7.")),
    Rule(_MISCONFIGURED, ("rcpt",), ("500", "501", "502", "503", "504")),
    Rule(_NOT_HERE, ("rcpt",), ("554",)),
    Rule(_NOWHERE, ("rcpt",), ("5",)),
    Rule(_TEMPORARY, ("rcpt",), ("4",)),
    # DATA and its final dot are about the content, which another provider may think better of.
    Rule(_MISCONFIGURED, _CONTENT, ("5",), saying=_SENDER_NOT_OURS),
    Rule(_NOT_HERE, _CONTENT, ("5",), ("5.6.", "5.7.")),
    Rule(_MISCONFIGURED, _CONTENT, ("500", "501", "502", "503", "504")),
    Rule(_NOT_HERE, _CONTENT, ("5",)),
    Rule(_TEMPORARY, _CONTENT, ("4",)),
)


def judge(stage: str, line: SmtpLine) -> Judgement:
    """Return what a reply other than the wanted one means.

    A reply that makes no sense where it came shows a broken server: after the final dot nobody
    knows what it did, before it nothing was taken.
    """
    enhanced = enhanced_code(line)
    for rule in RULES:
        if rule.fits(stage, line, enhanced):
            return rule.judgement
    return Judgement(Outcome.AMBIGUOUS) if stage == "end" else _DOWN


def enhanced_code(line: SmtpLine) -> str | None:
    """Return the enhanced code at the beginning of the text; one of another class than the number is none."""
    found = _ENHANCED.match(line.text)
    return found[0] if found and found[1] == str(line.code)[:1] else None


def message_id(text: str) -> str:
    """Return the id under which a server took a message: what follows "queued as" or "Ok", else all it said."""
    said = _ENHANCED.sub("", text, count=1).strip() if _ENHANCED.match(text) else text.strip()
    found = _QUEUE_ID.search(said)
    return (found[1] or found[2]) if found else " ".join(said.split())


def words(line: SmtpLine) -> str:
    """Return the reply on one line, as the server spoke it."""
    return " ".join([str(line.code), *line.text.split()])
