"""What a change of the contract would break for clients, told in sentences. No I/O.

Two OpenAPI documents are compared. What clients send may be taken more freely than before, never
less; what they read may have more members than before, never fewer, and no other types. A value
may be added to an open set (`x-extensible-enum`) and never taken out of any set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

Json = Mapping[str, Any]

_OPEN_SET: Final = "x-extensible-enum"
_NOTHING: Final[Json] = {}
#: Bounds that a request must keep: the keyword, whether more is stricter, and what the client is told.
_BOUNDS: Final = {
    "minimum": (True, "must be at least"),
    "maximum": (False, "must be at most"),
    "minLength": (True, "must have a length of at least"),
    "maxLength": (False, "must have a length of at most"),
    "minItems": (True, "must hold at least"),
    "maxItems": (False, "must hold at most"),
    "minProperties": (True, "must have members, at least"),
    "maxProperties": (False, "must have members, at most"),
}
_RULES: Final = ("pattern", "format", "contentEncoding", "const")


def breaks(before: Json, after: Json) -> list[str]:
    """Return a sentence for everything that worked with the contract `before` and would not with `after`."""
    told = [*_codes(before, after), *_operations(before, after)]
    return list(dict.fromkeys(told))


def _codes(before: Json, after: Json) -> Iterator[str]:
    now = after.get("x-problem-codes", _NOTHING)
    for code, status in before.get("x-problem-codes", _NOTHING).items():
        if code not in now:
            yield f"There is no problem `{code}` any more: clients that handle it wait in vain."
        elif now[code] != status:
            yield f"The problem `{code}` comes with status {now[code]} instead of {status}."


def _operations(before: Json, after: Json) -> Iterator[str]:
    for path, methods in before["paths"].items():
        for method, operation in methods.items():
            name = f"`{method.upper()} {path}`"
            present = after["paths"].get(path, _NOTHING).get(method)
            if present is None:
                yield f"{name} is gone: clients that call it are refused."
            else:
                yield from _Comparison(before, after, name).operation(operation, present)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Compares one operation. `place` is the field that is looked at, `seen` are the definitions on the way to it."""

    before: Json
    after: Json
    name: str
    place: str = ""
    seen: frozenset[tuple[str, str]] = frozenset()

    def operation(self, old: Json, new: Json) -> Iterator[str]:
        """Yield what is different for a client of this operation."""
        if old.get("operationId") != new.get("operationId"):
            yield f"{self.name} has the operation id `{new.get('operationId')}`: generated clients name it anew."
        yield from self._parameters(old, new)
        yield from self._body(old.get("requestBody"), new.get("requestBody"))
        yield from self._answers(old["responses"], new["responses"])

    def _parameters(self, old: Json, new: Json) -> Iterator[str]:
        was = {self._key(each): each for each in self._all(self.before, old.get("parameters", ()))}
        now = {self._key(each): each for each in self._all(self.after, new.get("parameters", ()))}
        for (kind, name), parameter in now.items():
            if parameter.get("required") and not was.get((kind, name), _NOTHING).get("required"):
                yield f"{self.name} demands the {kind} parameter `{name}`: requests without it are refused."
        for (kind, name), parameter in was.items():
            if (present := now.get((kind, name))) is None:
                yield f"{self.name} does not take the {kind} parameter `{name}` any more."
            else:
                yield from replace(self, place=name).taken(parameter["schema"], present["schema"])

    def _body(self, old: Json | None, new: Json | None) -> Iterator[str]:
        if new is None:
            if old is not None:
                yield f"{self.name} does not take a body any more."
            return
        if new.get("required") and not (old or _NOTHING).get("required"):
            yield f"{self.name} demands a body: requests without one are refused."
        for media_type, content in (old or {"content": {}})["content"].items():
            if media_type not in new["content"]:
                yield f"{self.name} does not take `{media_type}` any more."
            else:
                yield from self.taken(content["schema"], new["content"][media_type]["schema"])

    def _answers(self, old: Json, new: Json) -> Iterator[str]:
        for status, reference in old.items():
            if status not in new:
                if status.startswith("2"):
                    yield f"{self.name} does not answer {status} any more."
                else:
                    yield from self._dropped(self._resolved(self.before, reference)[1], _NOTHING, status)
                continue
            _, was = self._resolved(self.before, reference)
            _, now = self._resolved(self.after, new[status])
            yield from self._dropped(was, now, status)
            yield from replace(self, name=f"{status} of {self.name}")._answer(was, now)

    def _dropped(self, old: Json, new: Json, status: str) -> Iterator[str]:
        for code in old.get("x-problem-codes", ()):
            if code not in new.get("x-problem-codes", ()):
                yield f"{self.name} does not answer {status} with the code `{code}` any more."

    def _answer(self, old: Json, new: Json) -> Iterator[str]:
        for header in old.get("headers", ()):
            if header not in new.get("headers", ()):
                yield f"{self.name} has lost the header `{header}`."
        for media_type, content in old.get("content", _NOTHING).items():
            if (present := new.get("content", _NOTHING).get(media_type)) is None:
                yield f"{self.name} does not come as `{media_type}` any more."
            else:
                yield from self.given(content["schema"], present["schema"])

    def taken(self, old: Json, new: Json) -> Iterator[str]:
        """Yield what of a value that clients send would be refused now."""
        was, now = self._alternatives(self.before, old), self._alternatives(self.after, new)
        for kind in was:
            if kind not in now and not (kind == "integer" and "number" in now):
                yield f"{self._field} may not be {_article(kind)} any more."
        for kind, rule, present in self._common(was, now):
            yield from self._below(kind, rule, present)._narrower(rule[1], present[1])

    def _narrower(self, old: Json, new: Json) -> Iterator[str]:
        values = _values(new)
        if values and not _values(old):
            yield f"{self._field} must be one of {', '.join(f'`{value}`' for value in values)}."
        for value in _values(old):
            if values and value not in values:
                yield f"{self._field} may not be `{value}` any more."
        for keyword in _RULES:
            if keyword in new and new[keyword] != old.get(keyword):
                yield f"{self._field} must keep another {keyword}: `{new[keyword]}`."
        yield from self._tighter(old, new)
        yield from self._members_taken(old, new)
        yield from self._elements(old, new, _Comparison.taken)

    def _tighter(self, old: Json, new: Json) -> Iterator[str]:
        for keyword, (more_is_stricter, told) in _BOUNDS.items():
            if keyword in new and _is_stricter(new[keyword], old.get(keyword), more_is_stricter=more_is_stricter):
                yield f"{self._field} {told} {new[keyword]:,}."

    def _members_taken(self, old: Json, new: Json) -> Iterator[str]:
        for name in new.get("required", ()):
            if name not in old.get("required", ()):
                yield f"{self._inside(name)._field} is required: requests without it are refused."
        properties = new.get("properties", _NOTHING)
        for name, rule in old.get("properties", _NOTHING).items():
            if name in properties:
                yield from self._inside(name).taken(rule, properties[name])
            elif new.get("additionalProperties") is False:
                yield f"{self._inside(name)._field} is not taken any more: requests with it are refused."

    def given(self, old: Json, new: Json) -> Iterator[str]:
        """Yield what a client could read from a value, and could not now."""
        was, now = self._alternatives(self.before, old), self._alternatives(self.after, new)
        for kind in now:
            if was and kind not in was and not (kind == "integer" and "number" in was):
                yield f"{self._field} may be {_article(kind)} now, for which clients are not made."
        for kind, rule, present in self._common(was, now):
            yield from self._below(kind, rule, present)._poorer(rule[1], present[1])

    def _poorer(self, old: Json, new: Json) -> Iterator[str]:
        for value in _values(old):
            if value not in _values(new):
                yield f"{self._field} is never `{value}` any more: clients that wait for it wait in vain."
        if "enum" in old and "enum" not in new:
            yield f"{self._field} was a closed set and is none any more."
        for value in new.get("enum", ()):
            if value not in old.get("enum", (value,)):
                yield f"{self._field} may be `{value}` now, and was a closed set without it."
        for keyword in _RULES:
            if keyword in old and new.get(keyword) != old[keyword]:
                yield f"{self._field} has another {keyword} than `{old[keyword]}`."
        yield from self._members_given(old, new)
        yield from self._elements(old, new, _Comparison.given)

    def _members_given(self, old: Json, new: Json) -> Iterator[str]:
        properties = new.get("properties", _NOTHING)
        for name, rule in old.get("properties", _NOTHING).items():
            if name not in properties:
                yield f"{self._inside(name)._field} is gone."
                continue
            if name in old.get("required", ()) and name not in new.get("required", ()):
                yield f"{self._inside(name)._field} may be missing now."
            yield from self._inside(name).given(rule, properties[name])

    def _elements(self, old: Json, new: Json, compare: Any) -> Iterator[str]:
        """Compare what lists and objects with free names hold."""
        for keyword in ("items", "additionalProperties"):
            if isinstance(old.get(keyword), Mapping) and isinstance(new.get(keyword), Mapping):
                yield from compare(replace(self, place=f"{self.place}[]"), old[keyword], new[keyword])

    @property
    def _field(self) -> str:
        return f"`{self.place}` in {self.name}" if self.place else f"The body of {self.name}"

    def _inside(self, name: str) -> _Comparison:
        return replace(self, place=f"{self.place}.{name}" if self.place else name)

    def _below(self, kind: str, old: tuple[str, Json], new: tuple[str, Json]) -> _Comparison:
        return replace(self, seen=self.seen | {(old[0], new[0])}) if kind.startswith("object") else self

    def _common(
        self, was: Mapping[str, tuple[str, Json]], now: Mapping[str, tuple[str, Json]]
    ) -> Iterator[tuple[str, tuple[str, Json], tuple[str, Json]]]:
        """Yield the alternatives that both have, but for definitions that are being compared already."""
        for kind, rule in was.items():
            present = now.get(kind) or (now.get("number") if kind == "integer" else None)
            if present is not None and (not rule[0] or (rule[0], present[0]) not in self.seen):
                yield kind, rule, present

    def _alternatives(self, document: Json, rule: Json) -> dict[str, tuple[str, Json]]:
        """Return what a value can be: by its type, and where that is not enough by the name of its definition."""
        found: dict[str, tuple[str, Json]] = {}
        name, rule = self._resolved(document, rule)
        for each in rule.get("oneOf", ()):
            for kind, alternative in self._alternatives(document, each).items():
                found[f"{kind} {alternative[0]}" if kind in found else kind] = alternative
        types = rule.get("type", ())
        for kind in (types,) if isinstance(types, str) else types:
            found[kind] = (name, rule)
        return found

    @staticmethod
    def _resolved(document: Json, rule: Json) -> tuple[str, Json]:
        name = ""
        while (reference := rule.get("$ref")) is not None:
            name = str(reference)
            rule = document
            for part in name.removeprefix("#/").split("/"):
                rule = rule[part]
        return name, rule

    def _all(self, document: Json, rules: Sequence[Json]) -> Iterator[Json]:
        return (self._resolved(document, rule)[1] for rule in rules)

    @staticmethod
    def _key(parameter: Json) -> tuple[str, str]:
        return parameter["in"], parameter["name"]


def _values(rule: Json) -> Sequence[Any]:
    values: Sequence[Any] = [value for value in rule.get("enum", rule.get(_OPEN_SET, ())) if value is not None]
    return values


def _is_stricter(new: float, old: float | None, *, more_is_stricter: bool) -> bool:
    return old is None or (new > old if more_is_stricter else new < old)


def _article(kind: str) -> str:
    return "null" if kind == "null" else f"{'an' if kind[0] in 'aeio' else 'a'} {kind.rpartition('/')[2]}"
