"""From parsed JSON to values of the domain, or to everything that is wrong with it.

The law of this folder: no I/O, no clock, no randomness; `now_ms` is an argument. The fields of
every body stand in one table (`fields.py`) that reads it and describes it. Nothing is converted,
null means absent, and what is not in the table is refused.
"""

from services.frontend.schema.batch import Batch, BatchSchema
from services.frontend.schema.change import Changes, ChangeSchema
from services.frontend.schema.keys import fingerprint
from services.frontend.schema.refusal import Faults
from services.frontend.schema.rehearsal import Rehearsal, rehearse
from services.frontend.schema.repair import Filter, Ids, Move, MoveSchema, read_selection
from services.frontend.schema.submission import SubmissionSchema

__all__ = [
    "Batch",
    "BatchSchema",
    "ChangeSchema",
    "Changes",
    "Faults",
    "Filter",
    "Ids",
    "Move",
    "MoveSchema",
    "Rehearsal",
    "SubmissionSchema",
    "fingerprint",
    "read_selection",
    "rehearse",
]
