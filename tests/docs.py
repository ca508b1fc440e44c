"""Writes what the documentation takes from the code: `make docs`.

Pages under `docs/reference` and the contract `docs/openapi.json` are written whole; a contract that would
break clients only with `make docs ARGS=--accept-breaking`. In `docs/architecture.md` only the regions between
two marks are: `<!-- states -->` and `<!-- /states -->` hold what `REGIONS["states"]` makes.
`tests/unit/test_docs.py` fails where a page no longer says what the code says.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from services.frontend.problem_types import PROBLEM_TYPES
from shared.domain.states import FINAL, LIVE, PLACES, TRANSITIONS, State, Verb
from shared.queue import script
from shared.runtime import events, metrics
from shared.settings.template import template
from tests.contract.compatibility import breaks
from tests.contract.present import KEPT, present, text_of

ROOT: Final = Path(__file__).parents[1]

#: What a diagram calls the state of a message that does not exist yet, or no longer.
_NOTHING: Final = "[*]"

_NOTE: Final = "<!-- Written by `make docs`; what stands here is changed in the code. -->"


def metrics_page() -> str:
    """Return every metric: its name, type, labels, meaning, and the processes that show it; then what bounds labels."""
    rows = [
        (f"`{metric.name}`", metric.type, _codes(metric.labels), ", ".join(metric.roles), metric.meaning)
        for metric in metrics.describe()
    ]
    return _page(
        "Metrics",
        "Every process shows these on `/metrics` of its operations port, in the text format of Prometheus or as",
        "OpenMetrics; each only those that it feeds. No message id, address or tenant stands in a label.",
        "",
        *_table(("name", "type", "labels", "shown by", "meaning"), rows),
        "",
        "Beside them stand the usual metrics of the interpreter and the process (`process_…`, `python_…`).",
        "",
        "## Labels",
        "",
        "How many values a label may have, and with them how many series there are, follows from the configuration and",
        "the code alone, never from what clients send.",
        "",
        *_table(("label", "its values"), [(f"`{label}`", bound) for label, bound in metrics.LABELS.items()]),
    )


def log_events_page() -> str:
    """Return every event of the log, and the fields that may stand beside it."""
    rows = [(f"`{name}`", level, _codes(fields), meaning) for name, level, fields, meaning in events.describe()]
    return _page(
        "Log events",
        "A process writes one line of JSON for each event to standard error (`[logging] format`). On every line stand",
        f"{_codes(events.LINE_FIELDS)}. Recipients are shown as a keyed hash and their domain, except at the level",
        "`debug`; subjects, bodies and secrets never.",
        "",
        *_table(("event", "level", "fields of its own", "meaning"), rows),
        "",
        "Fields that mean the same on whatever line they stand:",
        "",
        *_table(("field", "meaning"), [(f"`{name}`", meaning) for name, meaning in events.CONTEXT_FIELDS.items()]),
    )


def configuration_page() -> str:
    """Return every key of the configuration, as `reliable-email config init` writes it."""
    return _page(
        "Configuration",
        "Every key with its default, as `reliable-email config init` writes it. The file is the one after `--config`,",
        "else the one that `RELIABLE_EMAIL_CONFIG` names, else `./reliable-email.toml`, else",
        "`/etc/reliable-email/config.toml`. Without any, the defaults hold. `reliable-email config schema` prints the",
        "JSON Schema of the file for an editor.",
        "",
        "```toml",
        template().rstrip("\n"),
        "```",
    )


def problems_page() -> str:
    """Return every problem of the interface: its status, meaning and cure."""
    lines = []
    for kind in PROBLEM_TYPES.values():
        again = "The same request may succeed later." if kind.retryable else ""
        wait = (
            f" The answer carries `Retry-After`, at least {kind.retry_after_seconds} s."
            if again and kind.retry_after_seconds
            else ""
        )
        lines += ["", f"## {kind.code}", "", f"**{kind.status} {kind.title}.** {kind.meaning} {again}{wait}".rstrip()]
        lines += ["", kind.cure]
    return _page(
        "Problems",
        "What the interface answers where it does not do what was asked: `application/problem+json` (RFC 9457). `code`",
        "names the kind of problem, `detail` says what happened this time, `retryable` whether the very same request",
        "may succeed later, and each entry of `errors` names one fault with its place. New codes may be added.",
        *lines,
    )


def states_region() -> Iterator[str]:
    """Yield the diagram of a message's life, how it may end from each state, and where each state lies."""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f'    state "{", ".join(FINAL)}" as ended'
    yield from (f"    {before} --> {after} : {', '.join(verbs)}" for (before, after), verbs in _moves(_drawn).items())
    yield "```"
    yield ""
    yield "How a message may end, from each state in which it may still be sent:"
    yield ""
    ends = _moves(str)
    rows = [(f"`{before}`", *(", ".join(ends.get((before, after), ())) for after in FINAL)) for before in LIVE]
    yield from _table(("from", *(f"to `{state}`" for state in FINAL)), rows)
    yield ""
    again = [f"`{before}`" for before in FINAL if (before, State.QUEUED) in ends]
    yield f"`requeue` brings back {', '.join(again)}; `delete` and `trim` end every ended message."
    yield ""
    lies = [(f"`{state}`", f"`{PLACES[state]}`", "" if state in LIVE else "yes") for state in State]
    yield from _table(("state", "lies in", "final"), lies)


def layers_region() -> Iterator[str]:
    """Yield the picture of the layers, as the contract of import-linter has them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = [layer for layer in _layers(contracts) if not layer.startswith("(")]
    width = max(map(len, layers)) + 4
    yield "```text"
    for number, layer in enumerate(layers):
        if number:
            yield f"{'│':^{width + 2}}".rstrip()
            yield f"{'▼':^{width + 2}}".rstrip()
        yield f"┌{'─' * width}┐"
        yield f"│{layer:^{width}}│"
        yield f"└{'─' * width}┘"
    yield "```"


def scripts_region() -> Iterator[str]:
    """Yield each script, what it does and what it moves, as the headers of the files say."""
    rows = []
    for name in script.names():
        shebang, _, text = script.source_of(name).partition("\n")
        told = _header(text, rf"{name}:")
        moves = _header(text, " moves ")
        full = "reads" if "no-writes" in shebang else "runs" if "allow-oom" in shebang else "refused"
        rows.append((f"`{name}`", told.rstrip("."), "" if moves == "nothing" else moves.replace("->", "→"), full))
    yield from _table(("script", "what it does", "moves", "when memory is full"), rows)


def contract_page() -> str:
    """Return the contract that clients rely on."""
    return text_of(present())


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    KEPT: contract_page,
    "docs/reference/metrics.md": metrics_page,
    "docs/reference/log-events.md": log_events_page,
    "docs/reference/configuration.md": configuration_page,
    "docs/reference/problems.md": problems_page,
}

#: What stands between the marks of a page.
REGIONS: Final[Mapping[str, Callable[[], Iterable[str]]]] = {
    "layers": layers_region,
    "states": states_region,
    "scripts": scripts_region,
}
REGIONS_OF: Final = {"docs/architecture.md": ("layers", "states", "scripts")}


def expected() -> dict[str, str]:
    """Return every page that is written, whole or in part, as it should be."""
    pages = {path: make() for path, make in PAGES.items()}
    for path, names in REGIONS_OF.items():
        text = (ROOT / path).read_text()
        for name in names:
            text = _filled(text, name, "\n".join(REGIONS[name]()))
        pages[path] = text
    return pages


def main(*arguments: str) -> None:
    broken = breaks(orjson.loads((ROOT / KEPT).read_bytes()), present())
    if broken and "--accept-breaking" not in arguments:
        sys.exit("\n".join(("The contract would break clients; nothing was written.", "", *broken)))
    for path, text in expected().items():
        (ROOT / path).write_text(text)


def _moves(name: Callable[[str], str]) -> dict[tuple[str, str], list[str]]:
    """Return the verbs that lead from one state to another; `name` gives each state its name."""
    moves: dict[tuple[str, str], list[str]] = {}
    order = list(Verb)
    for (before, verb), afters in sorted(TRANSITIONS.items(), key=lambda move: order.index(move[0][1])):
        for after in sorted(afters, key=list(State).index) or (_NOTHING,):
            verbs = moves.setdefault((name(before or _NOTHING), name(after)), [])
            if verb not in verbs:
                verbs.append(verb)
    return moves


def _drawn(state: str) -> str:
    return "ended" if state in set(FINAL) else state


def _header(text: str, name: str) -> str:
    """Return what stands in a script's header behind `name`, up to the next name."""
    found = re.search(rf"^-- *{name} *(.+(?:\n-- (?!(?:call|bodies|gives|moves|uses) ).+)*)", text, re.MULTILINE)
    return " ".join(found[1].replace("\n--", " ").split()) if found else "nothing"


def _layers(contracts: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(layer) for layer in next(one["layers"] for one in contracts if one["type"] == "layers")]


def _filled(text: str, name: str, content: str) -> str:
    region = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    found, count = region.subn(lambda marks: f"{marks[1]}\n{content}\n\n{marks[2]}", text)
    if count != 1:
        raise ValueError(f"the region {name} stands in the page {count} times")
    return found


def _page(title: str, *lines: str) -> str:
    return "\n".join((f"# {title}", "", _NOTE, "", *lines)) + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(cells)} |"


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    main(*sys.argv[1:])
