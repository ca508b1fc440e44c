"""Every query of every dashboard and rule, asked of a real Prometheus that saw the real service live through a bad day.

The rules are loaded with every `for` shortened to a second, so that alerts come and go while the story looks on;
their expressions are those of `grafana/rules`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import promql_parser
import pytest
import pytest_asyncio

from tests.monitoring.installation import ROOT
from tests.monitoring.prometheus import Refused, executable
from tests.monitoring.promql import annotation_queries, queries, selectors, substitute, variable_queries
from tests.monitoring.scene import Scene
from tests.monitoring.story import BLACKOUT, OUTAGE, Story

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

DASHBOARDS: Final = sorted((ROOT / "grafana" / "dashboards").glob("*.json"))

#: Where an expression stands: its dashboard, panel and refId; or "rules", the rule's name and its labels.
Place = tuple[str, str, str]

#: What the story never brings about, and why. What stands here and shows something all the same fails the test.
EMPTY: Final[dict[Place, str]] = {
    ("processes", "Actor restarts", "A"): "only a defect makes an actor crash",
    ("rules", "ReliableEmailActorRestarts", "severity=ticket"): "only a defect makes an actor crash",
    ("rules", "ReliableEmailMailWaits", "severity=page"): "it is for mail that has waited for five minutes",
    ("rules", "ReliableEmailMailWaits", "severity=ticket"): "it is for mail that has waited for five minutes",
    ("rules", "ReliableEmailRestartsOften", "severity=ticket"): "no process is started more than twice",
    ("rules", "ReliableEmailRedisReplicasMissing", "severity=page"): "the one Redis is wanted without replicas",
}

#: What is left to chance, or to the hour.
MAY_BE_EMPTY: Final[dict[Place, str]] = {
    ("rules", "ReliableEmailProcessDown", "severity=ticket"): "only a process that misses the first look counts",
    ("rules", "ReliableEmailProviderOpens", "severity=ticket"): "a breaker opens two to four times in the story",
    ("providers", "Rate allowed", "B"): "it looks at every fifth minute of the clock, and the story is shorter",
}


class Lived(NamedTuple):
    """The scene after its story."""

    scene: Scene
    story: Story

    async def saw(self, expression: str) -> bool | str:
        """Tell whether an expression had a value at any time of the story, or what Prometheus has against it."""
        try:
            return bool(await self.scene.prometheus.over(expression, self.story.began, self.story.ended))
        except Refused as refusal:
            return str(refusal)


class Question(NamedTuple):
    """An expression and where it stands."""

    place: Place
    expression: str


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def lived(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lived]:
    executable()
    async with Scene(tmp_path_factory.mktemp("scene")) as scene:
        story = Story(scene)
        await story.live()
        yield Lived(scene, story)


def of_dashboard(path: Path) -> list[Question]:
    dashboard = json.loads(path.read_text())
    found = (*queries(dashboard), *annotation_queries(dashboard), *variable_queries(dashboard))
    return [Question((path.stem, query.panel, query.ref_id), substitute(query.expr)) for query in found]


async def of_rules(lived: Lived) -> list[Question]:
    rules = await lived.scene.prometheus.rules()
    return [Question(("rules", rule["name"], _labels(rule)), rule["query"]) for rule in rules]


def _labels(rule: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in rule.get("labels", {}).items())


async def surprises(lived: Lived, questions: list[Question]) -> str:
    """Return a paragraph for each question whose answer is not as it should be."""
    assert questions
    seen = await asyncio.gather(*(lived.saw(question.expression) for question in questions))
    return "".join(
        f"\n\n{' / '.join(place)}: {'is empty' if answer is False else answer or ''}\n{expression}"
        for (place, expression), answer in zip(questions, seen, strict=True)
        if answer is not (place not in EMPTY) and not (place in MAY_BE_EMPTY and answer is False)
    )


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
async def test_every_query_of_a_dashboard_shows_something(lived: Lived, path: Path) -> None:
    assert not await surprises(lived, of_dashboard(path))


async def test_every_rule_finds_what_it_looks_for(lived: Lived) -> None:
    assert not await surprises(lived, await of_rules(lived))


async def test_every_series_that_is_named_exists(lived: Lived) -> None:
    """A faulty name or label in half of an `or` empties nothing and would not be noticed otherwise."""
    asked = [*(await of_rules(lived)), *(question for path in DASHBOARDS for question in of_dashboard(path))]
    named = {
        str(selector): question.place
        for question in asked
        for selector in selectors(promql_parser.parse(question.expression))
    }
    seen = await asyncio.gather(*map(lived.saw, named))

    assert {name: place for (name, place), answer in zip(named.items(), seen, strict=True) if answer is not True} == {}


async def test_what_may_be_empty_is_there(lived: Lived) -> None:
    places = {question.place for question in await of_rules(lived)}
    places |= {question.place for path in DASHBOARDS for question in of_dashboard(path)}

    assert (EMPTY.keys() | MAY_BE_EMPTY.keys()) - places == set()


async def test_prometheus_finds_no_fault_in_any_rule(lived: Lived) -> None:
    rules = await lived.scene.prometheus.rules()

    assert rules
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}


@pytest.mark.parametrize("alert", [OUTAGE, BLACKOUT])
async def test_the_alert_of_an_outage_is_pending_then_fires_and_resolves(lived: Lived, alert: str) -> None:
    prometheus, story = lived.scene.prometheus, lived.story
    pending = await prometheus.over(f'ALERTS{{{alert}, alertstate="pending"}}', story.began, story.ended)
    firing = await prometheus.over(f'ALERTS{{{alert}, alertstate="firing"}}', story.began, story.ended)

    assert min(min(series.values) for series in pending) < min(min(series.values) for series in firing)
    assert await prometheus.query(f"ALERTS{{{alert}}}") == []


async def test_the_second_tier_sends_all_that_comes_while_the_first_is_out(lived: Lived) -> None:
    sent = [(record["state"], record["recipients"][0]["provider"]) for record in lived.story.followed]

    assert set(sent) == {("sent", "relay")}


async def test_every_process_is_watched_and_those_that_died_are_back(lived: Lived) -> None:
    up = await lived.scene.prometheus.query('up{job="reliable-email"} == 1')

    assert {series.labels["instance"] for series in up} == lived.scene.installation.targets.keys()


async def test_an_exemplar_leads_to_the_trace_of_a_message(lived: Lived) -> None:
    prometheus, story = lived.scene.prometheus, lived.story
    found = await prometheus.exemplars("reliable_email_end_to_end_seconds_bucket", story.began, story.ended)
    traces = {span.trace_id for span in lived.scene.installation.collector.spans}

    assert {labels["trace_id"] for labels in found} & traces
