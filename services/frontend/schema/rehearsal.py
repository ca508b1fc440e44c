"""What would become of a message, judged by the very rules of a submission."""

from __future__ import annotations

from dataclasses import dataclass

from services.frontend.schema.refusal import Faults
from services.frontend.schema.submission import SubmissionSchema
from shared.domain.message import Submission
from shared.policy.routes import route_for


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The pool that a message would go to, and the position of the route that leads there; or what is wrong with it.

    `route` is None where the message names its pool, or meets no route.
    """

    pool: str | None = None
    route: int | None = None
    faults: Faults = ()


def rehearse(schema: SubmissionSchema, body: object, now_ms: int, header_key: str | None = None) -> Rehearsal:
    """Return what `schema` would make of a parsed JSON body."""
    read = schema.read(body, now_ms, header_key)
    if not isinstance(read, Submission):
        return Rehearsal(faults=read)
    if isinstance(body, dict) and body.get("pool") is not None:
        return Rehearsal(read.pool)
    met = route_for(read.envelope, read.priority, schema.rules.routes)
    return Rehearsal(read.pool, None if met is None else met[0])
