"""The text that stands under a field of a settings class, at run time.

Python throws such texts away, so they are read from the source: the one place outside `load`
that opens a file, and only for the commands that show documentation.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

_EXAMPLE: Final = re.compile(r"\s*Example: `(?P<key>\w+) = (?P<value>[^`]*)`\.?")


@dataclass(frozen=True, slots=True)
class Documentation:
    """What a key means, as one paragraph, and an example of its value as TOML where it has no default."""

    text: str = ""
    example: str | None = None


def documentation_of(table: type[object]) -> Mapping[str, Documentation]:
    """Return the documentation of every documented field of a dataclass.

    Raises OSError where the class's source is not there, as in a frozen application.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(table)))
    return {name: _documentation(text) for name, text in _texts(tree)}


def summary_of(table: type[object]) -> str:
    """Return the docstring of a class as one paragraph, without the sentence that tells what it raises."""
    return re.sub(r"\s*Raises [^.]*\.", "", " ".join((table.__doc__ or "").split()))


def _texts(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for statement in tree.body:
        if not isinstance(statement, ast.ClassDef):
            continue
        for field, follower in pairwise(statement.body):
            match field, follower:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    yield name, text


def _documentation(text: str) -> Documentation:
    paragraph = " ".join(text.split())
    example = _EXAMPLE.search(paragraph)
    if example is None:
        return Documentation(paragraph)
    return Documentation(_EXAMPLE.sub("", paragraph).strip(), example["value"])
