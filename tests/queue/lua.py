"""Small changes of a Lua source, each of which a test should notice.

Knows as much of Lua 5.1 as the scripts use: every statement can be taken out, every condition
negated, every operand of `and` and `or` left out, and every comparison, sum, number and truth
value changed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+|--[^\n]*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\d+(?:\.\d+)?(?:e[-+]?\d+)?)
      | (?P<string>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")
      | (?P<sign>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%^\#<>=(){}\[\];:,.])""",
    re.VERBOSE,
)
_KEYWORDS: Final = frozenset(
    {
        *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local"),
        *("nil", "not", "or", "repeat", "return", "then", "true", "until", "while"),
    }
)
_BLOCK_ENDS: Final = frozenset({"end", "else", "elseif", "until", ""})
#: How tightly binary operators bind; both concatenation and power bind to the right.
_BINDS: Final = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(("<", ">", "<=", ">=", "~=", "=="), 3),
    "..": 4,
    **dict.fromkeys("+-", 5),
    **dict.fromkeys("*/%", 6),
    "^": 8,
}
_UNARY_BINDS: Final = 7
_LARGE: Final = 100
_SIGNS: Final = (("<", "<="), (">", ">="), ("==", "~="), ("+", "-"), ("*", "/"))
_OTHER_SIGN: Final = {one: other for pair in _SIGNS for one, other in (pair, pair[::-1])}


@dataclass(frozen=True, slots=True)
class Change:
    """One change: which part of the source is replaced by what, and its name, which no other change of the file has."""

    name: str
    line: int
    start: int
    end: int
    replacement: str

    def applied_to(self, source: str) -> str:
        """Return the changed source."""
        return source[: self.start] + self.replacement + source[self.end :]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def changes(source: str) -> Iterator[Change]:
    """Yield every change of a source, in its order."""
    seen: Counter[str] = Counter()
    parser = _Parser(source)
    parser.block()
    for start, end, replacement in sorted(set(parser.found)):
        name = _name(source, start, end, replacement)
        seen[name] += 1
        if seen[name] > 1:
            name += f" ({seen[name]})"
        yield Change(name, source.count("\n", 0, start) + 1, start, end, replacement)


def _name(source: str, start: int, end: int, replacement: str) -> str:
    """Return what is changed and, where that is a part of a line, in which line."""
    changed, more, _ = source[start:end].partition("\n")
    if more:
        changed += " …"
    if not replacement:
        return f"without {changed}"
    line = source[source.rfind("\n", 0, start) + 1 : source.find("\n", start)].strip()
    return f"{changed} -> {' '.join(replacement.split())} in {line}"


class _Parser:
    """Walks through a source and notes what can be changed, as (start, end, replacement)."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(_tokens(source))
        self._at = 0
        self.found: list[tuple[int, int, str]] = []

    # Tokens

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, text: str = "") -> _Token:
        token = self._next
        if text and token.text != text:
            raise SyntaxError(f"{text!r} expected, {token.text!r} found at {token.start}")
        self._at += 1
        return token

    def _takes(self, text: str) -> bool:
        if self._next.text == text and self._next.kind != "string":
            self._at += 1
            return True
        return False

    @property
    def _end(self) -> int:
        return self._tokens[self._at - 1].end

    def _change(self, start: int, end: int, replacement: str) -> None:
        self.found.append((start, end, replacement))

    # Statements

    def block(self) -> None:
        """Read statements up to the word that ends their block."""
        while self._next.text not in _BLOCK_ENDS or self._next.kind == "string":
            self._statement()

    def _statement(self) -> None:
        start = self._next.start
        reads = {
            "if": self._if,
            "while": self._while,
            "for": self._for,
            "local": self._local,
            "return": self._return,
            "break": self._break,
        }
        is_definition = reads.get(self._next.text, self._assignment_or_call)()
        self._takes(";")
        if not is_definition:
            self._change(start, self._end, "")

    def _local(self) -> bool:
        self._take("local")
        if self._takes("function"):
            self._take()
            self._function_body()
            return True  # what it does is changed inside
        self._names()
        if self._takes("="):
            self._expressions()
        return False

    def _return(self) -> None:
        self._take("return")
        if self._next.text not in _BLOCK_ENDS:
            self._expressions()

    def _break(self) -> None:
        self._take("break")

    def _while(self) -> None:
        self._take("while")
        self._condition()
        self._body("do")

    def _if(self) -> None:
        self._take("if")
        self._condition()
        self._take("then")
        self.block()
        while self._takes("elseif"):
            self._condition()
            self._take("then")
            self.block()
        if self._takes("else"):
            self.block()
        self._take("end")

    def _for(self) -> None:
        self._take("for")
        self._names()
        if not self._takes("="):
            self._take("in")
        self._expressions()
        self._body("do")

    def _body(self, opening: str) -> None:
        self._take(opening)
        self.block()
        self._take("end")

    def _names(self) -> None:
        self._take()
        while self._takes(","):
            self._take()

    def _assignment_or_call(self) -> None:
        self._suffixed()
        while self._takes(","):
            self._suffixed()
        if self._takes("="):
            self._expressions()

    # Expressions

    def _condition(self) -> None:
        start = self._next.start
        before = len(self.found)
        self._expression()
        end = self._end
        whole = self._source[start:end]
        self._change(start, end, f"not ({whole})")
        # What negates the whole condition by another word is the same change.
        same = {(start, end, whole.removeprefix("not "))} if whole.startswith("not ") else set()
        if re.search(" (==|~=) ", whole) and not re.search(" (and|or) ", whole):
            same |= {change for change in self.found[before:] if change[2] in {"==", "~="}}
        self.found[before:] = [change for change in self.found[before:] if change not in same]

    def _expressions(self) -> None:
        self._expression()
        while self._takes(","):
            self._expression()

    def _expression(self, limit: int = 0) -> None:
        start = self._next.start
        if self._next.text in {"not", "-", "#"} and self._next.kind != "string":
            sign = self._take()
            operand = self._next.start
            self._expression(_UNARY_BINDS)
            if sign.text == "not":
                self._change(sign.start, self._end, self._source[operand : self._end])
        else:
            self._simple()
        while self._next.kind != "string" and _BINDS.get(self._next.text, 0) > limit:
            left_end = self._end
            sign = self._take()
            right = self._next.start
            self._expression(_BINDS[sign.text] - (sign.text in {"..", "^"}))
            if sign.text in {"and", "or"}:
                self._change(start, self._end, self._source[start:left_end])
                self._change(start, self._end, self._source[right : self._end])
            elif sign.text in _OTHER_SIGN:
                self._change(sign.start, sign.end, _OTHER_SIGN[sign.text])

    def _simple(self) -> None:
        token = self._next
        if token.kind == "number":
            self._take()
            self._change(token.start, token.end, _other_number(token.text))
        elif token.kind == "string" or token.text in {"nil", "..."}:
            self._take()
        elif token.text in {"true", "false"}:
            self._take()
            self._change(token.start, token.end, "false" if token.text == "true" else "true")
        elif token.text == "{":
            self._table()
        elif token.text == "function":
            self._take()
            self._function_body()
        else:
            self._suffixed()

    def _suffixed(self) -> None:
        if self._takes("("):
            self._expression()
            self._take(")")
        else:
            name = self._take()
            if name.kind != "name" or name.text in _KEYWORDS:
                raise SyntaxError(f"{name.text!r} at {name.start} is no name")
        while True:
            if self._takes("."):
                self._take()
            elif self._takes("["):
                self._expression()
                self._take("]")
            elif self._takes("("):
                if not self._takes(")"):
                    self._expressions()
                    self._take(")")
            else:
                return

    def _table(self) -> None:
        self._take("{")
        while not self._takes("}"):
            if self._takes("["):
                self._expression()
                self._take("]")
                self._take("=")
            elif self._next.kind == "name" and self._tokens[self._at + 1].text == "=":
                self._take()
                self._take()
            self._expression()
            self._takes(",")

    def _function_body(self) -> None:
        self._take("(")
        if not self._takes(")"):
            self._names()
            self._take(")")
        self.block()
        self._take("end")


def _other_number(number: str) -> str:
    """Return the next number, of a large one the double: nobody means a duration to the millisecond."""
    if not number.isdigit():
        return "0"
    return str(int(number) + 1 if int(number) < _LARGE else 2 * int(number))


def _tokens(source: str) -> Iterator[_Token]:
    at = source.index("\n") if source.startswith("#!") else 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise SyntaxError(f"not understood: {source[at : at + 40]!r}")
        if found.lastgroup != "space":
            yield _Token(str(found.lastgroup), found.group(), found.start(), found.end())
        at = found.end()
    yield _Token("end", "", at, at)
