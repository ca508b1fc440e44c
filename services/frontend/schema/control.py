"""The bodies of what holds up providers, pools or everything, and of what puts one provider to the test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from services.frontend.schema.fields import pause_fields, test_fields
from services.frontend.schema.objects import Reader
from services.frontend.schema.refusal import Faults, moved
from services.frontend.schema.submission import SubmissionSchema
from shared.domain.errors import Fault
from shared.domain.message import Address, Priority, Submission

#: A test that arrives much later says nothing any more.
_TEST_TTL_SECONDS: Final = 3_600
_TEST_TAG: Final = "provider-test"
_TEST_TEXT: Final = """\
This is a test message. It was sent through the provider {!r}, and through no other.
That it arrived says that the provider takes messages, and delivers them to you.
"""


@dataclass(frozen=True, slots=True)
class PauseWish:
    """Nothing begins from now on, until somebody resumes it, or until `until`."""

    reason: str = ""
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """Somebody gets a message through one provider."""

    to: Address
    sender: Address


#: Reads the body of every pause.
PAUSE: Final = Reader(pause_fields())
#: Reads the body of `POST /v1/providers/{name}/test`.
TEST: Final = Reader(test_fields())


def read_pause(body: object) -> PauseWish | Faults:
    """Return the pause that a parsed JSON body asks for, or everything that is wrong with it."""
    values, faults = PAUSE.examine(body)
    return tuple(moved(faults, "#")) if faults else PauseWish(**values)


def read_test(body: object, default_from: Address | None) -> Trial | Faults:
    """Return the test that a parsed JSON body asks for, or everything that is wrong with it."""
    values, faults = TEST.examine(body)
    if type(body) is dict:
        faults += TEST.missing(body)
        if default_from is None and body.get("from") is None:
            faults.append(Fault("/from", "missing", "'from' is required: the service has no sender of its own"))
    sender = values.get("from", default_from)
    if faults or sender is None:
        return tuple(moved(faults, "#"))
    return Trial(values["to"], sender)


def compose_test(wish: Trial, provider: str, pool: str, schema: SubmissionSchema) -> Submission:
    """Return the message that puts one provider to the test: routing is passed by, limits are not."""
    values = {
        "from": wish.sender,
        "to": (wish.to,),
        "subject": f"Test of the provider {provider}",
        "text": _TEST_TEXT.format(provider),
        "tags": (_TEST_TAG,),
        "priority": Priority.HIGH,
        "pool": pool,
        "ttl_seconds": _TEST_TTL_SECONDS,
    }
    submission = schema.build(values, values)
    return replace(submission, envelope=replace(submission.envelope, pinned_to=provider))
