"""SIGHUP to a scheduler: the rules of retrying that it reads are those of the configuration now."""

from __future__ import annotations

from shared.domain.states import State
from tests.services.scheduler.test_chores import lose_lease
from tests.services.sender.cluster import Cluster
from tests.services.sender.journal import Journal

NOTHING = {"name": "none", "kind": "sandbox"}


async def test_a_lease_that_runs_out_is_judged_by_the_new_rules(cluster: Cluster, journal: Journal) -> None:
    scheduler = await cluster.scheduler(retry={"max_rounds": 9})

    line = await cluster.reload(scheduler, NOTHING, retry={"max_rounds": 1})
    message_id = await lose_lease(cluster, begun=True)
    await journal.saw("lease_reclaimed", message_id=message_id)

    assert line["changes"] == ("retry.max_rounds",)
    assert (await cluster.view(message_id)).state is State.FAILED


async def test_what_the_loops_were_made_with_is_named(cluster: Cluster, journal: Journal) -> None:
    scheduler = await cluster.scheduler()

    await cluster.reload(scheduler, NOTHING, scheduler={"grace_seconds": 9}, retention={"content_days": 2})
    (line,) = await journal.saw("configuration_ignored")

    assert line["keys"] == ("scheduler.grace_seconds", "retention.content_days")
