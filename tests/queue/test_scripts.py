"""What the scripts say of themselves in their headers is what they do."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import product

import orjson
import pytest

from shared.domain.states import DEAD, LIVE, TRANSITIONS, RecipientState, State, Verb
from shared.queue import Queue
from shared.queue.keys import provider_tag, service_tag, shard_tag, slot
from shared.queue.leases import Decided
from shared.queue.script import assemble, names, source_of
from tests.queue.conftest import changed_texts
from tests.queue.scenario import MINUTE, Scenario

READERS = {"read", "page", "depths", "examine", "census", "pauses"}
#: What adds is refused when memory is used up; what moves or ends something runs even then.
ADDERS = {"submit", "meta"}
VERBS = {verb.value for verb in Verb}

_MOVES = re.compile(r"^-- moves  (.+(?:\n--        .+)*)", re.MULTILINE)
_USES = re.compile(r"^-- uses   (.+)$", re.MULTILINE)


def moves_of(name: str) -> dict[State | None, set[State | None]]:
    """Return the moves that a script's header names; None stands for no message."""
    found = _MOVES.search(source_of(name))
    moves: dict[State | None, set[State | None]] = defaultdict(set)
    if found is None or found.group(1) == "nothing":
        return moves
    for move in found.group(1).replace("\n--", " ").split(";"):
        before, _, after = move.partition("->")
        for pair in product(before.split("|"), after.split("|")):
            first, second = (None if word.strip() == "nothing" else State(word.strip()) for word in pair)
            moves[first].add(second)
    return moves


@pytest.mark.parametrize("verb", Verb)
def test_the_moves_of_each_script_are_those_of_the_state_machine(verb: Verb) -> None:
    gone: set[State | None] = {None}
    table = {before: set(after) or gone for (before, by), after in TRANSITIONS.items() if by is verb}
    assert moves_of(verb.value) == table


@pytest.mark.parametrize("name", sorted(set(names()) - VERBS - {"repair"}))
def test_a_script_that_is_no_verb_moves_nothing(name: str) -> None:
    assert moves_of(name) == {}


def test_a_repair_may_only_end_what_cannot_be_sent() -> None:
    assert moves_of("repair") == {state: set(DEAD) for state in LIVE}


@pytest.mark.parametrize("name", names())
def test_a_scripts_first_line_says_when_it_may_run(name: str) -> None:
    flags = " flags=no-writes" if name in READERS else "" if name in ADDERS else " flags=allow-oom"
    assert source_of(name).partition("\n")[0] == f"#!lua{flags}"


@pytest.mark.parametrize("name", names())
def test_only_readers_need_no_replica(name: str) -> None:
    assert assemble(name).writes is (name not in READERS)


@pytest.mark.parametrize("name", names())
def test_a_header_names_the_script_its_call_and_its_answer(name: str) -> None:
    lines = source_of(name).splitlines()
    assert lines[1].startswith(f"-- {name}: ")
    assert [line.split()[1] for line in lines if re.match(r"-- (call|gives)  ?", line)] == ["call", "gives"]


@pytest.mark.parametrize("name", names())
def test_a_script_uses_the_clock_before_its_keys_and_every_fragment_once(name: str) -> None:
    found = _USES.search(source_of(name))
    assert found is not None
    fragments = found.group(1).split()
    assert fragments[:2] == ["_clock", "_keys"]
    assert len(set(fragments)) == len(fragments)


async def test_the_clock_is_that_of_the_server_in_milliseconds(queue: Queue) -> None:
    meta = assemble("meta", changed_texts())
    arguments = orjson.dumps({"schema": 1, "shards": 1})
    ask = [("TIME",), ("EVAL", meta.source, 1, queue.core.service_tag, arguments), ("TIME",)]
    replies = await queue.core.plain(queue.core.service_tag, ask * 50)
    times = [int(first) * 1000 + (int(second) // 1000 if second != b"ok" else 0) for first, second, *_ in replies]
    told = [int(reply[0]) if len(reply) > 2 else time for reply, time in zip(replies, times, strict=True)]
    assert told == sorted(told)


async def test_everything_a_message_leaves_stands_in_the_keyspace_of_its_shard(scenario: Scenario) -> None:
    lease = await scenario.submit_and_begin(recipients=2, idempotency_key="k", fingerprint="f")
    await scenario.settle(lease, decided=(Decided(0, RecipientState.SENT),), delay_ms=MINUTE)
    core = scenario.queue.core
    assert {key.partition("}:")[0] + "}" for key in await scenario.keyspace()} == {
        shard_tag(core.prefix, 0),
        service_tag(core.prefix),
    }


# How shards are spread


@pytest.mark.parametrize("primaries", [3, 4, 5, 6])
def test_every_count_of_shards_is_spread_evenly(primaries: int) -> None:
    held = [0] * primaries
    for shard in range(256):
        held[slot(shard_tag("re", shard)) * primaries // 16_384] += 1
        assert max(held) - min(held) <= 3


def test_a_tag_names_its_shard_and_no_two_are_alike() -> None:
    tags = [shard_tag("re", shard) for shard in range(64)]
    assert len(set(tags)) == 64
    assert all(tag.startswith(f"{{re:{shard}-") for shard, tag in enumerate(tags))


def test_tags_of_shards_providers_and_the_service_never_meet() -> None:
    tags = {*(shard_tag("re", shard) for shard in range(64)), service_tag("re"), provider_tag("re", "0-0")}
    assert len(tags) == 66
