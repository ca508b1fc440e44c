"""When to leave a provider at once, and when to try it again.

A sender opens its breaker on its own evidence alone and tells the others since when things went
wrong; another follows unless it had a success that began after that. So one sender without a
path leaves alone, and a real outage opens all within the interval at which they share.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import StrEnum
from typing import Final

from shared.domain.outcome import Outcome
from shared.policy.opening import HIGHEST_LEVEL, Opening, OpenReason, wait_seconds


class BreakerState(StrEnum):
    """Whether a provider is used. `probing` is open with one attempt under way to find out."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Change(StrEnum):
    """What an observation did to a breaker; each is worth telling the other senders."""

    OPENED = "opened"
    CLOSED = "closed"
    PROBE_FAILED = "probe_failed"


FAILURES_IN_A_ROW: Final = 5
FAILURES_IN_A_ROW_WHEN_DOWN: Final = 3
#: Two failures with nothing accepted for so long between them: all that is left of a run at a message a minute.
FAILURES_APART: Final = 2
FAILURES_APART_SECONDS: Final = 10.0
RELAPSE_FAILURES: Final = 2
RELAPSE_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 10.0
#: A 400 or 422 may be the message's fault; so many in a row, and nothing accepted, are the account's.
GENERIC_REFUSALS: Final = 5
FORGIVEN_AFTER_SECONDS: Final = 60.0
#: An instant that has gone from clock to clock and back is off by milliseconds; failed probes lie a second apart.
SAME_WORD_SECONDS: Final = 0.1

PROBES_TO_CLOSE: Final = 3
PROBES_TO_CLOSE_AFTER_OTHERS: Final = 1
#: With every provider gone there is nothing to lose by believing the first success: the ramp bounds what it costs.
PROBES_TO_CLOSE_WHEN_ALL_OPEN: Final = 1
BETWEEN_PROBES_SECONDS: Final = 0.05
#: After a failed probe of any sender the others wait too, or each would find out for itself once a second.
BETWEEN_FAILED_PROBES_SECONDS: Final = 0.95
ALL_OPEN_PROBE_SECONDS: Final = 1.0
#: Probes stay a twentieth of the traffic, however short the wait: that makes a short wait safe at a message a minute.
ELSEWHERE_BEFORE_PROBE: Final = 20
PROBE_ANYWAY_SECONDS: Final = 900.0

_FAILURES: Final = frozenset({Outcome.TEMPORARY, Outcome.PROVIDER_DOWN, Outcome.AMBIGUOUS})
_FAILED_PROBES: Final = _FAILURES | {Outcome.THROTTLED, Outcome.MISCONFIGURED}
_SUCCESSES: Final = frozenset({Outcome.ACCEPTED, Outcome.PARTIAL})


class Breaker:
    """One sender's breaker for one provider; `opening` is None exactly while `state` is closed."""

    __slots__ = (
        "_closed_at",
        "_elsewhere",
        "_generic_refusals",
        "_last_success_began_at",
        "_level",
        "_no_probe_before",
        "_probe_now",
        "_probes_needed",
        "_quiet_since",
        "_run",
        "_run_began_at",
        "_run_seen_at",
        "opening",
        "state",
    )

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.opening: Opening | None = None
        self._level = 0
        self._closed_at = self._last_success_began_at = -math.inf
        self._run = self._generic_refusals = 0
        self._run_began_at = self._run_seen_at = -math.inf
        self._wait_anew(-math.inf)

    @property
    def is_misconfigured(self) -> bool:
        """Whether it is open because the account is wrong, which only its owner can mend."""
        return self.opening is not None and self.opening.reason is OpenReason.MISCONFIGURED

    # Attempts

    def observe(
        self,
        outcome: Outcome,
        began_at: float,
        now: float,
        draw: float,
        *,
        failing: bool = False,
        was_overdue: bool = False,
        generic_refusal: bool = False,
    ) -> Change | None:
        """Learn from the end of an own attempt that was no probe.

        `failing` is what `Health.is_failing` says after the same outcome; `was_overdue` that the
        attempt was counted by `observe_overdue`; `generic_refusal` that a rejection was an HTTP
        400 or 422 or the like, which may blame the account as well as the message.
        """
        if outcome in _SUCCESSES:
            self._succeed(began_at)
            return None
        if self.state is not BreakerState.CLOSED or began_at < self._closed_at:
            return None  # it tells of a time about which everything is known
        if outcome is Outcome.MISCONFIGURED:
            return self._open(OpenReason.MISCONFIGURED, began_at, now, draw)
        if outcome is Outcome.REJECTED:
            return self._refuse(began_at, now, draw, generic=generic_refusal)
        if outcome not in _FAILURES:
            return None
        if not was_overdue:
            self._extend_run(began_at, now)
        reason = self._reason_to_open(outcome, now, failing=failing)
        if reason is None:
            return None
        return self._open(reason, self._run_began_at if self._run else began_at, now, draw)

    def observe_overdue(self, began_at: float, now: float, draw: float, *, failing: bool = False) -> Change | None:
        """Learn that an own attempt in flight is overdue; it counts as a failure until it proves otherwise."""
        return self.observe(Outcome.TEMPORARY, began_at, now, draw, failing=failing)

    def observe_silence(self, oldest_began_at: float, now: float, draw: float) -> Change | None:
        """Learn when the oldest own attempt in flight began: long ago, and nothing accepted since, opens.

        It decides where traffic is too low for anything else to see a provider that hangs.
        """
        silent = now - oldest_began_at >= SILENCE_SECONDS and self._last_success_began_at <= oldest_began_at
        if not silent or self.state is not BreakerState.CLOSED or oldest_began_at < self._closed_at:
            return None
        return self._open(OpenReason.SILENCE, oldest_began_at, now, draw)

    def count_elsewhere(self) -> None:
        """Learn that this sender began an attempt at another provider."""
        self._elsewhere += 1

    # Other senders

    def adopt(self, opening: Opening, now: float) -> bool:
        """Follow another sender's opening or failed probe; return whether that changed anything.

        A closed breaker stays closed where an own success began after the other's first failure.
        Hearing the same twice changes nothing.
        """
        mine = self.opening
        if mine is None:
            if self._last_success_began_at > opening.first_failure_at:
                return False
            self.state, self.opening = BreakerState.OPEN, opening
        elif opening.failed_at > mine.failed_at + SAME_WORD_SECONDS:
            self.opening = replace(opening, opened_at=mine.opened_at, first_failure_at=mine.first_failure_at)
        else:
            return False
        self._level = opening.level
        self._wait_anew(now)
        return True

    def hear_recovery(self, now: float) -> None:
        """Learn that another sender's breaker has closed: a probe is due at once, and one success closes."""
        if self.opening is not None:
            self.opening = replace(self.opening, next_probe_at=now)
            self._probe_now = True
            self._probes_needed = PROBES_TO_CLOSE_AFTER_OTHERS

    # Probes

    def is_probe_due(self, now: float, *, all_open: bool = False) -> bool:
        """Whether one attempt may find out now if the provider is back.

        `all_open` says that no provider of the message's pool has a closed breaker: then waiting
        saves nothing, and each is tried once a second, unless it is misconfigured.
        """
        if self.state is not BreakerState.OPEN or self.opening is None or now < self._no_probe_before:
            return False
        if all_open and not self.is_misconfigured and now >= self._quiet_since + ALL_OPEN_PROBE_SECONDS:
            return True
        if self._probe_now:
            return True
        is_long_quiet = now >= self._quiet_since + PROBE_ANYWAY_SECONDS
        seldom_enough = self._elsewhere >= ELSEWHERE_BEFORE_PROBE or is_long_quiet
        return now >= self.opening.next_probe_at and (seldom_enough or all_open)

    def begin_probe(self, *, all_open: bool = False) -> None:
        """Note that a probe begins; no other is due until it has ended or was abandoned.

        `all_open` says that no provider of the message's pool has a closed breaker: then one success is enough.
        """
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.PROBING
            if all_open:
                self._probes_needed = min(self._probes_needed, PROBES_TO_CLOSE_WHEN_ALL_OPEN)

    def abandon_probe(self, now: float, pause_seconds: float = BETWEEN_PROBES_SECONDS) -> None:
        """Note that the probe did not take place: its message was withdrawn, or another sender's is under way."""
        if self.state is BreakerState.PROBING:
            self.state = BreakerState.OPEN
            self._no_probe_before = now + pause_seconds

    def end_probe(
        self, outcome: Outcome, began_at: float, now: float, draw: float, *, generic_refusal: bool = False
    ) -> Change | None:
        """Learn what the probe came to. A rejection of the message proves nothing, and another probe is due at once.

        Except that a misconfigured account may be what refuses: there a `generic_refusal` is a failure.
        """
        opening = self.opening
        if outcome in _SUCCESSES:
            self._succeed(began_at)
        if self.state is not BreakerState.PROBING or opening is None:
            return None
        self.state = BreakerState.OPEN
        if outcome in _FAILED_PROBES or (generic_refusal and self.is_misconfigured):
            return self._fail_probe(opening, outcome, now, draw)
        if outcome in _SUCCESSES:
            self._probes_needed -= 1
            if self._probes_needed <= 0:
                self._close(now)
                return Change.CLOSED
        self._probe_now = True
        self._no_probe_before = now + BETWEEN_PROBES_SECONDS
        self.opening = replace(opening, next_probe_at=self._no_probe_before)
        return None

    # What follows

    def _reason_to_open(self, outcome: Outcome, now: float, *, failing: bool) -> OpenReason | None:
        run = self._run
        if outcome is Outcome.PROVIDER_DOWN and run >= FAILURES_IN_A_ROW_WHEN_DOWN:
            return OpenReason.PROVIDER_DOWN
        if run >= FAILURES_IN_A_ROW:
            return OpenReason.FAILURES_IN_A_ROW
        if run >= RELAPSE_FAILURES and now - self._closed_at <= RELAPSE_SECONDS:
            return OpenReason.RELAPSE
        if run >= FAILURES_APART and now - self._run_seen_at >= FAILURES_APART_SECONDS:
            return OpenReason.FAILURES_APART
        return OpenReason.FAILING_SHARE if failing else None

    def _succeed(self, began_at: float) -> None:
        self._run = self._generic_refusals = 0
        self._last_success_began_at = max(self._last_success_began_at, began_at)

    def _refuse(self, began_at: float, now: float, draw: float, *, generic: bool) -> Change | None:
        self._generic_refusals = self._generic_refusals + 1 if generic else 0
        if self._generic_refusals < GENERIC_REFUSALS:
            return None
        return self._open(OpenReason.MISCONFIGURED, began_at, now, draw)

    def _extend_run(self, began_at: float, now: float) -> None:
        if self._run == 0:
            self._run_began_at, self._run_seen_at = began_at, now
        self._run += 1

    def _open(self, reason: OpenReason, first_failure_at: float, now: float, draw: float) -> Change:
        forgiven = now - self._closed_at >= FORGIVEN_AFTER_SECONDS
        self._level = 0 if forgiven else min(self._level + 1, HIGHEST_LEVEL)
        next_probe_at = now + wait_seconds(reason, self._level, draw)
        self.state = BreakerState.OPEN
        self.opening = Opening(reason, now, first_failure_at, now, next_probe_at, self._level)
        self._wait_anew(now)
        return Change.OPENED

    def _fail_probe(self, opening: Opening, outcome: Outcome, now: float, draw: float) -> Change:
        reason = OpenReason.MISCONFIGURED if outcome is Outcome.MISCONFIGURED else opening.reason
        self._level = min(self._level + 1, HIGHEST_LEVEL)
        next_probe_at = now + wait_seconds(reason, self._level, draw)
        self.opening = replace(opening, reason=reason, level=self._level, failed_at=now, next_probe_at=next_probe_at)
        self._wait_anew(now)
        return Change.PROBE_FAILED

    def _close(self, now: float) -> None:
        self.state, self.opening = BreakerState.CLOSED, None
        self._closed_at = now
        self._run = self._generic_refusals = 0

    def _wait_anew(self, now: float) -> None:
        self._probes_needed = PROBES_TO_CLOSE
        self._probe_now = False
        self._no_probe_before = -math.inf
        self._quiet_since = now
        self._elsewhere = 0
