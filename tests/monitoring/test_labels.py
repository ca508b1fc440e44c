"""What `labels` works out of an expression, and what it finds wrong."""

from __future__ import annotations

import pytest
from promql_parser import parse

from tests.monitoring.labels import Reading

KNOWN = {
    "up": frozenset({"job", "instance"}),
    "info": frozenset({"job", "instance", "role"}),
    "sent_total": frozenset({"job", "instance", "provider"}),
    "rate_limit": frozenset({"job", "instance", "provider"}),
    "took_bucket": frozenset({"job", "instance", "le", "script"}),
}


@pytest.mark.parametrize(
    ("expr", "labels"),
    [
        ("up", "instance job"),
        ("sum(up)", ""),
        ("sum by (role) (info)", "role"),
        ("sum without (job) (info)", "instance role"),
        ("topk(3, info)", "instance job role"),
        ("rate(sent_total[5m])", "instance job provider"),
        ("max_over_time(sum by (provider) (sent_total)[1d:5m])", "provider"),
        ("histogram_quantile(0.9, sum by (le, script) (rate(took_bucket[5m])))", "script"),
        ("1 - up", "instance job"),
        ("-(up)", "instance job"),
        ("time() - up", "instance job"),
        ("vector(0)", ""),
        ("count(up) or vector(0)", ""),
        ("up == 0 or sent_total", "instance job provider"),
        ("sent_total / rate_limit", "instance job provider"),
        ("sent_total and on (instance) up", "instance job provider"),
        ("sent_total / on (provider) rate_limit", "provider"),
        ("sent_total / ignoring (job) rate_limit", "instance provider"),
        ("up * on (job, instance) group_left (role) info", "instance job role"),
        ("info * on (job, instance) group_right (role) up", "instance job role"),
        ('label_replace(up, "host", "$1", "instance", "(.*):.*")', "host instance job"),
    ],
)
def test_the_labels_of_a_result_follow_from_those_of_its_metrics(expr: str, labels: str) -> None:
    reading = Reading(KNOWN)

    assert reading.labels(parse(expr)) == set(labels.split())
    assert reading.faults == []


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ("down", "there is no metric down"),
        ('up{pod="a"}', "up has no label pod"),
        ("sum by (pod) (up)", "what `sum by` reads has no label pod"),
        ("sum by (role) (sum by (job) (info))", "what `sum by` reads has no label role"),
        (
            "histogram_quantile(0.9, sum by (script) (rate(took_bucket[5m])))",
            "what histogram_quantile reads has no label le",
        ),
        ("up * on (role) info", "the left of `*` has no label role"),
        ("info * on (role) up", "the right of `*` has no label role"),
        ("info * on (instance) group_left (pod) up", "what group_left brings has no label pod"),
        ("up * on (instance) group_right (pod) info", "what group_right brings has no label pod"),
        ("up / info", "`/` has instance, job on its left and instance, job, role on its right"),
        ("sum(up) / up", "`/` has none on its left and instance, job on its right"),
    ],
)
def test_a_label_that_cannot_be_there_is_a_fault(expr: str, fault: str) -> None:
    reading = Reading(KNOWN)
    reading.labels(parse(expr))

    assert reading.faults == [fault]
