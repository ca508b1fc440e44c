"""How each provider does: health, breaker, limits, outcomes, latency, quotas."""

from __future__ import annotations

from typing import Final

from grafana.source import colours
from grafana.source.colours import ACT, GOOD, LOOK
from grafana.source.expressions import (
    buckets,
    growth,
    if_any,
    least,
    most,
    provider_state,
    quantile,
    rate,
    total,
)
from grafana.source.frame import PROVIDERS, Board, Choice, Section
from grafana.source.kinds import HeatMap, Timeline
from grafana.source.lines import Lines
from grafana.source.panel import COUNT, MAIL_PER_SECOND, SECONDS, SHARE, Ask
from grafana.source.tables import Column, Table

_CHOSEN: Final = ('provider=~"$provider"',)
_ACCEPTED: Final = (*_CHOSEN, 'outcome=~"accepted|partial"')
#: Rejections are the message's own fault, and say nothing of the provider.
_FAILED: Final = (*_CHOSEN, 'outcome!~"accepted|partial|rejected"')

_HEALTH_STEPS: Final = ((None, ACT), (0.5, LOOK), (0.9, GOOD))
_FULL_STEPS: Final = ((None, GOOD), (0.8, LOOK), (0.95, ACT))

_ATTEMPTS: Final = rate("attempts_total", "provider", where=_CHOSEN)
_FAILED_SHARE: Final = f"{rate('attempts_total', 'provider', where=_FAILED)} / ({_ATTEMPTS} > 0)"
_RATE: Final = least("provider_rate_per_second", "provider", where=_CHOSEN)
_RATE_USED: Final = f"{_ATTEMPTS} / {_RATE}"
_UNDER_WAY: Final = total("provider_in_flight", "provider", where=_CHOSEN)
_SLOTS: Final = total("provider_concurrency", "provider", where=_CHOSEN)
_SLOTS_USED: Final = f"{_UNDER_WAY} / {_SLOTS}"
_QUOTA_USED: Final = (
    f"1 - {least('provider_quota_left', 'provider', 'quota', where=_CHOSEN)}"
    f" / {most('provider_quota_limit', 'provider', 'quota', where=_CHOSEN)}"
)

_TABLE: Final = Table(
    title="Providers now",
    width=24,
    shows="Each provider: what it is, whether it is used, and how much of its limits is in use. Rate and slots are "
    "those of all senders together.",
    normal="in use, health near 1, hardly any failed attempts.",
    otherwise="`reliable-email providers` tells the provider's own words, and `docs/runbooks` what to do about them.",
    asks=[
        Ask(most("provider_info", "provider", "kind", "tier", where=_CHOSEN)),
        Ask(provider_state(_CHOSEN)),
        Ask(least("provider_health", "provider", where=_CHOSEN)),
        Ask(rate("attempts_total", "provider", where=_ACCEPTED)),
        Ask(_FAILED_SHARE),
        # Without attempts a quantile is no number, and no comparison holds for it.
        Ask(f"{quantile(0.95, 'attempt_seconds', 'provider', where=_CHOSEN)} >= 0"),
        Ask(_RATE_USED),
        Ask(_SLOTS_USED),
        Ask(f"max by (provider) ({_QUOTA_USED})"),
    ],
    unit=COUNT,
    empty="no provider",
    columns={
        "provider": Column("Provider"),
        "kind": Column("Kind", width=100),
        "tier": Column("Tier", width=60),
        "Value #B": Column("State", meanings=colours.PROVIDER_STATES, width=120),
        "Value #C": Column("Health", decimals=2, steps=_HEALTH_STEPS, width=80),
        "Value #D": Column("Accepts", unit=MAIL_PER_SECOND, width=110),
        "Value #E": Column("Failed", unit=SHARE, decimals=1, steps=((None, GOOD), (0.05, LOOK), (0.5, ACT)), width=90),
        "Value #F": Column("p95", unit=SECONDS, width=100),
        "Value #G": Column("Rate in use", unit=SHARE, decimals=0, steps=_FULL_STEPS, is_gauge=True),
        "Value #H": Column("Slots in use", unit=SHARE, decimals=0, steps=_FULL_STEPS, is_gauge=True),
        "Value #I": Column("Fullest quota", unit=SHARE, decimals=0, steps=_FULL_STEPS, is_gauge=True),
    },
    hidden=["Value #A"],
    sort_by="Tier",
)

_STATE: Final = (
    Timeline(
        title="State",
        width=12,
        shows="What each provider was: in use, probing (single messages try whether it is back), open (left alone "
        "after failures), misconfigured (it refuses our account or settings) or paused by an operator. The gravest "
        "that a sender saw.",
        normal="green throughout.",
        otherwise="open closes by itself when the provider is back; misconfigured waits for you.",
        asks=[Ask(provider_state(_CHOSEN), "{{provider}}")],
        unit=COUNT,
        meanings=colours.PROVIDER_STATES,
        empty="no provider",
    ),
    Lines(
        title="Health",
        width=6,
        shows="The score, from 0 to 1, by which messages are shared out; the lowest that a sender holds.",
        normal="near 1.",
        otherwise="it falls with failures and with slow answers, and the others get the share. See *Outcomes*.",
        asks=[Ask(least("provider_health", "provider", where=_CHOSEN), "{{provider}}")],
        unit=COUNT,
        decimals=2,
        highest=1,
        limits={0.9: LOOK, 0.5: ACT},
        tells=["lastNotNull", "min"],
        empty="no provider",
    ),
    Lines(
        title="Openings by reason",
        width=6,
        shows="How often circuit breakers opened, by what was the reason; senders count their own evidence.",
        normal="none.",
        otherwise="again and again: the provider works and fails in turns. A pause ends the coming and going.",
        asks=[
            Ask(
                if_any(growth("breaker_openings_total", "provider", "reason", where=_CHOSEN)),
                "{{provider}}: {{reason}}",
            )
        ],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
)

_OUTCOMES: Final = (
    Lines(
        title="Outcomes",
        width=8,
        shows="Attempts a second at the chosen providers, by what came of them.",
        normal="accepted; rejected ones are messages that nobody takes.",
        otherwise="throttled: more is sent than the provider allows. Provider down, temporary: its trouble. Ambiguous: "
        "it did not say, so the message may arrive twice.",
        asks=[Ask(rate("attempts_total", "outcome", where=_CHOSEN), "{{outcome}}")],
        unit=MAIL_PER_SECOND,
        colours=colours.OUTCOMES,
        is_stacked=True,
        empty="no attempts",
    ),
    Lines(
        title="Failed attempts",
        width=8,
        shows="The share of each provider's attempts that failed by its fault or ours; rejected messages do not count.",
        normal="below 1 %.",
        otherwise="a provider with much of it is given up by itself; one with a little of it all the time wants a look "
        "at its own status page.",
        asks=[Ask(_FAILED_SHARE, "{{provider}}")],
        unit=SHARE,
        limits={0.05: LOOK, 0.5: ACT},
        empty="no attempts",
    ),
    Lines(
        title="Share of mail",
        width=8,
        shows="Which part of the accepted mail each provider carries.",
        normal="by the weights of the first tier.",
        otherwise="a second tier carries mail while the first has no room or fails.",
        asks=[Ask(rate("attempts_total", "provider", where=_ACCEPTED), "{{provider}}")],
        unit=MAIL_PER_SECOND,
        is_share=True,
        empty="none accepted",
    ),
)

_LIMITS: Final = (
    Lines(
        title="Rate in use",
        width=8,
        shows="Attempts a second, as a share of what all senders together may send to a provider now.",
        normal="below 80 %. A provider without `rate_per_second` is not shown.",
        otherwise="at 100 % its mail waits for its turn: raise the rate if your plan allows it, or add a provider.",
        asks=[Ask(_RATE_USED, "{{provider}}")],
        unit=SHARE,
        reaches=1,
        limits={0.8: LOOK, 1: ACT},
        empty="no rates set",
    ),
    Lines(
        title="Rate allowed",
        width=8,
        shows="Messages a second that all senders together may send to a provider now: the configured rate, or what "
        "its 429s left of it. Dashed: the highest of the last day.",
        normal="flat, at the configured rate.",
        otherwise="a dip: the provider throttled us; the rate comes back by itself. Often: configure less.",
        asks=[
            Ask(_RATE, "{{provider}}"),
            Ask(f"max_over_time(({_RATE})[1d:5m])", "{{provider}}: highest"),
        ],
        unit=MAIL_PER_SECOND,
        dashed=["/: highest$/"],
        tells=["lastNotNull", "min"],
        empty="no rates set",
    ),
    Lines(
        title="Slots in use",
        width=8,
        shows="Messages under way at a provider, as a share of `concurrency` of all senders together.",
        normal="below 80 %.",
        otherwise="at 100 % its mail waits for a free connection: it answers slowly, or the senders are too few.",
        asks=[Ask(_SLOTS_USED, "{{provider}}")],
        unit=SHARE,
        reaches=1,
        limits={0.8: LOOK, 1: ACT},
        empty="no provider",
    ),
)

_LATENCY: Final = (
    Lines(
        title="Attempts: p50",
        width=6,
        shows="How long half of a provider's attempts take at most, from begin to outcome.",
        normal="its own level: HTTP tens to hundreds of milliseconds, SMTP up to seconds.",
        otherwise="all of them slower at once: it is our network. One: its health falls, and others get its share.",
        asks=[Ask(quantile(0.5, "attempt_seconds", "provider", where=_CHOSEN), "{{provider}}")],
        unit=SECONDS,
        empty="no attempts",
    ),
    Lines(
        title="Attempts: p95",
        width=6,
        shows="How long 95 of 100 of a provider's attempts take at most, from begin to outcome. Dots are single "
        "attempts.",
        normal="a few times its p50.",
        otherwise="at the provider's timeout: it hangs; what ran into it ends `ambiguous`.",
        asks=[Ask(quantile(0.95, "attempt_seconds", "provider", where=_CHOSEN), "{{provider}}", exemplars=True)],
        unit=SECONDS,
        empty="no attempts",
    ),
    HeatMap(
        title="Attempts: all",
        width=12,
        shows="How many attempts at the chosen providers took how long; the colour is how many.",
        normal="a band for each provider.",
        otherwise="a band high above: attempts that run into a timeout. Choose single providers above to find whose it "
        "is.",
        asks=[Ask(buckets("attempt_seconds", where=_CHOSEN), "{{le}}", exemplars=True)],
        empty="no attempts",
    ),
)

_FAILOVER: Final = (
    Lines(
        title="Failovers",
        width=8,
        shows="Messages that went on to another provider at once, because the first did not take them.",
        normal="none.",
        otherwise="short: it is what saves the mail. For long: look why the first is still chosen.",
        asks=[Ask(if_any(growth("failovers_total", "from", "to", where=('from=~"$provider"',))), "{{from}} → {{to}}")],
        unit=COUNT,
        decimals=0,
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
    Lines(
        title="Possible duplicates",
        width=8,
        shows="Messages that were tried again although the answer to the attempt before was lost: they may arrive "
        "twice.",
        normal="none.",
        otherwise="a provider accepts and does not answer, or senders were killed. `on_ambiguous` decides what then "
        "happens.",
        asks=[Ask(if_any(growth("possible_duplicates_total")), "possible duplicates")],
        unit=COUNT,
        decimals=0,
        colours={"possible duplicates": "purple"},
        has_bars=True,
        step="1m",
        tells=["sum"],
        empty="none",
    ),
    Lines(
        title="Quota used",
        width=8,
        shows="Which part of each quota is spent, as the sender that knows of the most tells it.",
        normal="below 80 % until its period ends.",
        otherwise="at 100 % the provider gets nothing until some of it is free again: move mail to others, or buy "
        "more.",
        asks=[Ask(_QUOTA_USED, "{{provider}}: {{quota}}")],
        unit=SHARE,
        reaches=1,
        limits={0.9: LOOK, 1: ACT},
        tells=["lastNotNull"],
        empty="no quotas set",
    ),
)

_DETAILS: Final = (
    Lines(
        title="Tokens",
        width=8,
        shows="Messages that senders may hand over at once: what they drew from the bucket that all of them share and "
        "have not used yet.",
        normal="about as many as wait for the provider; none while nothing does.",
        otherwise="none while mail waits: the rate is the limit, see *Rate in use*.",
        asks=[Ask(total("provider_tokens", "provider", where=_CHOSEN), "{{provider}}")],
        unit=COUNT,
        tells=["lastNotNull", "min"],
        empty="no rates set",
    ),
    Lines(
        title="Under way",
        width=8,
        shows="Messages that senders are handing to a provider now. Dashed: how many that may be.",
        normal="rate times latency: 10 a second at 200 ms are two.",
        otherwise="at the dashed line: see *Slots in use*.",
        asks=[
            Ask(_UNDER_WAY, "{{provider}}"),
            Ask(_SLOTS, "{{provider}}: concurrency"),
        ],
        unit=COUNT,
        dashed=["/: concurrency$/"],
        empty="no provider",
    ),
    Lines(
        title="Quota left",
        width=8,
        shows="Messages that are left of each quota.",
        normal="falls over its period and jumps back.",
        otherwise="see *Quota used*.",
        asks=[Ask(least("provider_quota_left", "provider", "quota", where=_CHOSEN), "{{provider}}: {{quota}}")],
        unit=COUNT,
        tells=["lastNotNull"],
        empty="no quotas set",
    ),
)

BOARD: Final = Board(
    uid=PROVIDERS,
    title="Providers",
    description="Which provider works, how well, and how much room it has.",
    choices=[Choice("provider", "Provider", 'reliable_email_provider_info{job=~"$job"}')],
    sections=[
        Section("", [(7, (_TABLE,)), (8, _STATE)]),
        Section("Outcomes", [(8, _OUTCOMES)]),
        Section("Latency", [(8, _LATENCY)]),
        Section("Limits", [(8, _LIMITS)]),
        Section("Failover and quotas", [(8, _FAILOVER)]),
        Section("Numbers behind the limits", [(8, _DETAILS)], is_folded=True),
    ],
)
