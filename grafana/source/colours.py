"""Few colours, each with one meaning on every dashboard.

Green, yellow and red judge: as it should be, look at it, act now. What is no judgement (a priority, a
quantile, a role) stays clear of them. Providers and processes take Grafana's palette by their names, so that one
keeps its colour from panel to panel.
"""

from __future__ import annotations

from typing import Final

GOOD: Final = "green"
LOOK: Final = "yellow"
ACT: Final = "red"
NEUTRAL: Final = "blue"
QUIET: Final = "#8c96a3"
TEAL: Final = "#24a3b5"
NONE: Final = "transparent"

PRIORITIES: Final = {"critical": "purple", "high": "blue", "normal": TEAL, "bulk": QUIET}

#: What became of a submission.
RESULTS: Final = {"accepted": GOOD, "replayed": NEUTRAL, "refused": LOOK, "unavailable": ACT, "unknown": "purple"}

STATES: Final = {
    "scheduled": QUIET,
    "queued": NEUTRAL,
    "sending": TEAL,
    "retrying": LOOK,
    "sent": GOOD,
    "partly_sent": "orange",
    "failed": ACT,
    "cancelled": QUIET,
    "expired": "purple",
    "suppressed": "light-purple",
}

#: Of what is owed, and of what waits for somebody's decision.
LIVE: Final = {state: STATES[state] for state in ("scheduled", "queued", "sending", "retrying")}
DEAD: Final = {state: STATES[state] for state in ("failed", "partly_sent")}

#: What an attempt came to. Whose fault it is decides: the message's is grey, nobody's knowledge is purple.
OUTCOMES: Final = {
    "accepted": GOOD,
    "partial": "light-green",
    "throttled": LOOK,
    "temporary": "orange",
    "provider_down": ACT,
    "misconfigured": "dark-red",
    "rejected": QUIET,
    "ambiguous": "purple",
}

QUANTILES: Final = {"p50": "light-blue", "p95": "blue", "p99": "purple"}

#: Text and colour of each number that `expressions.provider_state` gives.
PROVIDER_STATES: Final = {
    0: ("in use", GOOD),
    1: ("probing", LOOK),
    2: ("open", ACT),
    3: ("misconfigured", "dark-red"),
    4: ("paused", NEUTRAL),
}

YES_NO: Final = {1: ("yes", GOOD), 0: ("no", ACT)}

SEVERITIES: Final = {"page": ("page", ACT), "ticket": ("ticket", LOOK)}
