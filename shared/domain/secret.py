"""A text that must not be shown."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Secret:
    """A password or key. Printing it, or anything that holds it, shows only that it is there."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the text itself, at the one place that sends it."""
        return self._value

    def __str__(self) -> str:
        return "********"
