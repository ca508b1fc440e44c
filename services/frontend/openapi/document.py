"""The whole document, put together for the limits of one installation and the routes that it serves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from services.frontend.limits import Rules
from services.frontend.openapi import cluster, messages, problems
from services.frontend.openapi.operations import OPERATIONS, TAGS, Answer, Body, Operation
from services.frontend.openapi.shapes import COMPONENTS, named
from services.frontend.problem_types import PROBLEM_TYPES
from services.frontend.schema import BatchSchema, ChangeSchema, MoveSchema, SubmissionSchema
from services.frontend.schema.attachments import File
from services.frontend.schema.control import PAUSE, TEST
from services.frontend.schema.kinds import JsonSchema
from services.frontend.schema.mail import ADDRESS, Mailbox
from services.frontend.schema.repair import CONDITIONS, SELECTION

#: What is answered, by name.
DEFINITIONS: Final[Mapping[str, JsonSchema]] = {**messages.SCHEMAS, **cluster.SCHEMAS, **problems.SCHEMAS}

_DESCRIPTION: Final = """\
Takes emails, answers once they are on disk, and owes their delivery through whichever provider works.

- Fields are only added. Clients ignore fields that they do not know, and values of open sets that they do not know; \
those sets are marked with `x-extensible-enum` (every `code`, `outcome`, event `type`, `delivery.status`). \
`state`, `priority` and `recipients[].state` are closed sets.
- Answers carry every field, null or empty where it is unknown. In requests null means absent, types are not \
converted, and unknown fields are refused.
- Times leave in UTC with `Z` and three decimals; a time without an offset is refused.
- Actions are idempotent in effect: cancelling what is cancelled answers 200.
- What was not done is told as a problem (RFC 9457) whose `type` is the path of a page that explains it. \
Another method than those described here is answered with 405 and the header `Allow`.
- Where the service has no keys, only its own machine is served, and no `Authorization` is needed.
"""

_HEADERS: Final[Mapping[str, JsonSchema]] = {
    "X-Request-Id": {
        "description": "The id of the request: the client's own, if it sent a sane one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    },
    "Cache-Control": {
        "description": "No answer is kept.",
        "required": True,
        "schema": {"type": "string", "const": "no-store"},
    },
    "Location": {
        "description": "The path of the message's record.",
        "required": True,
        "schema": {"type": "string", "format": "uri-reference"},
    },
    "Idempotent-Replayed": {
        "description": "There where the answer is that of an earlier request under the same key.",
        "schema": {"type": "string", "const": "true"},
    },
    "Retry-After": {
        "description": "How many seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "How to say who asks.",
        "required": True,
        "schema": {"type": "string", "const": "Bearer"},
    },
}
_EVERYWHERE: Final = ("X-Request-Id", "Cache-Control")

_REQUEST_ID: Final[JsonSchema] = {
    "name": "X-Request-Id",
    "in": "header",
    "description": "An id of the client's own for this request, 1 to 64 of `[A-Za-z0-9._-]`; another one is not used.",
    "schema": {"type": "string"},
}


def document(rules: Rules, served: Collection[tuple[str, str]], version: str) -> dict[str, Any]:
    """Return the document; `served` are the methods and paths that the router knows."""
    operations = [operation for operation in OPERATIONS if (operation.method, operation.path) in served]
    paths: dict[str, dict[str, JsonSchema]] = {}
    refusals: dict[str, JsonSchema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, refusals)
    tags = [tag for tag in TAGS if any(operation.tag == tag for operation in operations)]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "reliable-email",
            "version": version,
            "summary": "Emails that are not lost.",
            "description": _DESCRIPTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag, "description": TAGS[tag]} for tag in tags],
        "paths": paths,
        "components": {
            "schemas": _reachable({**_requests(rules), **DEFINITIONS}, [paths, refusals]),
            "responses": refusals,
            "parameters": {"X-Request-Id": _REQUEST_ID},
            "headers": dict(_HEADERS),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of the configuration (`[[frontend.keys]]`).",
                }
            },
        },
        "x-problem-codes": {code: kind.status for code, kind in PROBLEM_TYPES.items()},
    }


def _operation(operation: Operation, refusals: dict[str, JsonSchema]) -> JsonSchema:
    """Return the description of an operation; what it refuses with is put among the `refusals` of all."""
    codes = (*problems.ALWAYS, *(problems.WITH_A_BODY if operation.body else ()), *operation.problems)
    named_answers = problems.answers(codes, operation.problem_schemas)
    refusals.update(named_answers.values())
    described: JsonSchema = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": [*operation.parameters, {"$ref": "#/components/parameters/X-Request-Id"}],
    }
    if operation.body is not None:
        described["requestBody"] = _body(operation.body)
    described["responses"] = {
        **{str(answer.status): _answer(answer) for answer in operation.answers},
        **{status: {"$ref": f"#/components/responses/{name}"} for status, (name, _) in named_answers.items()},
    }
    return described


def _body(body: Body) -> JsonSchema:
    content = {"schema": named(body.schema), "examples": dict(body.examples)}
    return {"required": body.required, "content": dict.fromkeys(body.media_types, content)}


def _answer(answer: Answer) -> JsonSchema:
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in (*_EVERYWHERE, *answer.headers)}
    described: JsonSchema = {"description": answer.meaning, "headers": headers}
    if answer.schema is not None:
        examples = {name: {"value": value} for name, value in answer.examples.items()}
        described["content"] = {"application/json": {"schema": named(answer.schema), "examples": examples}}
    return described


def _requests(rules: Rules) -> dict[str, JsonSchema]:
    """Return what is taken, by name; a definition that stands inside another is only named there."""
    submissions = SubmissionSchema(rules)
    batch = BatchSchema(submissions)
    definitions = {
        "Message": submissions.reader.schema(),
        "Batch": batch.reader.schema(),
        "BatchMessage": batch.message.schema(),
        "Change": ChangeSchema(rules).reader.schema(),
        "Selection": SELECTION.schema(),
        "Conditions": CONDITIONS.schema(),
        "Move": MoveSchema(rules.pools).reader.schema(),
        "PauseRequest": PAUSE.schema(),
        "ProviderTest": TEST.schema(),
        "Mailbox": Mailbox().schema(),
        "MailboxObject": ADDRESS.schema(),
        "Attachment": File(rules.limits.attachments_bytes).schema(),
    }
    return {name: _inside(definition, definitions) for name, definition in definitions.items()}


def _inside(definition: JsonSchema, definitions: Mapping[str, JsonSchema]) -> JsonSchema:
    """Return a definition in which each other one that stands in it is replaced by its name."""
    return {key: _named(value, definitions) for key, value in definition.items()}


def _named(value: object, definitions: Mapping[str, JsonSchema]) -> object:
    if isinstance(value, list):
        return [_named(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    found = next((name for name, definition in definitions.items() if value == definition), None)
    return _inside(value, definitions) if found is None else named(found)


def _reachable(definitions: Mapping[str, JsonSchema], start: object) -> dict[str, JsonSchema]:
    """Return the definitions that are named, by `start` or by one of them, in the order of their names."""
    found: dict[str, JsonSchema] = {}
    waiting = _names(start)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = definitions[name]
            waiting |= _names(definitions[name])
    return dict(sorted(found.items()))


def _names(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].removeprefix(COMPONENTS)} if str(value.get("$ref", "")).startswith(COMPONENTS) else set()
        return own.union(*(_names(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_names(item) for item in value))
    return set()
