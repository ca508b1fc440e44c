"""What a search draws from: a table of actions with weights, and the strategies for their arguments.

Hypothesis draws rules evenly, and leaves some out; a message that is leased, begun and settled
is then a rare event. Here one rule draws from a table, in which what leads on weighs more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from hypothesis import strategies as st

from shared.domain.message import Priority
from shared.domain.outcome import Outcome
from shared.queue.leases import FlowRequest
from shared.queue.pauses import Pause, Scale
from tests.queue.scenario import DAY, HOUR, MINUTE, TRACE

T = TypeVar("T")
Method = TypeVar("Method", bound=Callable[..., None])

POOLS: Final = ("default", "other")
PROVIDERS: Final = ("relay", "ses-eu")
TENANTS: Final = (*["default"] * 9, "other")
PRIORITIES: Final = (Priority.NORMAL, Priority.CRITICAL, Priority.BULK)
EVERY_FLOW: Final = tuple(FlowRequest(pool, priority, 9) for pool in POOLS for priority in PRIORITIES)
#: What may be paused; what holds up least comes first.
PAUSES: Final = (
    *(Pause(Scale.PROVIDER, name) for name in PROVIDERS),
    *(Pause(Scale.POOL, name) for name in POOLS),
    Pause(Scale.EVERYTHING),
)


@dataclass(frozen=True, slots=True)
class Action:
    """Something that can be done: how often, when at all, and with which arguments."""

    weight: int
    when: Callable[[Any], Any]
    arguments: st.SearchStrategy[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Step:
    """One action with its arguments."""

    name: str
    arguments: dict[str, Any]

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        printer.text(f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})")


ACTIONS: Final[dict[str, Action]] = {}


def action(
    weight: int, *, when: Callable[[Any], Any] = lambda _: True, **arguments: st.SearchStrategy[Any]
) -> Callable[[Method], Method]:
    """Declare that the search may do what a method does."""

    def declare(method: Method) -> Method:
        ACTIONS[method.__name__] = Action(weight, when, st.fixed_dictionaries(arguments))
        return method

    return declare


def steps() -> st.SearchStrategy[Step]:
    """Return a strategy for the next step. Hypothesis' own choice of rules knows no weights."""
    possible = at_machine(lambda machine: machine.possible())
    return possible.flatmap(lambda name: ACTIONS[name].arguments.map(lambda arguments: Step(name, arguments)))


def at_machine(choose: Callable[[Any], Sequence[T]]) -> st.SearchStrategy[T]:
    """Return a strategy that draws from what the running machine offers."""
    return st.runner().flatmap(lambda machine: st.sampled_from(choose(machine)))


def some(strategy: st.SearchStrategy[T], most: int) -> st.SearchStrategy[list[T]]:
    return st.lists(strategy, min_size=1, max_size=most)


hands = at_machine(lambda machine: machine.hands_likely())
free = at_machine(lambda machine: machine.hands_free() * 8 + machine.hands)
in_flight = at_machine(lambda machine: machine.hands_in_flight() * 8 + machine.hands)
lost = at_machine(lambda machine: machine.hands_lost())
waiting = at_machine(lambda machine: machine.ids_likely(are_live=True))
ended = at_machine(lambda machine: machine.ids_likely(are_live=False))
outcomes = st.sampled_from(sorted(Outcome))
shards = at_machine(lambda machine: range(machine.queue.core.shards))
pauses = st.sampled_from(PAUSES)
paused = at_machine(lambda machine: [pause for pause in PAUSES if pause.what in machine.service.paused()])
limits = st.sampled_from([250, 1, 2])
instants = at_machine(lambda machine: [machine.now + ahead for ahead in (MINUTE, 1, HOUR, 0, -MINUTE)])
durations = st.sampled_from([MINUTE, 1, HOUR, 0])

submitted = st.fixed_dictionaries(
    {
        "recipients": st.integers(1, 3),
        "tenant": st.sampled_from(TENANTS),
        "pool": st.sampled_from(POOLS),
        "priority": st.sampled_from(PRIORITIES),
        "fails_on_doubt": st.booleans(),
        "is_large": st.integers(0, 4).map(lambda number: number == 4),
        "trace": st.sampled_from([None, TRACE]),
    },
    optional={
        "send": st.one_of(instants.map(lambda at: ("send_at", at)), durations.map(lambda ms: ("delay_ms", ms))),
        "end": st.one_of(
            st.just(("ttl_ms", DAY)),
            st.sampled_from([MINUTE, 1, HOUR]).map(lambda ms: ("ttl_ms", ms)),
            instants.map(lambda at: ("expires_at", at)),
        ),
        "key": st.tuples(st.sampled_from("ab"), st.sampled_from("xxy")),
    },
)

flows = st.lists(
    st.builds(
        FlowRequest, st.sampled_from(POOLS), st.sampled_from(PRIORITIES), st.sampled_from([9, 1, 0]), st.booleans()
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda request: (request.pool, request.priority),
)
