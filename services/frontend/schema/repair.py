"""The bodies of what is done to many messages at once: requeue, delete, move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.frontend.limits import BULK
from services.frontend.schema.fields import filter_fields, move_fields, selection_fields
from services.frontend.schema.kinds import JsonSchema
from services.frontend.schema.objects import Reader
from services.frontend.schema.refusal import Faults, moved, refused
from shared.domain.errors import Fault
from shared.domain.states import DEAD, State


@dataclass(frozen=True, slots=True)
class Ids:
    """Messages by their ids, as the client wrote them: what is no id of ours is a 404 of its own."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """Dead letters by what they have in common; at most `limit` of them. None holds for all."""

    states: tuple[State, ...] = DEAD
    pool: str | None = None
    finished_before: int | None = None
    limit: int = BULK


@dataclass(frozen=True, slots=True)
class Move:
    """All that waits in pool `source` goes to pool `target`; `cursor` goes on where a call ended."""

    source: str
    target: str
    cursor: str | None = None


class _Conditions:
    """A filter with at least one condition: an empty one would mean every dead letter there is."""

    reader: Final = Reader(filter_fields())

    def read(self, value: object) -> dict[str, object]:
        """Return the conditions under the names of `Filter`."""
        values = self.reader.read(value)
        if not values:
            raise refused("missing", f"At least one condition is required: {', '.join(sorted(self.reader.names))}")
        return {"states" if name == "state" else name: condition for name, condition in values.items()}

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {**self.reader.schema(), "minProperties": 1}


#: Reads what a filter holds.
CONDITIONS: Final = _Conditions()
#: Reads the body of `POST /v1/messages/requeue` and `/delete`.
SELECTION: Final = Reader(selection_fields(CONDITIONS))


def read_selection(body: object) -> Ids | Filter | Faults:
    """Return the messages that a requeue or a delete is about, or everything that is wrong with the body."""
    values, faults = SELECTION.examine(body)
    if type(body) is dict:
        ids, conditions, limit = (body.get(name) is not None for name in ("ids", "filter", "limit"))
        if ids == conditions:
            faults.append(Fault("/filter", "conflict" if ids else "missing", "Give either 'ids' or 'filter'"))
        elif ids and limit:
            faults.append(Fault("/limit", "conflict", "'limit' goes with 'filter'; of 'ids' all are meant"))
    if faults:
        return tuple(moved(faults, "#"))
    if "ids" in values:
        return Ids(values["ids"])
    return Filter(**values["filter"], limit=values.get("limit", BULK))


class MoveSchema:
    """Reads moves from pool to pool by the rules of this installation."""

    def __init__(self, pools: frozenset[str]) -> None:
        self.reader: Final = Reader(move_fields(pools))

    def read(self, body: object) -> Move | Faults:
        """Return the move that a parsed JSON body asks for, or everything that is wrong with it."""
        values, faults = self.reader.examine(body)
        if type(body) is dict:
            faults += self.reader.missing(body)
            if "to" in values and values["to"] == values.get("from"):
                faults.append(Fault("/to", "conflict", "'from' and 'to' are the same pool"))
        if faults:
            return tuple(moved(faults, "#"))
        return Move(source=values["from"], target=values["to"], cursor=values.get("cursor"))
