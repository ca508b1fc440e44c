"""What a change of the contract breaks for clients is told in a sentence; what breaks nothing is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from tests import docs
from tests.contract.compatibility import breaks
from tests.contract.definitions import whole
from tests.contract.present import KEPT, present

WHOLE = whole()
QUEUE_FULL = "Problem.rate_limited.quota_exceeded.queue_full"

IN_VAIN = "clients that wait for it wait in vain."

Change = Callable[[Any, Any], object]


def told(change: Change) -> list[str]:
    """Return what is told of the contract after a change of it, which is given its definitions beside it."""
    after = copy.deepcopy(WHOLE)
    change(after, after["components"]["schemas"])
    return breaks(WHOLE, after)


def test_the_present_contract_breaks_nothing_of_the_one_that_is_kept() -> None:
    kept = orjson.loads((docs.ROOT / KEPT).read_bytes())

    assert breaks(kept, present()) == []


def test_a_contract_is_compatible_with_itself() -> None:
    assert breaks(WHOLE, WHOLE) == []


def test_a_contract_that_would_break_clients_is_not_written_unless_that_is_meant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = present()
    del broken["paths"]["/v1/queue"]
    monkeypatch.setattr(docs, "present", lambda: broken)
    monkeypatch.setattr(docs, "expected", dict)  # nothing is written in a test

    with pytest.raises(SystemExit, match="`GET /v1/queue` is gone"):
        docs.main()
    docs.main("--accept-breaking")


BREAKS: dict[str, tuple[Change, str]] = {
    "a path removed": (
        lambda it, _: it["paths"].pop("/v1/queue"),
        "`GET /v1/queue` is gone: clients that call it are refused.",
    ),
    "a method removed": (
        lambda it, _: it["paths"]["/v1/messages/{id}"].pop("delete"),
        "`DELETE /v1/messages/{id}` is gone: clients that call it are refused.",
    ),
    "a field of an answer renamed": (
        lambda _, its: rename(its["Acceptance"], "id", "message_id"),
        "`id` in 202 of `POST /v1/messages` is gone.",
    ),
    "a field of an answer not always there": (
        lambda _, its: its["Record"]["required"].remove("events"),
        "`events` in 200 of `GET /v1/messages/{id}` may be missing now.",
    ),
    "a field of an answer of another type": (
        lambda _, its: its["Record"]["properties"]["requeues"].update(type="string"),
        "`requeues` in 200 of `GET /v1/messages/{id}` may be a string now, for which clients are not made.",
    ),
    "a field of an answer that may be null": (
        lambda _, its: its["Attempt"]["properties"]["provider"].update(type=["string", "null"]),
        "`attempts[].provider` in 200 of `GET /v1/messages/{id}` may be null now, for which clients are not made.",
    ),
    "a value of a closed set of an answer taken out": (
        lambda _, its: its["Recipient"]["properties"]["state"]["enum"].remove("expired"),
        "`recipients[].state` in 200 of `GET /v1/messages/{id}` is never `expired` any more: " + IN_VAIN,
    ),
    "a value put into a closed set of an answer": (
        lambda _, its: its["Recipient"]["properties"]["state"]["enum"].append("lost"),
        "`recipients[].state` in 200 of `GET /v1/messages/{id}` may be `lost` now, and was a closed set without it.",
    ),
    "a value of an open set taken out": (
        lambda _, its: its["Waiting"]["properties"]["code"]["x-extensible-enum"].remove("backoff"),
        "`waiting.code` in 200 of `GET /v1/messages/{id}` is never `backoff` any more: " + IN_VAIN,
    ),
    "a code dropped": (
        lambda it, _: it["x-problem-codes"].pop("queue_full"),
        "There is no problem `queue_full` any more: clients that handle it wait in vain.",
    ),
    "a code dropped from an operation": (
        lambda it, _: it["components"]["responses"][QUEUE_FULL]["x-problem-codes"].remove("queue_full"),
        "`POST /v1/messages` does not answer 429 with the code `queue_full` any more.",
    ),
    "a code with another status": (
        lambda it, _: it["x-problem-codes"].update(queue_full=503),
        "The problem `queue_full` comes with status 503 instead of 429.",
    ),
    "a header dropped": (
        lambda it, _: it["paths"]["/v1/messages"]["post"]["responses"]["202"]["headers"].pop("Location"),
        "202 of `POST /v1/messages` has lost the header `Location`.",
    ),
    "a good answer dropped": (
        lambda it, _: it["paths"]["/v1/messages/{id}/cancel"]["post"]["responses"].pop("202"),
        "`POST /v1/messages/{id}/cancel` does not answer 202 any more.",
    ),
    "a field of a request renamed": (
        lambda _, its: rename(its["Message"], "tags", "labels"),
        "`tags` in `POST /v1/messages` is not taken any more: requests with it are refused.",
    ),
    "a field of a request newly required": (
        lambda _, its: its["Message"]["required"].append("text"),
        "`text` in `POST /v1/messages` is required: requests without it are refused.",
    ),
    "a field of a request of another type": (
        lambda _, its: its["Message"]["properties"]["ttl_seconds"].update(type="string"),
        "`ttl_seconds` in `POST /v1/messages` may not be an integer any more.",
    ),
    "a value of a request taken out": (
        lambda _, its: its["Message"]["properties"]["priority"]["enum"].remove("bulk"),
        "`priority` in `POST /v1/messages` may not be `bulk` any more.",
    ),
    "a form of a request taken out": (
        lambda _, its: its["Mailbox"]["oneOf"].pop(),
        "`to` in `POST /v1/messages` may not be an object any more.",
    ),
    "a bound of a request tightened": (
        lambda _, its: its["Message"]["properties"]["tags"].update(maxItems=5),
        "`tags` in `POST /v1/messages` must hold at most 5.",
    ),
    "a pattern of a request changed": (
        lambda _, its: its["Message"]["properties"]["pool"].update(pattern="^[a-z]$"),
        "`pool` in `POST /v1/messages` must keep another pattern: `^[a-z]$`.",
    ),
    "a parameter dropped": (
        lambda it, _: it["paths"]["/v1/messages"]["get"]["parameters"].pop(1),
        "`GET /v1/messages` does not take the query parameter `limit` any more.",
    ),
    "a parameter newly required": (
        lambda it, _: it["paths"]["/v1/messages"]["get"]["parameters"][0].update(required=True),
        "`GET /v1/messages` demands the query parameter `state`: requests without it are refused.",
    ),
    "a media type dropped": (
        lambda it, _: it["paths"]["/v1/messages/{id}"]["patch"]["requestBody"]["content"].pop("application/json"),
        "`PATCH /v1/messages/{id}` does not take `application/json` any more.",
    ),
    "an operation with another name": (
        lambda it, _: it["paths"]["/v1"]["get"].update(operationId="describe"),
        "`GET /v1` has the operation id `describe`: generated clients name it anew.",
    ),
}

HARMLESS: dict[str, Change] = {
    "a path added": lambda it, _: it["paths"].update({"/v1/events": it["paths"]["/v1/queue"]}),
    "a field added to an answer": lambda _, its: its["Record"]["properties"].update(color={"type": "string"}),
    "a field added to a request": lambda _, its: its["Message"]["properties"].update(color={"type": "string"}),
    "a value added to an open set": lambda _, its: its["Waiting"]["properties"]["code"]["x-extensible-enum"].append(
        "x"
    ),
    "a value added to a request": lambda _, its: its["Change"]["properties"]["priority"]["enum"].append("idle"),
    "a bound of a request loosened": lambda _, its: its["Message"]["properties"]["tags"].update(maxItems=50),
    "a null that no answer has any more": lambda _, its: its["Attempt"]["properties"]["outcome"].update(type="string"),
    "a code added": lambda it, _: it["x-problem-codes"].update(teapot=418),
    "other words": lambda it, _: it["info"].update(description="Mail."),
}


@pytest.mark.parametrize(("change", "sentence"), BREAKS.values(), ids=BREAKS)
def test_what_breaks_a_client_is_told_in_a_sentence(change: Change, sentence: str) -> None:
    assert sentence in told(change)


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_breaks_no_client_is_not_told(change: Change) -> None:
    assert told(change) == []


def rename(definition: dict[str, Any], old: str, new: str) -> None:
    definition["properties"][new] = definition["properties"].pop(old)
    if old in definition["required"]:
        definition["required"][definition["required"].index(old)] = new
