"""What a value must be beyond its type: marks that stand in `Annotated` beside the type of a key.

A mark is anything with the two methods of `Constraint`; the loader asks it about a value, the
JSON Schema asks it for its own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, runtime_checkable

from shared.domain.ids import MAX_SHARDS
from shared.domain.secret import Secret
from shared.mime.addresses import InvalidAddress, check_email

_LARGEST_INTEGER = 2**53 - 1


@runtime_checkable
class Constraint(Protocol):
    """A condition on one value."""

    def complaint(self, value: Any) -> str | None:  # noqa: ANN401 - of the type that the mark stands beside
        """Return what the value must be where it is not; it ends a sentence that begins with "It must"."""
        ...

    def schema(self) -> dict[str, Any]:
        """Return the same condition in the words of JSON Schema 2020-12."""
        ...


class NotAKey:
    """Marks a field that the configuration does not name: the service itself fills it in."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number lies from `lowest` to `highest`, both included; `above` excludes its own value."""

    lowest: float | None = None
    highest: float | None = None
    above: float | None = None

    def complaint(self, value: float) -> str | None:
        """Return the allowed span where the number lies outside."""
        low = self.lowest is None or value >= self.lowest
        open_low = self.above is None or value > self.above
        high = self.highest is None or value <= self.highest
        return None if low and open_low and high else f"be {self._span()}"

    def schema(self) -> dict[str, Any]:
        """Return `minimum`, `exclusiveMinimum` and `maximum`."""
        words = {"minimum": self.lowest, "exclusiveMinimum": self.above, "maximum": self.highest}
        return {word: value for word, value in words.items() if value is not None}

    def _span(self) -> str:
        start = f"above {self.above}" if self.above is not None else f"at least {self.lowest}"
        if self.highest is None:
            return start
        end = f"at most {self.highest}"
        return end if self.lowest is None and self.above is None else f"{start} and {end}"


@dataclass(frozen=True, slots=True)
class Matching:
    """A text matches `pattern` from its first character to its last; `meaning` says so in words."""

    pattern: str
    meaning: str

    def complaint(self, value: str) -> str | None:
        """Return the meaning where the text does not match."""
        return None if re.fullmatch(self.pattern, value) else f"be {self.meaning}"

    def schema(self) -> dict[str, Any]:
        """Return `pattern`, anchored."""
        return {"pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A text is empty or one address without a name, `local@domain`."""

    def complaint(self, value: str) -> str | None:
        """Return the condition where the text is neither."""
        try:
            _ = value and check_email(value)
        except InvalidAddress as error:
            return f"be empty or an address ({error.detail})"
        return None

    def schema(self) -> dict[str, Any]:
        """Return a rough pattern: what exactly an address is cannot be said in JSON Schema."""
        return {"pattern": "^(?:[^@]+@[^@]+)?$"}


@dataclass(frozen=True, slots=True)
class Unique:
    """A list holds at least one value and none twice."""

    def complaint(self, value: tuple[object, ...]) -> str | None:
        """Return the condition where the list is empty or repeats itself."""
        return None if value and len(set(value)) == len(value) else "name at least one, and none twice"

    def schema(self) -> dict[str, Any]:
        """Return `minItems` and `uniqueItems`."""
        return {"minItems": 1, "uniqueItems": True}


@dataclass(frozen=True, slots=True)
class Strong:
    """A secret that strangers may guess at is long, and can stand in an HTTP header."""

    length: int

    def complaint(self, value: Secret) -> str | None:
        """Return the condition where the secret is short or holds more than visible ASCII."""
        if re.fullmatch(rf"[!-~]{{{self.length},}}", value.reveal()):
            return None
        return f"be at least {self.length} visible ASCII characters (`openssl rand -hex 32` makes one)"

    def schema(self) -> dict[str, Any]:
        """Return nothing: a secret does not stand in the file."""
        return {}


_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

Name = Annotated[str, Matching(r"[a-z0-9-]{1,32}", "1 to 32 characters of a-z, 0-9 and -")]
Domain = Annotated[str, Matching(rf"{_LABEL}(?:\.{_LABEL})*", "a domain in ASCII (an international one as xn--…)")]
OptionalDomain = Annotated[str, Matching(rf"(?:{_LABEL}(?:\.{_LABEL})*)?", "empty or a domain in ASCII (xn--…)")]
OptionalMailbox = Annotated[str, Mailbox()]
Host = Annotated[str, Matching(r"[^\s/]+", "a host name or an IP address")]
Url = Annotated[str, Matching(r"https?://[^\s@]+", "an http or https URL without credentials")]
Prefix = Annotated[str, Matching(r"[A-Za-z0-9_.-]{1,32}", "1 to 32 characters of A-Z, a-z, 0-9, _, . and -")]
Port = Annotated[int, Between(0, 65_535)]
Shards = Annotated[int, Between(1, MAX_SHARDS)]
Count = Annotated[int, Between(1, _LARGEST_INTEGER)]
Seconds = Annotated[float, Between(0)]
SomeSeconds = Annotated[float, Between(above=0)]
Days = Annotated[float, Between(0)]
Rate = Annotated[float, Between(above=0)]
