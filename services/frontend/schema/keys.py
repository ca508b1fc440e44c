"""Idempotency keys: when two are the same, and what a message is recognised by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import orjson

from services.frontend.limits import KEY_LENGTH
from services.frontend.schema.kinds import JsonSchema
from services.frontend.schema.refusal import refused, wrong_type

#: RFC 5234, appendix B.1: VCHAR. Anything else does not pass through every header unharmed.
_VISIBLE: Final = re.compile(rf"[!-~]{{1,{KEY_LENGTH}}}")
#: RFC 9651, section 3.3.3: a string, in which a backslash stands before a quote or another backslash.
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
_ESCAPED: Final = re.compile(r"\\([\"\\])")

#: Both forms of a key in one pattern, for its description.
_EITHER_FORM: Final = rf'^(?:[!#-~][!-~]{{0,{KEY_LENGTH - 1}}}|"(?:[!#-\[\]-~]|\\["\\]){{1,{KEY_LENGTH}}}")$'

FIELD: Final = "idempotency_key"
HEADER: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key of 1 to 255 visible characters, bare or as a quoted string of a structured field."""

    def read(self, value: object) -> str:
        """Return the key without quotes (RFC 9651, section 3.3.3, says what they do)."""
        if type(value) is not str:
            raise wrong_type("a string", value)
        key = value
        if key.startswith('"'):
            quoted = _QUOTED.fullmatch(key)
            if quoted is None:
                detail = "A key that begins with a quotation mark ends with the next one; nothing stands behind it"
                raise refused("bad_quotes", detail)
            key = _ESCAPED.sub(r"\1", quoted[1])
        if not key:
            raise refused("missing", "An idempotency key has at least one character; leave it out to have none")
        if len(key) > KEY_LENGTH:
            raise refused("too_long", f"Has {len(key):,} characters; {KEY_LENGTH} are allowed")
        if _VISIBLE.fullmatch(key) is None:
            raise refused(
                "forbidden_character", "An idempotency key is made of visible ASCII characters, without spaces"
            )
        return key

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "string", "pattern": _EITHER_FORM}


def fingerprint(body: Mapping[str, object]) -> str:
    """Return what tells two messages under one key apart: SHA-256 of the client's own JSON without the key.

    Neither the order of names makes a difference nor a null, which means at any depth that a field is absent.
    """
    content = _without_nulls({name: value for name, value in body.items() if name != FIELD})
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _without_nulls(value: object) -> object:
    if type(value) is dict:
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if type(value) is list:
        return [_without_nulls(item) for item in value]
    return value
