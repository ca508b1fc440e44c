"""One value of a file or a variable, turned into what its key takes: strict, and never with a guess.

A file gives typed values, and none is coerced (a whole number stands for a number, that is all);
a variable gives a text, which is read as the key's type.
"""

from __future__ import annotations

import math
import re
import tomllib
from typing import Any, Final

from shared.domain.message import Address
from shared.mime.addresses import InvalidAddress, parse_address
from shared.settings.shapes import Form, Shape
from shared.settings.variables import Variable

#: Characters of a value that a fault shows.
_SHOWN: Final = 80


class Refused(Exception):
    """A value does not fit its key. `code` and `detail` become those of the fault."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(detail)


def is_absent(shape: Shape, raw: object) -> bool:
    """Whether an optional key is given without a value: an empty text stands for none."""
    return shape.optional and (raw.text if isinstance(raw, Variable) else raw) == ""


def scalar(shape: Shape, raw: object) -> object:
    """Return the value of a key that is no table, list or secret. Raises Refused."""
    value = _convert(shape, raw)
    check_constraints(shape, value)
    return value


def check_constraints(shape: Shape, value: object) -> None:
    """Raise Refused with everything that the value must be and is not. A secret is not quoted."""
    complaints = [complaint for rule in shape.constraints if (complaint := rule.complaint(value))]
    if complaints:
        shown = "" if shape.form in (Form.SECRET, Form.LIST) else f", not {_shown(value)}"
        raise Refused("invalid_value", f"It must {' and '.join(complaints)}{shown}")


def items_of(shape: Shape, raw: object) -> list[Any]:
    """Return the raw values of a list.

    A variable holds words between commas, or a list as TOML writes it; in a file a single
    text stands for a list of one. Raises Refused.
    """
    if isinstance(raw, Variable):
        return _items_of_variable(shape, raw)
    if isinstance(raw, list):
        return raw
    if isinstance(raw, str) and shape.item_table is None:
        return [raw]
    raise wrong_form(shape, raw)


def wrong_form(shape: Shape, raw: object) -> Refused:
    """Return the refusal of a value of another form."""
    if isinstance(raw, Variable):
        return Refused("unknown_key", "It names no key: it ends at a table or inside a key, or leaves out a position")
    return Refused("wrong_type", f"It must be {shape.form.value}, not {_shown(raw)}")


def _items_of_variable(shape: Shape, variable: Variable) -> list[Any]:
    text = variable.text.strip()
    if text.startswith("["):
        try:
            items: list[Any] = tomllib.loads(f"items = {text}")["items"]
        except tomllib.TOMLDecodeError as error:
            raise Refused("not_toml", f"It begins like a list of TOML and is none: {error}") from error
        return items
    if shape.item_table is not None:
        raise Refused("wrong_type", 'It must be a list of tables as TOML writes it: [{name = "…"}]')
    return [Variable(variable.name, word.strip()) for word in text.split(",") if word.strip()]


def _convert(shape: Shape, raw: object) -> object:
    if isinstance(raw, Variable):
        raw = _typed(shape, raw.text)
    match shape.form, raw:
        case Form.FLAG, bool():
            return raw
        case ((Form.INTEGER | Form.NUMBER), bool()):
            raise wrong_form(shape, raw)
        case Form.INTEGER, int():
            return raw
        case Form.NUMBER, int() | float() if math.isfinite(raw):
            return float(raw)
        case Form.TEXT, str():
            return _text(raw)
        case Form.CHOICE, str():
            return _choice(shape, raw)
        case Form.MAILBOX, str():
            return _mailbox(raw)
    raise wrong_form(shape, raw)


def _typed(shape: Shape, text: str) -> object:
    """Return a variable's text as the type of its key where it reads as one, else the text itself."""
    text = text.strip()
    if shape.form is Form.FLAG and text in ("true", "false"):
        return text == "true"
    if shape.form is Form.INTEGER and re.fullmatch(r"[+-]?\d+(_\d+)*", text, re.ASCII):
        return int(text)
    if shape.form is Form.NUMBER and re.fullmatch(r"[+-]?\d+(_\d+)*(\.\d+)?([eE][+-]?\d+)?", text, re.ASCII):
        return float(text)
    return text


def _text(text: str) -> str:
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise Refused("invalid_value", "It holds a control character")
    return text


def _choice(shape: Shape, word: str) -> object:
    if word not in shape.choices:
        words = ", ".join(shape.choices)
        raise Refused("invalid_value", f"It must be one of {words}, not {_shown(word)}")
    return shape.choices[word]


def _mailbox(text: str) -> Address:
    try:
        return parse_address(text)
    except InvalidAddress as error:
        raise Refused("invalid_value", error.detail) from error


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"'{value}'" if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…'"
