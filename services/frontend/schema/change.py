"""A change to a message that waits: a merge patch (RFC 7396) of when, how urgently and by whom it is sent."""

from __future__ import annotations

from typing import Final, TypedDict, cast

from services.frontend.limits import Rules
from services.frontend.schema.fields import change_fields
from services.frontend.schema.objects import Reader
from services.frontend.schema.refusal import Faults, moved, wrong_type
from services.frontend.schema.submission import judge_instants
from shared.domain.message import Priority

#: What null means something for: now, and never. Elsewhere a change must bring a value.
_NULLABLE: Final = ("send_at", "expires_at")


class Changes(TypedDict, total=False):
    """What is to be changed, by name; what is not there stays as it is.

    `send_at` None is now, `expires_at` None is never. The fields are those of the queue's own
    `Change`, which this folder may not know.
    """

    send_at: int | None
    expires_at: int | None
    priority: Priority
    pool: str


class ChangeSchema:
    """Reads changes by the rules of this installation."""

    def __init__(self, rules: Rules) -> None:
        self._schedule_days: Final = rules.limits.schedule_days
        self.reader: Final = Reader(change_fields(rules.pools))

    def read(self, body: object, now_ms: int) -> Changes | Faults:
        """Return what a parsed JSON body wants changed, or everything that is wrong with it."""
        values, faults = self.reader.examine(body)
        if type(body) is dict:
            nulls = [name for name in self.reader.names if name in body and body[name] is None]
            for name in nulls:
                if name not in _NULLABLE:
                    faults += wrong_type("a string", None).below(name)
            values |= dict.fromkeys(nulls)
            faults += judge_instants(values, now_ms, self._schedule_days)
        return tuple(moved(faults, "#")) if faults else cast("Changes", values)
