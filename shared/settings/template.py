"""The commented file that `config init` writes: every key, with its meaning and its default, from the model itself.

A line that begins with `# ` is prose; one that begins with `#` alone is a key or a table as it
would stand. Nothing but headings is active, so that a later version's better defaults hold for
everybody who has not decided otherwise.
"""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from dataclasses import MISSING
from typing import Final

from shared.providers import registry
from shared.settings.documentation import Documentation, documentation_of, summary_of
from shared.settings.model import ProviderSettings, Settings
from shared.settings.shapes import Form, Key, keys_of
from shared.settings.show import toml_value

_WIDTH: Final = 110

#: Marks a line whose key has no default.
EXAMPLE: Final = "for example"

#: Stands for a value of a key that has neither a default nor an example of its own.
_EXAMPLES: Final = {
    Form.TEXT: '"…"',
    Form.INTEGER: "1",
    Form.NUMBER: "1",
    Form.FLAG: "true",
    Form.CHOICE: '"…"',
    Form.SECRET: '{env = "SECRET"}',
    Form.MAILBOX: '"ada@example.com"',
    Form.LIST: "[]",
}

_HEAD: Final = f"""\
The configuration of reliable-email. Every line below shows the default of its key: take the # away
from its start to decide otherwise. Where a key has no default, the line ends with "{EXAMPLE}".
`reliable-email config check` judges the file.

A secret does not stand here: {{env = "NAME"}} takes it from a variable, {{file = "path"}} from a file
(one trailing newline is cut; paths are seen from the working directory).

Any key can be given as a variable, which wins over the file: RELIABLE_EMAIL_FRONTEND__PORT=8525,
RELIABLE_EMAIL_PROVIDERS__SES_EU__RATE_PER_SECOND=20 for the provider ses-eu, and for tables without
a name RELIABLE_EMAIL_ROUTES__0__POOL=default."""


_KINDS: Final = """\
The other kinds, each with its own keys; all keys above go with every one of them. Choose a name, take the #
away from the lines of its block, and do the same for a second provider: when one fails, the other carries on.
Kinds:"""


def template() -> str:
    """Return the file. It loads as it is, and means what no file at all means."""
    blocks = [_prose(_HEAD)]
    for key in keys_of(Settings).values():
        if key.name == "providers":
            blocks += _providers()
        elif key.shape.item_table is not None:
            blocks.append(_table(key.shape.item_table, f"[[{key.name}]]", "#"))
        elif key.shape.table is not None:
            blocks.append(_table(key.shape.table, f"[{key.name}]", ""))
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _providers() -> Iterator[list[str]]:
    """Give the first kind with the keys that all share, and a short block for each other kind.

    None of them is active: beside a real provider, an outbox would take its share of the mail.
    """
    first, *others = registry.kinds()
    yield [
        *_prose(summary_of(ProviderSettings)),
        *_prose("As long as none is configured, this one sends, and keeps every mail on this machine."),
        *_heading(first),
        *_keys(registry.adapter(first).Options, "providers"),
        *_keys(ProviderSettings, "providers", without=("name", "kind")),
    ]
    yield _prose(f"{_KINDS} {', '.join(others)}.")
    for kind in others:
        keys = _keys(registry.adapter(kind).Options, "providers")
        yield [*_prose(_about(kind)), *_heading(kind), *(line for line in keys if line)]


def _heading(kind: str) -> Iterator[str]:
    yield from ("#[[providers]]", f'#name = "{kind}"', f'#kind = "{kind}"')


def _about(kind: str) -> str:
    """Return what a kind is: its account in words, or what it does where it has no keys."""
    adapter = registry.adapter(kind)
    return summary_of(adapter.Options if keys_of(adapter.Options) else type(adapter))


def _table(table: type[object], heading: str, mark: str) -> list[str]:
    return [*_prose(summary_of(table)), f"{mark}{heading}", *_keys(table, heading.strip("[]"))]


def _keys(table: type[object], path: str, without: Collection[str] = ()) -> Iterator[str]:
    """Give a table's keys, then the tables inside it: TOML has no way back from those."""
    keys = [key for key in keys_of(table).values() if key.name not in without]
    texts = documentation_of(table)
    for key in sorted(keys, key=lambda key: _inner_table(key) is not None):
        text = texts.get(key.name, Documentation())
        yield ""
        yield from _prose(text.text)
        inner = _inner_table(key)
        if inner is None:
            yield f"#{key.name} = {_value(key, text)}"
        else:
            here = f"{path}.{key.name}"
            yield f"#[{here}]" if key.shape.form is Form.TABLE else f"#[[{here}]]"
            yield from _keys(inner, here)


def _inner_table(key: Key) -> type[object] | None:
    return key.shape.table or key.shape.item_table


def _value(key: Key, text: Documentation) -> str:
    """Return the default, or an example where there is none, which the line then says."""
    if key.default not in (MISSING, None, ()):
        return toml_value(key.default)
    if key.default == () and text.example is None:
        return "[]"
    return f"{text.example or _EXAMPLES[key.shape.form]}  # {EXAMPLE}"


def _prose(text: str) -> list[str]:
    wrapped = (textwrap.wrap(part, _WIDTH, break_long_words=False, break_on_hyphens=False) for part in text.split("\n"))
    return [f"# {line}".rstrip() for lines in wrapped for line in lines or [""]] if text else []
