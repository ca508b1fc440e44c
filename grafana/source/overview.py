"""Is mail flowing? What everybody looks at first."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from grafana.source import colours, queue
from grafana.source.colours import ACT, GOOD, LOOK, NEUTRAL
from grafana.source.expressions import (
    aggregate,
    buckets,
    budget_left,
    burn,
    firing,
    least,
    most,
    or_zero,
    provider_state,
    quantile,
    rate,
    undelivered,
)
from grafana.source.frame import OVERVIEW, PROCESSES, PROVIDERS, QUEUE, Board, Choice, Section
from grafana.source.kinds import HeatMap, Stat
from grafana.source.lines import Lines, Scale
from grafana.source.panel import COUNT, MAIL_PER_SECOND, SECONDS, SHARE, Ask
from grafana.source.slo import Objective, objective, objectives, period_days
from grafana.source.tables import Column, Table

_CRITICAL: Final = objective("critical")
_CHOSEN: Final = ('priority=~"$priority"',)
_ACCEPTED: Final = ('result="accepted"',)
_SENT: Final = ('state=~"sent|partly_sent"',)
_UNDELIVERED: Final = ('state=~"failed|expired|suppressed"',)
_DEAD: Final = ('state=~"failed|partly_sent"',)

#: All but the watchdog, which always fires.
_TOLD: Final = 'severity=~"page|ticket"'

_PROMISES: Final = ", ".join(f"{one.priority} {one.share:%} within {one.within_seconds} s" for one in objectives())


def _number_firing(severity: str) -> str:
    matcher = f'severity="{severity}"'
    return or_zero(f"count({firing(matcher)})")


_STATS: Final = (
    Stat(
        title="Alerts",
        width=3,
        shows="How many alerts fire now: `page` wants somebody at once, `ticket` within days.",
        normal="0 and 0.",
        otherwise="read their names in the table below; each has a page in docs/runbooks.",
        asks=[Ask(_number_firing("page"), "page"), Ask(_number_firing("ticket"), "ticket")],
        unit=COUNT,
        decimals=0,
        own_steps={"page": [(None, GOOD), (1, ACT)], "ticket": [(None, GOOD), (1, LOOK)]},
    ),
    Stat(
        title="Accepted",
        width=3,
        shows="Messages a second that the frontends took from clients and have on disk.",
        normal="what your clients send at this hour.",
        otherwise="at 0 although clients send: look at *Submissions* and at *Durable*.",
        asks=[Ask(or_zero(rate("submissions_total", where=_ACCEPTED)), "accepted")],
        unit=MAIL_PER_SECOND,
        has_curve=True,
        steps=[(None, NEUTRAL)],
        leads_to=PROCESSES,
    ),
    Stat(
        title="Sent",
        width=3,
        shows="Messages a second that a provider took over.",
        normal="as many as are accepted, a little later; more while a queue drains.",
        otherwise="well below *Accepted*: mail waits. Look at *Providers* and at *Oldest waiting*.",
        asks=[Ask(or_zero(rate("messages_finished_total", where=_SENT)), "sent")],
        unit=MAIL_PER_SECOND,
        has_curve=True,
        steps=[(None, NEUTRAL)],
        leads_to=PROVIDERS,
    ),
    Stat(
        title="Oldest critical",
        width=4,
        shows="How long the oldest critical message has waited that could be sent now.",
        normal=f"0 s. Yellow from half of the {_CRITICAL.within_seconds} s that are promised, red from there on.",
        otherwise="no provider has room for it: look at *Providers*, then at pauses (`reliable-email queue`).",
        asks=[Ask(most("oldest_ready_age_seconds", where=('priority="critical"',)), "oldest")],
        unit=SECONDS,
        steps=[(None, GOOD), (_CRITICAL.within_seconds / 2, LOOK), (_CRITICAL.within_seconds, ACT)],
        empty="no scheduler",
        leads_to=QUEUE,
    ),
    Stat(
        title="Providers",
        width=4,
        shows="Providers that take mail now, and those that do not: circuit breaker open, misconfigured or paused.",
        normal="all of them usable. One is enough for mail to flow.",
        otherwise="none usable: nothing is sent, all of it waits. The dashboard of providers shows which, and why.",
        asks=[
            Ask(or_zero(f"count(({provider_state()}) < 2)"), "usable"),
            Ask(or_zero(f"count(({provider_state()}) >= 2)"), "out of use"),
        ],
        unit=COUNT,
        decimals=0,
        own_steps={"usable": [(None, ACT), (1, GOOD)], "out of use": [(None, GOOD), (1, LOOK)]},
        leads_to=PROVIDERS,
    ),
    Stat(
        title="Dead letters",
        width=4,
        shows="Messages that failed, for all or some of their recipients, and wait to be sent again or dropped; and "
        "the share of the last hour's mail that ended undelivered.",
        normal="addresses that do not exist end here: as many as your lists have.",
        otherwise="`reliable-email failed list` groups them by reason.",
        asks=[
            Ask(aggregate("sum", most("queue_depth", "state", "priority", where=_DEAD)), "waiting"),
            Ask(undelivered(), "of last hour"),
        ],
        unit=COUNT,
        decimals=0,
        own_units={"of last hour": SHARE},
        own_steps={"waiting": [(None, NEUTRAL)], "of last hour": [(None, GOOD), (0.05, LOOK), (0.25, ACT)]},
        empty="no scheduler",
        leads_to=QUEUE,
    ),
    Stat(
        title="Durable",
        width=3,
        shows="Whether the settings of Redis keep every message that is accepted, as every frontend last read them.",
        normal="yes.",
        otherwise="no: submissions are refused with 503. The frontends' log names the setting to mend.",
        asks=[Ask(least("durability_ok"), "durable")],
        unit=COUNT,
        meanings=colours.YES_NO,
        empty="no frontend",
        leads_to=PROCESSES,
    ),
)

_VERDICTS: Final = (
    Stat(
        title="Error budget left",
        width=12,
        shows=f"Of the messages that may be late in {period_days()} days, the share that is left, by priority. "
        f"Promised: {_PROMISES}.",
        normal="above 25 %.",
        otherwise="below 0 % the promise is broken: put reliability before changes, and find what made mail late.",
        asks=[Ask(budget_left(period_days(), f'priority="{one.priority}"'), one.priority) for one in objectives()],
        unit=SHARE,
        decimals=0,
        steps=[(None, ACT), (0, LOOK), (0.25, GOOD)],
        empty="no mail yet",
    ),
    Table(
        title="Firing alerts",
        width=12,
        shows="Every alert of this service that fires now, and what it is about.",
        normal="none.",
        otherwise="docs/runbooks has a page for each name. Those that page come first.",
        asks=[Ask(f'label_replace({firing(_TOLD)}, "alertname", "$1", "alertname", "ReliableEmail(.*)")')],
        unit=COUNT,
        empty="none",
        columns={
            "severity": Column("Severity", meanings=colours.SEVERITIES, width=90),
            "alertname": Column("Alert", width=220),
            "priority": Column("Priority", width=90),
            "scale": Column("Paused"),
            "provider": Column("Provider"),
            "role": Column("Role", width=90),
            "server": Column("Redis"),
            "instance": Column("Process"),
            "actor": Column("Actor"),
            "quota": Column("Quota"),
            "reason": Column("Reason"),
        },
        hidden=["Value", "__name__", "alertstate", "job"],
        sort_by="Severity",
    ),
)

_FLOW: Final = (
    Lines(
        title="Submissions",
        width=8,
        shows="Messages a second that clients submitted, by what became of them.",
        normal="accepted; replayed where clients repeat a request under its idempotency key.",
        otherwise="refused: the client's fault or a full queue, as the problem it got says. Unavailable, unknown: "
        "ours, Redis did not answer.",
        asks=[Ask(rate("submissions_total", "result"), "{{result}}")],
        unit=MAIL_PER_SECOND,
        colours=colours.RESULTS,
        is_stacked=True,
        tells=[],
        empty="no frontend",
        leads_to=PROCESSES,
    ),
    Lines(
        title="Taken and handed over",
        width=8,
        shows="Messages a second: taken from clients, taken over by providers, and ended without delivery.",
        normal="the first two lie on each other, the third at 0.",
        otherwise="more taken than handed over: the queue grows. Undelivered: see *Dead letters*.",
        asks=[
            Ask(rate("submissions_total", where=_ACCEPTED), "taken"),
            Ask(rate("messages_finished_total", where=_SENT), "handed over"),
            Ask(rate("messages_finished_total", where=_UNDELIVERED), "undelivered"),
        ],
        unit=MAIL_PER_SECOND,
        colours={"taken": NEUTRAL, "handed over": GOOD, "undelivered": ACT},
        leads_to=QUEUE,
    ),
    Lines(
        title="Answer time of submissions",
        width=8,
        shows="From the last byte of a submission to its answer: what a client waits for, the disk included.",
        normal="a few milliseconds; up to 3 s while Redis fails over.",
        otherwise="see *Round trips to Redis* (dashboard of processes): the disk is slow, or a frontend lacks CPU.",
        asks=[
            Ask(quantile(0.5, "submit_seconds"), "p50"),
            Ask(quantile(0.95, "submit_seconds"), "p95"),
            Ask(quantile(0.99, "submit_seconds"), "p99", exemplars=True),
        ],
        unit=SECONDS,
        colours=colours.QUANTILES,
        empty="none submitted",
        leads_to=PROCESSES,
    ),
)

_WAITING: Final = (
    replace(queue.OLDEST, width=12, leads_to=QUEUE),
    replace(queue.UNFINISHED, width=12, leads_to=QUEUE),
)


def _end_to_end(promise: Objective) -> Lines:
    where = (f'priority="{promise.priority}"',)
    return Lines(
        title=f"End to end: {promise.priority}",
        width=6,
        shows=f"How long {promise.priority} mail took from acceptance (or its send-at time) to a provider's "
        "acceptance. Dots are single messages, with their traces. The dashed line is what is promised.",
        normal=f"{promise.share:%} of it within {promise.within_seconds} s.",
        otherwise="either it waits (*Oldest waiting*), or attempts are slow (dashboard of providers).",
        asks=[
            Ask(quantile(0.5, "end_to_end_seconds", where=where), "p50"),
            Ask(quantile(0.95, "end_to_end_seconds", where=where), "p95"),
            Ask(quantile(0.99, "end_to_end_seconds", where=where), "p99", exemplars=True),
        ],
        unit=SECONDS,
        empty="none sent",
        colours=colours.QUANTILES,
        limits={promise.within_seconds: ACT},
        scale=Scale.POWERS,
        lowest=None,
    )


_LATENCY: Final = (
    HeatMap(
        title="End to end: all",
        width=12,
        shows="How many messages of the chosen priorities took how long from acceptance to a provider's acceptance; "
        "the colour is how many.",
        normal="one dense band at the bottom.",
        otherwise="a second band: one provider is slow, or retries are needed. One that climbs: a queue that drains.",
        asks=[Ask(buckets("end_to_end_seconds", where=_CHOSEN), "{{le}}", exemplars=True)],
        empty="none sent",
        leads_to=PROVIDERS,
    ),
    Lines(
        title="Burn rate, last hour",
        width=6,
        shows="How many times faster than allowed the error budget was spent in the last hour. At 1 it lasts exactly "
        f"{period_days()} days.",
        normal="below 1.",
        otherwise="from 6 on somebody should look, from 14.4 on it pages: 2 % of the budget went within the hour.",
        asks=[Ask(burn("1h"), "{{priority}}")],
        unit="suffix:x",
        decimals=1,
        colours=colours.PRIORITIES,
        limits={6: LOOK, 14.4: ACT},
        reaches=15,
        empty="no mail yet",
    ),
    Lines(
        title="Error budget left, over time",
        width=6,
        shows=f"The share of the error budget of the last {period_days()} days that is left.",
        normal="flat or rising.",
        otherwise="each step down is a time at which mail was late: look what else happened then.",
        asks=[Ask(budget_left(period_days()), "{{priority}}")],
        unit=SHARE,
        colours=colours.PRIORITIES,
        limits={0: ACT, 0.25: LOOK},
        lowest=None,
        highest=1,
        tells=["lastNotNull", "min"],
        empty="no mail yet",
    ),
)

BOARD: Final = Board(
    uid=OVERVIEW,
    title="Overview",
    description="Is mail flowing, and as quickly as promised?",
    choices=[Choice("priority", "Priority", 'reliable_email_end_to_end_seconds_count{job=~"$job"}')],
    sections=[
        Section("", [(5, _STATS), (6, _VERDICTS)]),
        Section("Flow", [(8, _FLOW)]),
        Section("Waiting", [(9, _WAITING)]),
        Section("Latency", [(8, [_end_to_end(one) for one in objectives()]), (9, _LATENCY)]),
    ],
)
