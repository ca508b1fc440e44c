"""Every example of the guides runs on a real service, in its order, and gets the answer that stands below it.

An answer is compared as a reader would compare it: ids and times that the page invented are those that came,
the same one each time; `…` stands for what is left out. A page's day in the future is moved to next week.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[2]
GUIDES: Final = ROOT / "docs" / "guides"
PAGES: Final = sorted(page.name for page in GUIDES.glob("*.md") if page.name != "README.md")
SECONDS: Final = 60.0

URL: Final = "http://127.0.0.1:8525"
SOMEDAY: Final = "2026-12-01"
REST: Final = "…"
#: What stands in an answer and is another every time: an id, an instant, a duration.
VARYING: Final = re.compile(r"(?P<id>msg_\w{28})|(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)|(?P<ms>\d+) ms|…")
PATTERNS: Final = {"id": r"(msg_\w{28})", "at": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "ms": r"[\d.]+ ms"}


@dataclass
class Reader:
    """Someone who follows a page: the service, a folder, and which id of the page is which id of the service."""

    url: str
    folder: Path
    day: str = SOMEDAY
    ids: dict[str, str] = field(default_factory=dict)
    printed: str = ""

    def own(self, text: str) -> str:
        """Return a text of the page with this service's address, ids and day."""
        for shown, real in self.ids.items():
            text = text.replace(shown, real)
        return text.replace(URL, self.url).replace(SOMEDAY, self.day)

    def follow(self, language: str, block: str) -> None:
        """Do what a block says, or compare what it shows with what was printed last."""
        match language:
            case "bash":
                self.printed = self._shell(self.own(block))
            case "python" if name := re.match(r"# (\w+\.py)\n", block):
                (self.folder / name[1]).write_text(self.own(block))
            case "python":
                self._python(self.own(block))
            case "http":
                self._answer(block)
            case "text":
                self._lines(block.splitlines(), self.printed.splitlines())
            case "toml":  # tests/unit/test_docs.py loads each
                pass
            case _:
                raise AssertionError(f"nobody runs {language!r}")

    def _shell(self, script: str) -> str:
        if script.startswith("curl ") and shutil.which("curl") is None:
            return curl(script, self.folder)
        code = re.search(r"# exits with (\d+)", script)
        return self._run(["bash", "-c", f"set -e\n{script}"], int(code[1]) if code else 0)

    def _python(self, code: str) -> None:
        shown = re.findall(r"^ *print\(.*\)  # (.+)$", code, re.MULTILINE)
        if "from django" in code:
            code = f"import django; django.setup()\n{code}"
        self._lines(shown, self._run([sys.executable, "-c", code]).splitlines())

    def _run(self, command: list[str], code: int = 0) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RELIABLE_EMAIL_")}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={
                **clean,
                "CURL_HOME": str(self.folder),
                "DJANGO_SETTINGS_MODULE": "settings",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT / "clients" / "python"),
                "RELIABLE_EMAIL_URL": self.url,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == code, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout

    def _answer(self, block: str) -> None:
        shown_head, _, shown_body = block.partition("\n\n")
        head, _, body = self.printed.partition("\n\n")
        for line in shown_head.splitlines():
            assert any(self._is_like(line, real) for real in head.splitlines()), f"{line!r} is not in\n{self.printed}"
        if shown_body:
            self._tree(json.loads(shown_body), json.loads(body), "#")

    def _tree(self, shown: Any, real: Any, place: str) -> None:
        match shown, real:
            case dict(), dict():
                names = shown.keys() - {REST}
                assert names == real.keys() or (REST in shown and names < real.keys()), f"{place}: {sorted(real)}"
                for name in names:
                    self._tree(shown[name], real[name], f"{place}/{name}")
            case list(), list():
                assert len(shown) == len(real), f"{place}: {real}"
                for number, pair in enumerate(zip(shown, real, strict=True)):
                    self._tree(*pair, f"{place}/{number}")
            case str(), str():
                assert self._is_like(shown, real), f"{place}: {shown!r} is shown, {real!r} came"
            case _:
                assert shown == real, f"{place}: {shown!r} is shown, {real!r} came"

    def _lines(self, shown: list[str], real: list[str]) -> None:
        """A line that is but `…` stands for any number of lines."""
        rest = list(real)
        skips = False
        for line in shown:
            if line == REST:
                skips = True
                continue
            while skips and rest and not self._is_like(line, rest[0]):
                del rest[0]
            assert rest, f"{line!r} did not come:\n" + "\n".join(real)
            assert self._is_like(line, rest[0]), f"{line!r} is shown, {rest[0]!r} came"
            del rest[0]
            skips = False
        assert skips or not rest, f"more came: {rest}"

    def _is_like(self, shown: str, real: str) -> bool:
        """Compare, however many blanks stand in a row; learn the ids that the page shows for the first time."""
        shown, real = (re.sub(r" {2,}", "  ", text.strip()) for text in (self.own(shown), real))
        unknown: list[str] = []

        def pattern(found: re.Match[str]) -> str:
            kind = found.lastgroup
            if kind is None:
                return ".*"
            text = found[0]
            if (kind == "id" and text in self.ids.values()) or (kind == "at" and text.startswith(self.day)):
                return re.escape(text)
            if kind == "id":
                unknown.append(text)
            return PATTERNS[kind]

        parts, end = [], 0
        for found in VARYING.finditer(shown):
            parts += [re.escape(shown[end : found.start()]), pattern(found)]
            end = found.end()
        match = re.fullmatch("".join([*parts, re.escape(shown[end:])]), real)
        if match is None:
            return False
        self.ids.update(zip(unknown, match.groups(), strict=True))
        return True


def curl(script: str, folder: Path) -> str:
    """Do what curl would, on a machine without it."""
    words = shlex.split(script.replace("\\\n", " "))[1:]
    method, headers, body, target = "GET", {}, None, ""
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            case "-d":
                data = words.pop(0)
                body = (folder / data[1:]).read_text() if data.startswith("@") else data
                method = "POST" if method == "GET" else method
            case word:
                target = word
    place, _, path = target.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(place, timeout=SECONDS)
    try:
        connection.request(method, f"/{path}", body and body.encode(), headers)
        answer = connection.getresponse()
        head = "".join(f"{name}: {value}\n" for name, value in answer.getheaders())
        return f"HTTP/1.1 {answer.status} {answer.reason}\n{head}\n{answer.read().decode()}"
    finally:
        connection.close()


def blocks(page: str) -> list[tuple[str, str]]:
    """Return every fenced block of a page with its language."""
    return re.findall(r"^```(\w+)\n(.*?)^```", (GUIDES / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The service as the index of the guides configures it: its address and its folder."""
    folder = tmp_path_factory.mktemp("guides")
    (configuration,) = [block for language, block in blocks("README.md") if language == "toml"]
    (folder / "reliable-email.toml").write_text(configuration)
    (folder / ".curlrc").write_text('silent\nshow-error\ninclude\nnoproxy = "*"\n')
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RELIABLE_EMAIL_")}
    process = subprocess.Popen(
        [Path(sys.executable).with_name("reliable-email"), "up", "--port", "0", "--data", "data"],
        cwd=folder,
        env={**clean, "RELIABLE_EMAIL_OPS__PORT": "0"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process.stdout:
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        printed = ""
        try:
            for line in process.stdout:
                printed += line
                if found := re.search(r"API +(http://\S+)/v1$", line.rstrip()):
                    reader.start()
                    yield found[1], folder
                    break
            else:
                pytest.fail(printed)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(SECONDS)
            if reader.ident is not None:
                reader.join(SECONDS)


@pytest.mark.parametrize("page", PAGES)
def test_every_example_of_a_guide_runs_and_gets_the_answer_that_is_shown(page: str, service: tuple[str, Path]) -> None:
    next_week = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    reader = Reader(*service, day=next_week)

    for language, block in blocks(page):
        reader.follow(language, block)


def test_a_machine_without_curl_gets_the_same_answers(
    service: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    (language, last), answer = blocks("first-message.md")[-2:]
    reader = Reader(*service)

    reader.follow(language, last)
    reader.follow(*answer)


def test_the_index_lists_every_guide() -> None:
    listed = re.findall(r"^\| \[[^]]+\]\(([\w-]+\.md)\)", (GUIDES / "README.md").read_text(), re.MULTILINE)

    assert sorted(listed) == PAGES


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('HTTP/1.1 202 Accepted\n\n{"state": "queued"}', 'HTTP/1.1 202 Accepted\nDate: now\n\n{"state":"sent"}'),
        ('HTTP/1.1 202 Accepted\n\n{"id": "1"}', 'HTTP/1.1 202 Accepted\n\n{"id":"1","pool":"default"}'),
        ('HTTP/1.1 202 Accepted\n\n{"id": "1", "…": "…"}', 'HTTP/1.1 202 Accepted\n\n{"pool":"default"}'),
        ("HTTP/1.1 202 Accepted", "HTTP/1.1 200 OK\n\n{}"),
    ],
)
def test_an_answer_that_is_another_is_noticed(shown: str, printed: str, tmp_path: Path) -> None:
    reader = Reader(URL, tmp_path, day=SOMEDAY, printed=printed)

    with pytest.raises(AssertionError):
        reader.follow("http", shown)
