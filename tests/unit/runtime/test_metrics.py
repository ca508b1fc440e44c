from __future__ import annotations

import re

import pytest
from prometheus_client import Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from shared.domain.message import Priority
from shared.runtime.metrics import LABELS, ROLES, Description, Metrics, describe
from shared.runtime.series import Family

#: What dashboards and alerts rely on: name -> labels.
PROMISED = {
    "submissions_total": ("priority", "result"),
    "submit_seconds": (),
    "commit_batch_size": (),
    "queue_depth": ("state", "priority"),
    "oldest_ready_age_seconds": ("priority",),
    "promoted_total": ("from",),
    "promotion_lateness_seconds": (),
    "leases_reclaimed_total": ("begun",),
    "attempts_total": ("provider", "outcome"),
    "attempt_seconds": ("provider",),
    "end_to_end_seconds": ("priority",),
    "messages_finished_total": ("state",),
    "provider_health": ("provider",),
    "provider_breaker_state": ("provider",),
    "provider_tokens": ("provider",),
    "provider_misconfigured": ("provider",),
    "provider_paused": ("provider",),
    "provider_rate_per_second": ("provider",),
    "provider_quota_left": ("provider", "quota"),
    "failovers_total": ("from", "to"),
    "possible_duplicates_total": (),
    "stale_writes_total": ("script",),
    "actor_mailbox_depth": ("actor",),
    "actor_restarts_total": ("actor",),
    "redis_seconds": ("script",),
    "durability_ok": (),
    "event_loop_lag_seconds": (),
    "http_requests_total": ("route", "status"),
    "submissions_waiting": (),
    "shard_depth": ("shard",),
    "processes": ("role",),
    "redis_up": ("server",),
    "redis_aof_ok": ("server",),
    "redis_replicas": ("server",),
    "redis_replicas_wanted": (),
    "redis_memory_used_bytes": ("server",),
    "redis_memory_limit_bytes": ("server",),
    "provider_info": ("provider", "kind", "tier"),
    "provider_in_flight": ("provider",),
    "provider_concurrency": ("provider",),
    "provider_quota_limit": ("provider", "quota"),
    "breaker_openings_total": ("provider", "reason"),
    "leases_held": (),
    "redis_errors_total": ("script", "kind"),
    "config_info": ("revision",),
    "build_info": ("role", "version"),
}

#: Up to which age a message is in time, by the objectives for its priority.
OBJECTIVES_SECONDS = (5, 30, 300, 21_600)

every_metric = pytest.mark.parametrize("metric", describe(), ids=lambda metric: metric.name)


def text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


@pytest.mark.parametrize(("name", "labels"), PROMISED.items())
def test_a_promised_metric_exists_with_its_labels(name: str, labels: tuple[str, ...]) -> None:
    found = {metric.name: metric.labels for metric in describe()}

    assert found[f"reliable_email_{name}"] == labels


@every_metric
def test_counters_and_only_counters_end_in_total(metric: Description) -> None:
    assert metric.name.endswith("_total") == (metric.type == "counter")


@every_metric
def test_a_name_is_well_formed(metric: Description) -> None:
    assert re.fullmatch(r"reliable_email_[a-z]+(_[a-z]+)*", metric.name)


@every_metric
def test_a_unit_in_a_name_is_a_base_unit(metric: Description) -> None:
    assert not re.search(r"_(ms|milliseconds|minutes|hours|kilobytes|megabytes|percent)\b", metric.name)


@every_metric
def test_no_label_can_hold_a_message_an_address_or_a_tenant(metric: Description) -> None:
    assert not {"message_id", "id", "tenant", "email", "recipient", "domain"} & set(metric.labels)


@every_metric
def test_it_is_known_what_bounds_each_label(metric: Description) -> None:
    assert set(metric.labels) <= set(LABELS)


def test_no_bound_is_told_of_a_label_that_nothing_has() -> None:
    assert set(LABELS) == {label for metric in describe() for label in metric.labels}


def bounds_of(histogram: Histogram | Family[Histogram]) -> list[float]:
    one = histogram["high"] if isinstance(histogram, Family) else histogram
    return list(one._upper_bounds)


def test_each_objective_can_be_judged_by_a_bucket() -> None:
    assert set(OBJECTIVES_SECONDS) <= set(bounds_of(Metrics().end_to_end_seconds))


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("submit_seconds", 3),  # a frontend answers within 3 s
        ("redis_seconds", 3),  # a call is given up before
        ("promotion_lateness_seconds", 3_600),  # an outage of an hour
        ("attempt_seconds", 600),  # SMTP after the final dot
        ("end_to_end_seconds", 259_200),  # three days of retries
        ("commit_batch_size", 500),  # a flush
    ],
)
def test_what_takes_longest_still_falls_into_a_bucket(name: str, longest: float) -> None:
    *finite, _ = bounds_of(getattr(Metrics(), name))

    assert finite[-1] >= longest


@pytest.mark.parametrize(
    "name", [metric.name for metric in describe() if metric.name.endswith("_seconds") and metric.type == "histogram"]
)
def test_what_takes_a_few_milliseconds_is_told_apart(name: str) -> None:
    bounds = bounds_of(getattr(Metrics(), name.removeprefix("reliable_email_")))

    assert sum(bound <= 0.05 for bound in bounds) >= 3


@every_metric
def test_a_meaning_is_a_sentence(metric: Description) -> None:
    assert re.fullmatch(r"[A-Z0-9].*\.", metric.meaning)


@every_metric
def test_an_attribute_is_named_like_its_metric(metric: Description) -> None:
    name = metric.name.removeprefix("reliable_email_").removesuffix("_total")

    assert hasattr(Metrics(), name)


def test_names_are_unique() -> None:
    names = [metric.name for metric in describe()]

    assert len(names) == len(set(names))


def test_what_is_counted_is_shown() -> None:
    metrics = Metrics()
    metrics.submissions["high", "accepted"].inc(7)

    assert 'reliable_email_submissions_total{priority="high",result="accepted"} 7.0' in text(metrics)


def test_a_label_that_is_a_priority_shows_its_word() -> None:
    metrics = Metrics()
    metrics.submissions[Priority.BULK, "accepted"].inc()

    assert 'priority="bulk",result="accepted"} 1.0' in text(metrics)


def test_a_known_series_is_shown_before_its_first_event() -> None:
    assert 'reliable_email_promoted_total{from="retry"} 0.0' in text(Metrics())


def test_a_look_up_gives_the_same_series_again() -> None:
    attempts = Metrics().attempts

    assert attempts["ses-eu", "accepted"] is attempts["ses-eu", "accepted"]


def test_a_forgotten_series_is_no_longer_shown() -> None:
    metrics = Metrics()
    metrics.provider_health["ses-eu"].set(1)
    metrics.provider_health.forget("ses-eu")

    assert "ses-eu" not in text(metrics)


def test_forgetting_what_was_never_there_is_no_error() -> None:
    Metrics().provider_health.forget("ses-eu")


def test_what_is_tallied_is_shown_as_a_counter() -> None:
    metrics = Metrics()
    metrics.http_requests.counts["GET /v1", 200] += 7

    assert "# TYPE reliable_email_http_requests_total counter" in text(metrics)
    assert 'reliable_email_http_requests_total{route="GET /v1",status="200"} 7.0' in text(metrics)


def test_a_tally_is_shown_only_by_the_role_that_feeds_it() -> None:
    metrics = Metrics("sender")
    metrics.http_requests.counts["GET /v1", 200] += 7

    assert "http_requests" not in text(metrics)


def test_a_series_that_was_begun_is_shown_at_0() -> None:
    metrics = Metrics()
    metrics.attempts.begin(("ses-eu", "accepted"))

    assert 'reliable_email_attempts_total{outcome="accepted",provider="ses-eu"} 0.0' in text(metrics)


def test_a_series_that_is_begun_again_keeps_its_count() -> None:
    metrics = Metrics()
    metrics.promoted["retry"].inc(7)
    metrics.promoted.begin("retry")

    assert 'reliable_email_promoted_total{from="retry"} 7.0' in text(metrics)


def test_only_the_revision_that_is_in_force_is_shown() -> None:
    metrics = Metrics()
    metrics.show_revision("0a1b2c3d")
    metrics.show_revision("9f2c1a7e")

    shown = [line for line in text(metrics).splitlines() if line.startswith("reliable_email_config_info")]
    assert shown == ['reliable_email_config_info{revision="9f2c1a7e"} 1.0']


def test_a_role_shows_nothing_that_it_does_not_feed() -> None:
    assert "durability_ok" not in text(Metrics("sender"))


def test_a_metric_that_is_not_shown_takes_values_all_the_same() -> None:
    metrics = Metrics("sender")
    metrics.submissions["high", "accepted"].inc()

    assert "submissions" not in text(metrics)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_shows_its_build_and_its_process(role: str) -> None:
    shown = text(Metrics(role, "0.1.0"))

    assert f'reliable_email_build_info{{role="{role}",version="0.1.0"}} 1.0' in shown
    assert "process_resident_memory_bytes" in shown
    assert "python_gc_collections_total" in shown


def test_no_series_tells_its_time_of_birth() -> None:
    assert "_created" not in text(Metrics())


def test_two_processes_in_one_do_not_share_a_count() -> None:
    first, second = Metrics(), Metrics()
    first.possible_duplicates.inc()

    assert "reliable_email_possible_duplicates_total 0.0" in text(second)


def test_the_text_can_be_parsed() -> None:
    families = {family.name for family in text_string_to_metric_families(text(Metrics()))}

    assert {metric.name.removesuffix("_total") for metric in describe()} <= families
