"""Answers of providers that are lost at every point: no second copy where the provider can be asked or keyed."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from shared.domain.message import Record
from shared.domain.outcome import Outcome
from tests.fakes.internet import Internet, acts
from tests.fakes.internet.settings import secrets_of, toml_of
from tests.services.sender.cluster import FAST, Cluster, letter, merged, toml

#: The ways in which an answer is lost; the provider has the message in some of them.
LOSSES = (
    acts.reset(taken=True),
    acts.reset(taken=False),
    acts.cut(),
    acts.page(502, taken=True),
    acts.hang(taken=True),
    acts.early(),
)

#: Services that know a request by its key, or can be asked for a message.
SURE = ("resend", "brevo", "mailgun", "postmark", "mailjet")
BLIND = ("ses", "sendgrid", "sparkpost", "mailersend", "mailtrap", "postal")


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    async with Internet(*SURE, *BLIND) as internet:
        yield internet


async def records_after(cluster: Cluster, internet: Internet, kind: str, tmp_path: Path) -> dict[str, Record]:
    """Send messages through a provider that loses its first answers, and return their records by subject."""
    desk = internet.desk(kind)
    desk.life.script(LOSSES)
    own: dict[str, dict[str, Any]] = {"redis": {"url": cluster.url, "prefix": cluster.prefix}, "ops": {"port": 0}}
    config = tmp_path / f"{kind}.toml"
    config.write_text(toml(merged(own, FAST)) + toml_of(desk, answer_seconds=1))
    cluster.environ |= secrets_of(desk)
    await cluster.scheduler()
    await cluster.sender_by(config)
    ids = {f"Receipt {number}": await cluster.submit(letter(subject=f"Receipt {number}")) for number in range(10)}
    return {subject: await cluster.ended(message_id) for subject, message_id in ids.items()}


def copies(internet: Internet, kind: str) -> Counter[str]:
    """Return how often a provider has taken each message, by its subject: some services carry no id of ours."""
    return Counter(taken.subject for taken in internet.desk(kind).ledger.taken)


@pytest.mark.parametrize("kind", SURE)
async def test_a_lost_answer_makes_no_second_copy_where_the_provider_can_tell(
    cluster: Cluster, internet: Internet, kind: str, tmp_path: Path
) -> None:
    records = await records_after(cluster, internet, kind, tmp_path)

    assert {record.state for record in records.values()} == {"sent"}
    assert copies(internet, kind) == dict.fromkeys(records, 1)
    assert internet.complaints == []


@pytest.mark.parametrize("kind", BLIND)
async def test_elsewhere_every_second_copy_is_of_a_message_that_says_so(
    cluster: Cluster, internet: Internet, kind: str, tmp_path: Path
) -> None:
    records = await records_after(cluster, internet, kind, tmp_path)

    assert {record.state for record in records.values()} == {"sent"}
    taken = copies(internet, kind)
    doubtful = {
        subject
        for subject, record in records.items()
        if any(attempt.outcome is Outcome.AMBIGUOUS for attempt in record.attempts)
    }
    marked = {subject for subject, record in records.items() if record.possible_duplicate}
    assert taken.keys() == records.keys()
    assert {subject for subject, count in taken.items() if count > 1} <= marked
    assert marked == doubtful
