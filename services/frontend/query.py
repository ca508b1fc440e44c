"""Query parameters, and the cursors that go on where a list ended."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import orjson

from services.frontend.schema.refusal import Faults, shown
from services.frontend.schema.suggest import Suggester, did_you_mean
from shared.domain.errors import Fault, ReliableEmailError
from shared.domain.states import DEAD, State
from shared.queue.views import Position

DEFAULT_LIMIT: Final = 50
MOST: Final = 200

LONGEST_CURSOR: Final = 512
_PARAMETERS: Final = ("state", "limit", "cursor")

#: Parameters as they stand in the query, in their order, repeated ones repeated.
Parameters = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which messages a list shows: those in `states`, newest first, at most `limit`, behind `after`."""

    states: tuple[State, ...] = DEAD
    limit: int = DEFAULT_LIMIT
    after: Position | None = None

    def next_cursor(self, position: Position | None) -> str | None:
        """Return the cursor of the page behind `position`, None where the list has ended."""
        return None if position is None else encode_cursor(position, self.states)


class BadCursor(ReliableEmailError):
    """A text is no cursor of this list. `code` says whether it is one of another list."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


def read_list_query(parameters: Parameters) -> ListQuery | Faults:
    """Return what a list of messages was asked for, or everything that is wrong with the parameters."""
    given, faults = _known(parameters, _PARAMETERS)
    faults += _repeated(given, ("limit", "cursor"))
    states = _states(given.get("state", []), faults)
    limit = _limit(given.get("limit", []), faults)
    after = None
    if not faults and (cursor := given.get("cursor")) is not None:
        try:
            after = decode_cursor(cursor[0], states)
        except BadCursor as error:
            faults.append(Fault("?cursor", error.code, error.detail))
    return tuple(faults) if faults else ListQuery(states, limit, after)


def refuse_parameters(parameters: Parameters) -> Faults:
    """Return a fault for each parameter, where none is taken."""
    return tuple(_known(parameters, ())[1])


def encode_cursor(position: Position, states: Collection[State]) -> str:
    """Return a text that leads back to a position in the list of messages in `states`, and only there."""
    packed = orjson.dumps([_binding(states), position.finished_at, position.id])
    return urlsafe_b64encode(packed).decode().rstrip("=")


def decode_cursor(cursor: str, states: Collection[State]) -> Position:
    """Return the position that a cursor leads to. Raises BadCursor."""
    no_cursor = BadCursor("bad_parameter", "Is no cursor of this service; use `next_cursor` as it came")
    if len(cursor) > LONGEST_CURSOR or not cursor.isascii():
        raise no_cursor
    try:
        unpacked = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise no_cursor from None
    match unpacked:
        # Not `int(finished_at)`, which takes true and false as well.
        case [str(binding), finished_at, str(message_id)] if type(finished_at) is int and 0 <= finished_at < 1 << 53:
            if binding != _binding(states):
                raise BadCursor("cursor_mismatch", "Belongs to a list with other filters than these")
            return Position(finished_at, message_id)
        case _:
            raise no_cursor


def _binding(states: Collection[State]) -> str:
    return sha256(" ".join(sorted(states)).encode()).hexdigest()[:8]


def _known(parameters: Parameters, names: Collection[str]) -> tuple[dict[str, list[str]], list[Fault]]:
    given: dict[str, list[str]] = {}
    faults = []
    for name, value in parameters:
        if name in names:
            given.setdefault(name, []).append(value)
        else:
            hint = did_you_mean(Suggester(names), name)
            faults.append(Fault(f"?{name[:64]}", "bad_parameter", f"There is no parameter {shown(name)} here.{hint}"))
    return given, faults


def _repeated(given: dict[str, list[str]], names: Iterable[str]) -> list[Fault]:
    return [
        Fault(f"?{name}", "bad_parameter", "Is given more than once") for name in names if len(given.get(name, ())) > 1
    ]


def _states(values: list[str], faults: list[Fault]) -> tuple[State, ...]:
    allowed = {state.value: state for state in DEAD}
    for value in values:
        if value not in allowed:
            detail = f"{shown(value)} is none of {', '.join(allowed)}"
            faults.append(Fault("?state", "bad_parameter", detail))
    # In the order of DEAD, each once: the same filter makes the same cursor however it is written.
    return tuple(state for state in DEAD if state in values) or DEAD


def _limit(values: list[str], faults: list[Fault]) -> int:
    if not values:
        return DEFAULT_LIMIT
    value = values[0]
    if value.isascii() and value.isdigit() and len(value) <= len(str(MOST)) and 1 <= int(value) <= MOST:
        return int(value)
    faults.append(Fault("?limit", "bad_parameter", f"Must be a whole number between 1 and {MOST}"))
    return DEFAULT_LIMIT
