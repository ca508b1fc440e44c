"""PromQL in the manner of the house.

Every selector keeps to the chosen jobs and instances. Counters are read through `rate` or `increase` over
`$__rate_interval`. What every scheduler tells of the whole queue is taken once, as a maximum; what each sender
holds for itself is summed.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "reliable_email_"
_HERE: Final = ('job=~"$job"', 'instance=~"$instance"')

_FIRING: Final = ('alertstate="firing"', 'alertname=~"ReliableEmail.*"')

#: The share of messages that may be late, by priority: those of grafana/slo.toml, as the recording rules keep them.
_BUDGET: Final = f"priority:{PREFIX}slo_budget:ratio"


def ours(metric: str, *matchers: str) -> str:
    """Return the selector of a metric of the service, named without its prefix."""
    return theirs(PREFIX + metric, *matchers)


def theirs(metric: str, *matchers: str) -> str:
    """Return the selector of a metric that the client library or Prometheus itself makes."""
    return f"{metric}{{{', '.join((*_HERE, *matchers))}}}"


def firing(*matchers: str) -> str:
    """Return the alerts of `grafana/rules` that fire; many of them are about no instance that could be chosen."""
    return f"ALERTS{{{', '.join((*_FIRING, *matchers))}}}"


def undelivered() -> str:
    """Return the share of the last hour's mail that ended undelivered, as the recording rules keep it."""
    return f"{PREFIX}messages_undelivered:ratio_rate1h"


def aggregate(operator: str, expr: str, *by: str) -> str:
    """Return an aggregation, over everything where no labels are named."""
    return f"{operator} by ({', '.join(by)}) ({expr})" if by else f"{operator}({expr})"


def most(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """Return the largest that any process tells: for what all of them tell of the same thing."""
    return aggregate("max", ours(metric, *where), *by)


def least(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """Return the smallest that any process tells."""
    return aggregate("min", ours(metric, *where), *by)


def total(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """Return the sum over processes: for what each of them holds for itself."""
    return aggregate("sum", ours(metric, *where), *by)


def rate(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """Return how much a counter grows a second."""
    return aggregate("sum", f"rate({ours(metric, *where)}[$__rate_interval])", *by)


def growth(metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """Return by how much a counter grew in the step before."""
    return aggregate("sum", f"increase({ours(metric, *where)}[$__rate_interval])", *by)


def if_any(expr: str) -> str:
    """Return what there is of something rare: a series that stays 0 says nothing, and would fill the legend."""
    return f"{expr} > 0"


def quantile(share: float, metric: str, *by: str, where: tuple[str, ...] = ()) -> str:
    """Return a quantile of a histogram."""
    return f"histogram_quantile({share}, {rate(metric + '_bucket', 'le', *by, where=where)})"


def mean(metric: str, *by: str) -> str:
    """Return the mean of what a histogram counted."""
    return f"{rate(metric + '_sum', *by)} / {rate(metric + '_count', *by)}"


def buckets(metric: str, where: tuple[str, ...] = ()) -> str:
    """Return a histogram's buckets, for a heat map."""
    return growth(metric + "_bucket", "le", where=where)


def or_zero(expr: str) -> str:
    """Return 0 where an expression gives nothing, for what is good news and not missing data."""
    return f"{expr} or vector(0)"


def provider_state(where: tuple[str, ...] = ()) -> str:
    """Return a number of `colours.PROVIDER_STATES` for what a provider does; the gravest that a sender tells."""
    return (
        f"{most('provider_paused', 'provider', where=where)} * 4 > 0"
        f" or {most('provider_misconfigured', 'provider', where=where)} * 3 > 0"
        f" or {most('provider_breaker_state', 'provider', where=where)}"
    )


def of_role(expr: str) -> str:
    """Return what processes of the chosen roles tell, each with its role; `expr` keeps job and instance."""
    role = aggregate("max", ours("build_info", 'role=~"$role"'), "job", "instance", "role")
    return f"{expr} * on (job, instance) group_left (role) {role}"


def late(window: str) -> str:
    """Return the share of messages of each priority that were late, as the recording rules keep it."""
    return f"priority:{PREFIX}slo_errors:ratio_rate{window}"


def burn(window: str) -> str:
    """Return how many times faster than allowed the error budgets are spent; at 1 they last exactly the period."""
    return f"{late(window)} / on (priority) {_BUDGET}"


def budget_left(days: int, *matchers: str) -> str:
    """Return which share of the error budgets is left of the last days; below 0 the objective is missed."""
    chosen = f"{{{', '.join(matchers)}}}" if matchers else ""
    return f"1 - {late(f'{days}d')}{chosen} / on (priority) {_BUDGET}"
