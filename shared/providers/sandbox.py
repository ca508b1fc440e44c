"""A provider that delivers nothing, for clients' own tests: the recipient says what happens to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from shared.domain.outcome import Outcome, RecipientVerdict, Verdict
from shared.providers.interface import Capabilities, Parcel, Phase, Rehearsal, Reply

#: What happens to `<local part>@…`, whatever the case; every other recipient is accepted.
_ROLES: Final[Mapping[str, Outcome]] = {
    "rejected": Outcome.REJECTED,
    "temporary": Outcome.TEMPORARY,
    "throttled": Outcome.THROTTLED,
}
_HANG: Final = "hang"
_THROTTLED_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    """Nothing: a sandbox has no account."""


class Sandbox:
    """Plays a provider. `rejected@…`, `temporary@…`, `throttled@…` and `hang@…` act as they say."""

    kind: ClassVar[str] = "sandbox"
    Options: ClassVar[type[Any]] = SandboxOptions

    def capabilities(self, options: SandboxOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        """Return no limit: nothing is carried anywhere."""
        return Capabilities()

    def build(self, parcel: Parcel, options: SandboxOptions) -> Rehearsal:  # noqa: ARG002 - the protocol's argument
        """Return what will happen. One recipient that hangs holds up the whole message."""
        everyone = parcel.envelope.recipients
        roles = [everyone[number].email.partition("@")[0].casefold() for number in parcel.recipients]
        if _HANG in roles:
            return Rehearsal(Verdict(Outcome.AMBIGUOUS, f"{_HANG}: there is no answer"), delay_seconds=None)
        return Rehearsal(_verdict(parcel.id, [_ROLES.get(role, Outcome.ACCEPTED) for role in roles]))

    def classify(self, request: Rehearsal, reply: Reply) -> Verdict:
        """Return what was planned; `ambiguous` where it was broken off before."""
        if reply.phase is not Phase.ANSWERED:
            return Verdict(Outcome.AMBIGUOUS, reply.error or request.verdict.detail)
        return request.verdict


def _verdict(message_id: str, outcomes: list[Outcome]) -> Verdict:
    tally = Counter(outcomes)
    accepted_as = message_id if Outcome.ACCEPTED in tally else None
    if len(tally) == 1:
        outcome = outcomes[0]
        pause = _THROTTLED_SECONDS if outcome is Outcome.THROTTLED else None
        return Verdict(outcome, _detail(outcome), provider_message_id=accepted_as, retry_after_seconds=pause)
    return Verdict(
        Outcome.PARTIAL,
        ", ".join(f"{tally[outcome]} {outcome}" for outcome in Outcome if tally[outcome]),
        provider_message_id=accepted_as,
        recipients=tuple(
            RecipientVerdict(position, outcome, _detail(outcome)) for position, outcome in enumerate(outcomes)
        ),
    )


def _detail(outcome: Outcome) -> str:
    return "delivered nowhere" if outcome is Outcome.ACCEPTED else f"the recipient's name asks for {outcome}"
