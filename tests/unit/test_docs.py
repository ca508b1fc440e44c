"""The documentation says what the code says: pages made from it are fresh, examples are valid, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import orjson
import pytest
import typer.main
from packaging.requirements import Requirement
from typer.core import TyperGroup

from reliable_email.cli.app import app
from services.frontend.means import Schemas, rules_of
from shared.queue import script
from shared.runtime import metrics
from shared.settings.load import load
from tests import docs
from tests.docs import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
DECISIONS = sorted(ROOT.glob("docs/decisions/0*.md"))
#: What begins like a metric and is none: the client's package, and the tag that carries our id.
NAMES_OF_OURS = {"reliable_email_client", "reliable_email_id"}
NOW = 1_795_500_000_000  # in November 2026


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(language: str) -> list[str]:
    """Return every fenced block of a language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for name in NAMES for block in fence.findall(text_of(name))]


def commands() -> list[str]:
    """Return every call of the command, from blocks and from sentences, each once."""
    call = re.compile(r"`(reliable-email [^`]+)`|^ *(reliable-email .+)$", re.MULTILINE)
    found = [inline or line for name in NAMES for inline, line in call.findall(text_of(name))]
    return list(dict.fromkeys(words.partition("#")[0].partition("  ")[0].strip() for words in found))


@pytest.mark.parametrize("name", [*docs.PAGES, *docs.REGIONS_OF])
def test_a_page_that_is_made_from_the_code_is_fresh(name: str) -> None:
    assert text_of(name) == docs.expected()[name], "`make docs` writes it anew"


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^)#:\s]+)\)", text_of(name))

    assert [link for link in links if not ((ROOT / name).parent / link).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    named = re.findall(r"`((?:shared|services|reliable_email|tests|docs)/[\w./]+)`", text_of(name))

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_configuration_is_valid(block: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block)

    load(str(file), {}, secrets_of=())


@pytest.mark.parametrize("block", blocks("json"))
def test_every_answer_is_json(block: str) -> None:
    assert isinstance(orjson.loads(block), dict)


@pytest.mark.parametrize("block", [block for block in blocks("sh") if "curl" in block])
def test_every_submission_is_taken(block: str) -> None:
    schemas = Schemas.of(rules_of(load(None, {}, secrets_of=())))
    words = shlex.split(block)
    body = orjson.loads(words[words.index("-d") + 1])
    schema = schemas.batch if words[1].endswith("/batch") else schemas.submission

    assert not isinstance(schema.read(body, NOW), tuple)


@pytest.mark.parametrize("call", commands())
def test_every_command_and_its_options_exist(call: str) -> None:
    command: Any = typer.main.get_command(app)
    words = shlex.split(call)[1:]
    while isinstance(command, TyperGroup) and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    needs_more = isinstance(command, TyperGroup) and not command.invoke_without_command

    assert not needs_more or words[:1] in ([], ["COMMAND"]), f"there is no such command: {words}"
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options | {"--help"}


def test_every_path_of_the_interface_stands_in_the_readme() -> None:
    source = text_of("services/frontend/routes/__init__.py")
    routes = re.findall(r'web\.(\w+)\("(/v1[^"]*)"', source)
    readme = text_of("README.md")
    submissions = ("/v1/messages", "/v1/messages/batch")

    assert [
        (method, path)
        for method, path in routes
        if not re.search(rf"`{method.upper()} {re.escape(path)}[`?]", readme) and path not in submissions
    ] == []


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    declared = tomllib.loads(text_of("pyproject.toml"))["project"]["dependencies"]
    table = text_of("README.md").partition("## Dependencies")[2].partition("\n## ")[0]
    reasons = set(re.findall(r"^\| ([a-z-]+) \| \S", table, re.MULTILINE)) - {"package"}

    assert reasons == {Requirement(line).name for line in declared}


def test_every_key_that_a_script_uses_is_explained() -> None:
    keys = text_of("docs/architecture.md").partition("## Keys")[2].partition("## Scripts")[0]
    used = set()
    for source in _sources():
        used |= set(re.findall(r"\b(?:set|put|due|key)\('([a-z_]+)", source))
        used |= {place.split(":")[0] for place in re.findall(r"'((?:ready|scheduled|retry):?)' \.\.", source)}

    assert sorted(name for name in used if not re.search(rf"`{name}[`:]", keys)) == []


def test_every_field_of_a_record_is_explained() -> None:
    fields = text_of("docs/architecture.md").partition("Fields of a record")[2].partition("## Scripts")[0]
    used = {field for source in _sources() for field in re.findall(r"\brecord\.([a-z_]+)", source)}

    assert sorted(field for field in used if f"`{field}`" not in fields) == []


def test_every_metric_that_is_named_exists() -> None:
    declared = {metric.name for metric in metrics.describe()}
    named = {name for page in NAMES for name in re.findall(r"reliable_email_\w+", text_of(page))}

    assert sorted(name for name in named - declared if name not in NAMES_OF_OURS) == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name[:4])
def test_a_decision_names_its_alternative_and_its_number_on_one_page(page: Path) -> None:
    text = page.read_text()

    assert re.findall(r"^\*\*([A-Z][a-z ]+)\.\*\*", text, re.MULTILINE) == [
        "Context",
        "Decision",
        "Instead of",
        "Number",
        "Consequence",
    ]
    assert len(text.splitlines()) <= 40


@pytest.mark.parametrize("folder", ["decisions", "runbooks"])
def test_an_index_lists_every_page_of_its_folder(folder: str) -> None:
    index = text_of(f"docs/{folder}/README.md")
    pages = {page.name for page in (ROOT / "docs" / folder).glob("*.md")} - {"README.md"}

    assert set(re.findall(r"\]\(([^)/]+\.md)\)", index)) == pages


def _sources() -> list[str]:
    fragments = ("_clock", "_endings", "_erase", "_head", "_keys", "_owner", "_places", "_record")
    return [script.source_of(name) for name in (*fragments, *script.names())]
