"""The image without an engine: the Dockerfile's own build steps, carried out in a folder instead of a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]

#: The user that the image names; tests that run as root become it.
USER: Final = 10001

# The interpreter of the tests may lie in a folder of root's; to look is allowed, to write is not.
_AS_NOBODY: Final = (
    (
        *("/usr/bin/setpriv", "--reuid", str(USER), "--regid", str(USER), "--clear-groups", "--no-new-privs"),
        *("--bounding-set", "-all,+dac_read_search"),
        *("--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"),
    )
    if os.geteuid() == 0
    else ()
)

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    """Return the Dockerfile, an instruction each, with its lines joined and its comments left out."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = [line.strip() for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def stages() -> list[list[Instruction]]:
    """Return the instructions of each stage, without what stands before the first FROM."""
    parts: list[list[Instruction]] = []
    for name, rest in instructions():
        if name == "FROM":
            parts.append([])
        if parts:
            parts[-1].append((name, rest))
    return parts


def ignored_but() -> list[str]:
    """Return what .dockerignore lets into the build."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


class Image:
    """What the image would hold, below `folder`, and how a container of it would start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.build_stage, self.final_stage = stages()

    def build(self) -> None:
        """Carry out the build stage, with every absolute path of the image below `folder`."""
        work = self.folder / "build"
        variables = {name: value for name, value in os.environ.items() if not name.startswith("RELIABLE_EMAIL_")}
        arguments: dict[str, str] = {}
        for name, rest in self.build_stage:
            if name == "WORKDIR":
                work = self._below(rest)
                work.mkdir(parents=True)
            elif name == "ARG":
                key, _, value = rest.partition("=")
                arguments[key] = value
            elif name == "ENV":
                pairs = dict(pair.split("=", 1) for pair in rest.split())
                variables |= {
                    key: re.sub(r"\$\{(\w+)\}", lambda one: arguments[one[1]], value) for key, value in pairs.items()
                }
            elif name == "COPY":
                self._copy(rest.split(), work)
            elif name == "RUN":
                self._run(rest, work, variables)

    def _copy(self, words: Sequence[str], work: Path) -> None:
        *sources, target = words
        for source in sources:
            assert source in ignored_but(), f"{source} is not let into the build"
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, work / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, work / target)

    def _run(self, command: str, work: Path, variables: Mapping[str, str]) -> None:
        # `python` is that of the base image: here, the one that the tests run on, outside of its environment.
        base = Path(sys.executable).resolve()
        tools = self.folder / "base"
        tools.mkdir(exist_ok=True)
        if not (tools / "python").exists():
            subprocess.run([base, "-m", "venv", tools / "venv"], check=True)
            (tools / "python").symlink_to(tools / "venv" / "bin" / "python")
        path = {**variables, "PATH": f"{tools}:{os.environ['PATH']}"}
        command = command.replace("/opt/", f"{self.folder}/opt/")
        done = subprocess.run(
            ["/bin/sh", "-ec", command], cwd=work, env=path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"

    def _below(self, path: str) -> Path:
        return self.folder / path.removeprefix("/")

    def last(self, name: str) -> str:
        """Return what an instruction of the final stage says, the last where there are several."""
        return [rest for key, rest in self.final_stage if key == name][-1]

    def argv(self, name: str) -> list[str]:
        """Return a command in exec form."""
        text = self.last(name)
        words: list[str] = json.loads(text[text.index("[") :])
        return words

    @property
    def variables(self) -> dict[str, str]:
        """The variables of a container before its own are added."""
        pairs = dict(pair.split("=", 1) for pair in self.last("ENV").split())
        return {
            name: value.replace("/opt/", f"{self.folder}/opt/").replace("${PATH}", os.defpath)
            for name, value in pairs.items()
        }

    def start(
        self, arguments: Sequence[str], variables: Mapping[str, str], *, command: Sequence[str] | None = None
    ) -> subprocess.Popen[str]:
        """Start a container's command as its user, in a working directory that it may not write to."""
        work = self._below(self.last("WORKDIR"))
        work.mkdir(parents=True, exist_ok=True)
        words = [*(command if command is not None else self.argv("ENTRYPOINT")), *arguments]
        environment = {**self.variables, **variables}
        program = shutil.which(words[0], path=environment["PATH"])
        assert program is not None
        return subprocess.Popen(
            [*_AS_NOBODY, program, *words[1:]],
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def freeze(self) -> None:
        """Make every file read-only for everybody; whoever runs is not root."""
        for path in self.tree():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)

    def tree(self) -> Iterator[Path]:
        """Yield everything that the image holds."""
        opt = self.folder / "opt"
        yield from (path for path in [opt, *opt.rglob("*")] if not path.is_symlink())
