"""The client knows every field that the service's contract names."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from reliable_email_client import Attachment, Message, answers, errors

CONTRACT = json.loads((Path(__file__).parents[4] / "docs" / "openapi.json").read_text())["components"]["schemas"]

READ = {
    "Acceptance": answers.Acceptance,
    "AttachmentSummary": answers.StoredAttachment,
    "Attempt": answers.Attempt,
    "AttemptResult": answers.RecipientResult,
    "Delivery": answers.Delivery,
    "Fault": answers.Fault,
    "HistoryEvent": answers.Event,
    "MessageList": answers.Page,
    "MessageRow": answers.Row,
    "Pause": answers.Pause,
    "PoolView": answers.PoolDepth,
    "Problem": errors.Problem,
    "Provider": answers.Provider,
    "ProviderList": answers.Providers,
    "QueueView": answers.Queue,
    "Reason": answers.Reason,
    "Recipient": answers.Recipient,
    "RecipientReason": answers.Reason,
    "Record": answers.Record,
    "Rehearsal": answers.Validation,
    "RouteStep": answers.RouteStep,
    "Service": answers.Service,
    "StateProblem": errors.Problem,
    "SubmissionProblem": errors.Problem,
    "Waiting": answers.Waiting,
}


@pytest.mark.parametrize("name", READ)
def test_every_field_of_an_answer_is_known(name: str) -> None:
    known = {field.metadata.get("json", field.name) for field in dataclasses.fields(READ[name])}

    assert CONTRACT[name]["properties"].keys() - known == set()


def test_every_field_of_a_message_can_be_said_and_no_other() -> None:
    said: dict[str, Any] = {}
    now = datetime(2026, 12, 1, tzinfo=timezone.utc)
    for pair in ({"send_at": now, "expires_at": now}, {"delay": 1, "ttl": 1}):
        addresses = dict.fromkeys(("to", "cc", "bcc", "reply_to"), "a@example.org")
        files = {"attachments": [Attachment("a", b"")], "headers": {"X-A": "a"}, "metadata": {"a": "a"}, "tags": ["a"]}
        texts = {
            "text": "",
            "html": "",
            "pool": "default",
            "priority": "bulk",
            "on_ambiguous": "fail",
            "from_": "a@b.c",
        }
        said |= Message(subject="", **addresses, **files, **texts, **pair).to_json()  # type: ignore[arg-type]

    assert said.keys() == CONTRACT["Message"]["properties"].keys()


def test_every_field_of_an_attachment_can_be_said_and_no_other() -> None:
    said = Attachment("a", b"", "text/plain", "logo", "inline").to_json()

    assert said.keys() == CONTRACT["Attachment"]["properties"].keys()


def test_every_problem_of_the_contract_is_an_error_of_its_own_or_one_of_its_branch() -> None:
    assert set(errors.BY_CODE) <= set(_codes(CONTRACT))


def _codes(schemas: Any) -> set[str]:
    """Return every text that stands in the contract."""
    if isinstance(schemas, dict):
        return set().union(*map(_codes, schemas.values())) if schemas else set()
    if isinstance(schemas, list):
        return set().union(*map(_codes, schemas)) if schemas else set()
    return {str(schemas)}
