"""How a reader says what is wrong: faults that know their place below the value that was read.

A reader returns what it read or raises `Refused`; whoever handed it a part of something larger
puts that part's own name before the place of each fault. So a place is made only where a fault
is, and there is one way through a body, good or bad.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from shared.domain.errors import Fault, ReliableEmailError

#: Everything that is wrong with a request; never empty where it stands for a refusal.
Faults = tuple[Fault, ...]

_SHOWN: Final = 60

#: A name that is longer does not stand in a pointer.
_LONGEST_TOKEN: Final = 255

#: What RFC 3986, section 3.5, lets stand in a fragment beside letters, digits and `-._~`.
_FRAGMENT: Final = "/?:@!$&'()*+,;="

_NAMES: Final = {
    bool: "a truth value",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class Refused(ReliableEmailError):
    """A value is not what it should be. `faults` names every reason, each at its place below the value."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        super().__init__(faults)

    def below(self, token: str | int) -> list[Fault]:
        """Return the faults as seen by what holds the value under `token`, a name or a position.

        A pointer is whole or it points elsewhere: below a name that is too long for one, the
        faults lie at what holds it.
        """
        name = str(token)
        if len(name) > _LONGEST_TOKEN:
            return [Fault("", fault.code, fault.detail) for fault in self.faults]
        return moved(self.faults, "/" + escaped(name))


def refused(code: str, detail: str, where: str = "") -> Refused:
    """Return a refusal for one reason."""
    return Refused([Fault(where, code, detail)])


def wrong_type(wanted: str, value: object) -> Refused:
    """Return the refusal of a value of another JSON type; nothing is ever converted."""
    return refused("wrong_type", f"Must be {wanted}, not {_NAMES.get(type(value), 'something else')}")


def moved(faults: Iterable[Fault], prefix: str) -> list[Fault]:
    """Return the faults with `prefix` before the place of each."""
    return [Fault(prefix + fault.where, fault.code, fault.detail) for fault in faults]


def escaped(token: str) -> str:
    """Return a name as it stands in a JSON pointer inside a URI fragment (RFC 6901, sections 3 and 6)."""
    return quote(token.replace("~", "~0").replace("/", "~1"), safe=_FRAGMENT)


def shown(text: str) -> str:
    """Return a client's text in quotation marks, as far as it fits into a sentence."""
    cut = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return "'" + "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in cut) + "'"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, "1 recipient" or "2 recipients"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
