"""The judge of the invariant notices each kind of breach; all other tests rely on it."""

from __future__ import annotations

import pytest

from shared.domain.states import RecipientState
from shared.queue.leases import Decided
from tests.queue.conftest import clear_away
from tests.queue.invariant import faults_of, read_keyspace
from tests.queue.scenario import DAY, MINUTE, START, Scenario, large_envelope


async def crowd(scenario: Scenario) -> dict[str, str]:
    """Return messages in many situations, by what they are."""
    lease = await scenario.submit_and_begin(recipients=2)
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=MINUTE)
    begun = await scenario.submit_and_begin(ttl_ms=DAY)
    sent = await scenario.submit_and_begin()
    await scenario.settle(sent)
    large = await scenario.submit(large_envelope(), ttl_ms=DAY)
    return {"split": lease.id, "begun": begun.id, "sent": sent.id, "large": large}


async def test_a_sound_queue_has_no_faults(scenario: Scenario) -> None:
    await crowd(scenario)
    assert await faults_of(scenario.queue.core) == []


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("ZREM ready:default:normal {large}", "instead of ready:default:normal"),
        ("ZADD leased 1 {large}", "instead of ready:default:normal"),
        ("HSET message:{large} place retry:normal", "its record names retry:normal"),
        ("HSET message:{large} state retrying", "its record names ready:default:normal"),
        ("HSET message:{large} lease t", "its lease is t"),
        ("HDEL message:{begun} lease", "its lease is None"),
        ("HSET message:{begun} begun relay", "its attempt is 'relay'"),
        ("HSET message:{sent} finished 5", "in finished, 5 in its record"),
        ("HSET message:{sent} reason failed", "its reason is failed"),
        ("HSET message:{sent} strikes 1", "keeps `strikes` behind its end"),
        ("HSET message:{large} waiting false", "its `waiting` is 'false'"),
        ("HSET message:{large} prefer " + "x" * 65, "its `prefer` has 65 bytes"),
        ("ZREM finished {sent}", "instead of finished"),
        ("ZREM content {sent}", "stands in content with None"),
        ("ZADD content 5 {large}", "stands in content with 5.0"),
        ("ZREM expiring {large}", "stands in expiring with None"),
        ("ZADD expiring 5 {begun}", "stands in expiring with 5.0"),
        ("UNLINK body:{large}", "has no body"),
        ("APPEND body:{large} x", "its body holds a content that lies in pieces or was dropped"),
        ("HDEL message:{large} pieces", "its content is gone"),
        ("UNLINK piece:{large}:2", "lacks piece 2"),
        ("EXPIRE piece:{large}:1 100", "ends by itself"),
        ("SET piece:{large}:3 x", "does not end by itself"),
        ("EXPIRE message:{large} 100", "ends by itself"),
        ("UNLINK recipients:{split}", "its record says split=1"),
        ("HSET recipients:{split} 1 failed", "2 of 2 recipients are decided"),
        ("HSET recipients:{split} 7 sent", "decided are"),
        ("HSET recipients:{sent} 0 sent", "its record says split=None"),
        ("HSET message:{sent} attempts 2", "2 were closed"),
        ("RPUSH history:{large} sent", "follows from its record"),
        ("RPUSH history:{split} scheduled", "its last event is scheduled"),
        ("SET history:nobody x", "WRONGTYPE"),
        ("RPUSH history:nobody x", "history of nobody has no record"),
        ("ZADD failed 1 nobody", "failed holds nobody"),
        ("HINCRBY counts default:normal:sent 1", "counts default:normal:sent as 2; there are 1"),
        ("HINCRBY counts live 1", "counts live as 4; there are 3"),
        ("ZREM work default:normal", "work is None"),
        ("ZADD work 1 default:normal", "work is"),
        ("ZADD work 1 default:bulk", "work is"),
        ("SREM pools default", "pools lacks {'default'}"),
        ("XTRIM log MAXLEN 1", "which is not what was accepted"),
        ("SET nonsense x", "no key is called so"),
    ],
)
async def test_each_breach_is_noticed(scenario: Scenario, damage: str, told: str) -> None:
    verb, name, *rest = damage.format(**await crowd(scenario)).split(" ")
    values = {"failed": "failed {}", "sent": "sent {}"} if verb == "HSET" and name.startswith("recipients") else {}
    if name.startswith("history") and verb == "RPUSH":
        rest = [f"{rest[0]} {START} 0"]
    await scenario.redis(verb, f"{scenario.tag}:{name}", *(values.get(word, word) for word in rest))
    faults = await faults_of(scenario.queue.core)
    await clear_away(scenario.queue.core, await read_keyspace(scenario.queue.core))
    assert [fault for fault in faults if told in fault], faults
