"""Bodies that clients might send, and rules to judge them by."""

from __future__ import annotations

from typing import Any, Final

from services.frontend.limits import Limits, Rules
from services.frontend.schema import SubmissionSchema
from shared.domain.errors import Fault
from shared.domain.message import Submission

#: 2026-11-24T11:02:07.114Z.
NOW: Final = 1_795_518_127_114

RULES: Final = Rules(pools=frozenset({"default", "sandbox"}))
SCHEMA: Final = SubmissionSchema(RULES)


def body(**fields: object) -> dict[str, Any]:
    """Return a good body with some fields replaced, or left out where they are `...`."""
    whole: dict[str, object] = {
        "from": "shop@example.com",
        "to": "ada@example.org",
        "subject": "Your receipt 1042",
        "text": "Thank you.",
        **fields,
    }
    return {name: value for name, value in whole.items() if value is not ...}


def attachment(**fields: object) -> dict[str, Any]:
    """Return a good attachment with some fields replaced, or left out where they are `...`."""
    whole: dict[str, object] = {"filename": "receipt.pdf", "content": "JVBERi0xLjcK", **fields}
    return {name: value for name, value in whole.items() if value is not ...}


def submit(given: object, *, schema: SubmissionSchema = SCHEMA, key: str | None = None) -> Submission:
    """Return the submission that a body makes; it must make one."""
    result = schema.read(given, NOW, key)
    assert isinstance(result, Submission), result
    return result


def refuse(given: object, *, schema: SubmissionSchema = SCHEMA, key: str | None = None) -> tuple[Fault, ...]:
    """Return what is wrong with a body; something must be."""
    result = schema.read(given, NOW, key)
    assert isinstance(result, tuple), result
    return result


def places(faults: tuple[Fault, ...]) -> list[tuple[str, str]]:
    """Return code and place of each fault."""
    return [(fault.code, fault.where) for fault in faults]


def schema_with(**limits: int) -> SubmissionSchema:
    """Return the schema of an installation with other limits."""
    return SubmissionSchema(Rules(limits=Limits(**limits)))
