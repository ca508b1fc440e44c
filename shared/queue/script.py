"""The scripts as Redis gets them: each `.lua` file with the fragments that its header names.

A script's first line says how Redis runs it (`#!lua`, without which a cluster would let it write
into another slot); its header lists the fragments under `uses`, and they are put before its code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha1
from importlib import resources
from typing import Final

_USES: Final = re.compile(r"^-- uses +(.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script: its name, the whole source, and the hash by which Redis knows it."""

    name: str
    source: str
    sha: str
    writes: bool


@cache
def source_of(name: str) -> str:
    """Return the text of one `.lua` file."""
    return resources.files(__package__).joinpath("scripts", f"{name}.lua").read_text("utf-8")


def names() -> tuple[str, ...]:
    """Return the names of all scripts, without the fragments."""
    folder = resources.files(__package__).joinpath("scripts")
    files = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".lua"))
    return tuple(file.removesuffix(".lua") for file in files if not file.startswith("_"))


def assemble(name: str, texts: Mapping[str, str] | None = None) -> Script:
    """Return a script joined with its fragments; `texts` stands in for files of these names."""
    replaced = texts or {}

    def text(file: str) -> str:
        return replaced[file] if file in replaced else source_of(file)

    shebang, _, code = text(name).partition("\n")
    uses = _USES.search(code)
    fragments = uses.group(1).split() if uses else []
    source = "\n".join([shebang, *(text(fragment) for fragment in fragments), code])
    # The hash names the script, as Redis itself computes it; nothing is protected by it.
    return Script(name, source, sha1(source.encode(), usedforsecurity=False).hexdigest(), "no-writes" not in shebang)


class Scripts:
    """Every script, assembled once."""

    def __init__(self, texts: Mapping[str, str] | None = None) -> None:
        self._scripts = {name: assemble(name, texts) for name in names()}

    def __getitem__(self, name: str) -> Script:
        return self._scripts[name]
