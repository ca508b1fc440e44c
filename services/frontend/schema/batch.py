"""A batch: up to a thousand messages, with defaults that a message's own fields win over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from services.frontend.schema.keys import FIELD
from services.frontend.schema.kinds import JsonSchema
from services.frontend.schema.objects import Field, Reader
from services.frontend.schema.refusal import Faults, counted, moved, refused, wrong_type
from services.frontend.schema.submission import SubmissionSchema, take_header_key
from shared.domain.errors import Fault
from shared.domain.message import Submission

#: Faults that are found one by one in the whole batch; the messages after that are refused unread,
#: so that 25 MiB of faults cannot occupy a frontend for half a minute.
_MOST_FAULTS: Final = 10_000

_GROWN: Final = (
    "Up to here the batch has more than {:,} bytes, its defaults counted in each message; send the rest apart"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of each message of a batch, in their order: a submission, or what is wrong with it."""

    items: tuple[Submission | Faults, ...]

    @property
    def submissions(self) -> tuple[Submission, ...]:
        """The messages that can be taken."""
        return tuple(item for item in self.items if isinstance(item, Submission))


class BatchSchema:
    """Reads batches by the rules of the submissions in them."""

    def __init__(self, submissions: SubmissionSchema) -> None:
        self._submissions: Final = submissions
        most = submissions.rules.limits.batch_messages
        #: A part of a message: its other fields stand elsewhere.
        self.message: Final = _Part(submissions.reader)
        self.reader: Final = Reader(
            (
                Field("defaults", self.message, "Fields for all messages that do not have them."),
                Field("messages", _Messages(self.message, most), "The messages.", required=True),
            )
        )

    def read(self, body: object, now_ms: int, header_key: str | None = None) -> Batch | Faults:
        """Return what becomes of each message, or everything that is wrong with the batch as a whole.

        The key of the header stands in for those that messages do not have: together with a
        message's position it makes a key of a kind of its own.
        """
        values, faults = self.reader.examine(body)
        if type(body) is dict:
            faults += self.reader.missing(body)
        key: dict[str, Any] = {}
        located = moved(faults, "#")
        if header_key is not None:
            located += take_header_key(header_key, key)
        defaults = _Defaulted(self._submissions, values.get("defaults", {}))
        located += defaults.faults_of_all()
        if located:
            return tuple(located)
        return Batch(tuple(self._items(values["messages"], defaults, now_ms, key.get(FIELD))))

    def _items(
        self, messages: list[object], defaults: _Defaulted, now_ms: int, key: str | None
    ) -> Iterator[Submission | Faults]:
        most_bytes = self._submissions.rules.limits.batch_bytes
        size = found = 0
        for index, message in enumerate(messages):
            place = f"#/messages/{index}"
            if found > _MOST_FAULTS:
                yield (Fault(place, "not_examined", "The messages before it have too many faults to look at more"),)
                continue
            item = defaults.item(message, index, now_ms, key)
            if isinstance(item, Submission):
                size += item.envelope.size_bytes
                if size > most_bytes:
                    item = (Fault(place, "too_large", _GROWN.format(most_bytes)),)
            else:
                found += len(item)
            yield item


class _Defaulted:
    """A batch's defaults, read once, and the messages that they complete."""

    def __init__(self, submissions: SubmissionSchema, defaults: dict[str, object]) -> None:
        self._submissions = submissions
        self._json = {name: value for name, value in defaults.items() if value is not None}
        self._values, self._faults = submissions.reader.examine(defaults)

    def faults_of_all(self) -> Iterator[Fault]:
        """Yield what no field of a message can mend."""
        known = self._submissions.reader.names
        yield from moved((fault for fault in self._faults if _name(fault) not in known), "#/defaults")
        if FIELD in self._json:
            yield Fault(f"#/defaults/{FIELD}", "not_allowed", "Each message has a key of its own, or none")

    def item(self, message: object, index: int, now_ms: int, key: str | None) -> Submission | Faults:
        """Return the submission that a message makes with the defaults, or what is wrong with it."""
        place = f"#/messages/{index}"
        own, faults = self._submissions.reader.examine(message)
        if type(message) is not dict:
            return tuple(moved(faults, place))
        given = {name: value for name, value in message.items() if value is not None}
        merged = self._json | given
        values = self._values | own
        inherited = [fault for fault in self._faults if _name(fault) not in given]
        judged = list(self._submissions.judge(merged, values, now_ms))
        if faults or inherited or judged:
            inherited += (fault for fault in judged if _name(fault) in self._json and _name(fault) not in given)
            faults += (fault for fault in judged if fault not in inherited)
            return tuple(moved(faults, place) + moved(inherited, "#/defaults"))
        derived = index if key is not None and FIELD not in values else None
        if derived is not None:
            values[FIELD] = key
        return self._submissions.build(values, merged, derived)


class _Part:
    """Fields of a message, none of them required: the others stand in the defaults, or in the message itself.

    They are read where the two meet.
    """

    def __init__(self, message: Reader) -> None:
        self._message: Final = message

    def read(self, value: object) -> dict[str, object]:
        """Return the object as it is."""
        if type(value) is not dict:
            raise wrong_type("an object", value)
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {**self._message.schema(), "required": []}


class _Messages:
    """A list of messages that are read one by one, for what is wrong with one harms no other."""

    def __init__(self, part: _Part, most: int) -> None:
        self._part: Final = part
        self._most: Final = most

    def read(self, value: object) -> list[object]:
        """Return the list as it is."""
        if type(value) is not list:
            raise wrong_type("a list", value)
        if not value:
            raise refused("missing", "Holds no message; at least 1 must be there")
        if len(value) > self._most:
            raise refused("too_many", f"Holds {counted(len(value), 'message')}; {self._most:,} are allowed")
        return value

    def schema(self) -> JsonSchema:
        """Return the rule."""
        return {"type": "array", "items": self._part.schema(), "minItems": 1, "maxItems": self._most}


def _name(fault: Fault) -> str:
    """Return the field in which a fault lies, "" for the object itself."""
    return fault.where[1:].partition("/")[0]
