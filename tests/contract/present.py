"""The contract as the code has it now, with the limits of an installation without a configuration."""

from __future__ import annotations

from typing import Any, Final
from unittest.mock import MagicMock

import orjson

import reliable_email
from services.frontend.means import rules_of
from services.frontend.openapi import document
from services.frontend.routes import routes
from shared.settings.load import load


def served(prefix: str = "/v1") -> set[tuple[str, str]]:
    """Return method and path of every route below a path; which parts they are made of does not matter."""
    return {(route.method, route.path) for route in routes(MagicMock()) if route.path.startswith(prefix)}


def present() -> dict[str, Any]:
    """Return the contract as a client reads it."""
    made = document(rules_of(load(None, {}, secrets_of=())), served(), reliable_email.__version__)
    read: dict[str, Any] = orjson.loads(orjson.dumps(made))
    return read


def text_of(contract: dict[str, Any]) -> str:
    """Return a contract as the file has it: a change of it is read line by line."""
    return orjson.dumps(contract, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


#: Where the contract is kept that clients rely on.
KEPT: Final = "docs/openapi.json"
