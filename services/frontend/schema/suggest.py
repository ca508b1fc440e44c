"""Which field somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_LONGEST: Final = 32

#: What other services call the fields of a message, beside spelling: found in their public interfaces.
SYNONYMS: Final = {
    "attachment": "attachments",
    "body": "text",
    "bodyhtml": "html",
    "bodytext": "text",
    "categories": "tags",
    "content": "text",
    "customargs": "metadata",
    "data": "content",
    "delay": "delay_seconds",
    "deliverat": "send_at",
    "expires": "expires_at",
    "fromemail": "from",
    "htmlbody": "html",
    "htmlcontent": "html",
    "message": "text",
    "mimetype": "content_type",
    "name": "filename",
    "plain": "text",
    "recipient": "to",
    "recipients": "to",
    "scheduledat": "send_at",
    "sender": "from",
    "tag": "tags",
    "textbody": "text",
    "textcontent": "text",
    "title": "subject",
    "ttl": "ttl_seconds",
    "type": "content_type",
}


class Suggester:
    """Knows the names of an object's fields, and finds the one that a wrong name was meant to be."""

    def __init__(self, names: Iterable[str]) -> None:
        known = tuple(names)
        self._folded = {_fold(name): name for name in known}
        self._folded.update(
            (synonym, name) for synonym, name in SYNONYMS.items() if name in known and synonym not in self._folded
        )
        # One letter more, less, other or out of place: the two share what is left after taking a
        # letter out of either. The table costs a few hundred entries once; comparing a wrong name
        # with every field would let 200 wrong names cost milliseconds.
        self._shortened = {part: name for name in known if len(name) > 3 for part in _shortened(_fold(name))}  # noqa: PLR2004 - shorter names are all alike

    def meant(self, name: str) -> str | None:
        """Return the field that `name` probably means, or None."""
        if len(name) > _LONGEST:
            return None
        folded = _fold(name)
        if (found := self._folded.get(folded) or self._shortened.get(folded)) is not None:
            return found
        for part in _shortened(folded):
            if (found := self._folded.get(part) or self._shortened.get(part)) is not None:
                return found
        return None


def did_you_mean(suggester: Suggester, name: str) -> str:
    """Return the sentence to put behind "there is no such field", with its space, or nothing."""
    found = suggester.meant(name)
    return "" if found is None else f" Did you mean '{found}'?"


def _fold(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace(" ", "")


def _shortened(folded: str) -> list[str]:
    return [folded[:index] + folded[index + 1 :] for index in range(len(folded))]
