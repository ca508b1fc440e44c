"""Which mail no provider takes, though it waits for nothing else. No I/O, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from shared.domain.message import Priority
from shared.domain.states import State
from shared.queue.pauses import Pause, Scale
from shared.queue.processes import Process
from shared.queue.views import Depths
from shared.runtime.metrics import SENDER

#: What goes to a provider as soon as one takes it. A message that is being sent has found one.
_WAITING: Final = (State.QUEUED, State.RETRYING)


def stranded(depths: Depths, census: Iterable[Process], pauses: Collection[Pause]) -> dict[tuple[str, Priority], int]:
    """Return by pool and priority how many messages wait for a provider while none of their pool takes any.

    A pool is served where one living sender sees one of its providers available; a provider that is
    only tried with a probe is not. Where no sender knows a provider of it, it is not served either.
    What an operator holds up is 0, as is what is served. Of a pool without any message nothing is said:
    Redis remembers it for ever.
    """
    rows = list(_rows(census))
    served = {pool for row in rows if _takes(row) for pool in row["pools"]}
    held = _held(rows, pauses)
    is_held = any(pause.scale is Scale.EVERYTHING for pause in pauses)
    return {
        (flow.pool, flow.priority): 0
        if is_held or flow.pool in served or flow.pool in held
        else sum(flow.states.get(state, 0) for state in _WAITING)
        for flow in depths.flows
        if any(flow.states.values())
    }


def _rows(census: Iterable[Process]) -> Iterator[Mapping[str, Any]]:
    """Yield what each sender tells of each of its providers."""
    for process in census:
        if process.role == SENDER:
            yield from process.told.get("providers", ())


def _takes(row: Mapping[str, Any]) -> bool:
    return bool(row["available"]) and row["state"] != "probing"


def _held(rows: Iterable[Mapping[str, Any]], pauses: Collection[Pause]) -> set[str]:
    """Return the pools that are paused, and those whose providers all are."""
    members: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        for pool in row["pools"]:
            members[pool].add(row["name"])
    providers = {pause.name for pause in pauses if pause.scale is Scale.PROVIDER}
    return {pause.name for pause in pauses if pause.scale is Scale.POOL} | {
        pool for pool, names in members.items() if names <= providers
    }
