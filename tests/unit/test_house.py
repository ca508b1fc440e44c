"""The house itself: what is installed, what is locked, and what else is on the path."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import reliable_email

ROOT = Path(__file__).parents[2]
PACKAGES = ("reliable_email", "services", "shared")

# The oldest release of each without a known hole that concerns us.
SAFE = {
    "aiohttp": "3.14.5",  # GHSA-5wr8-gcqf-gqf3, GHSA-2g87-pp6c-29x5, GHSA-24c4-3p7v-29cm, CVE-2026-128131
    "aiosmtpd": "1.4.6",  # CVE-2024-27305, CVE-2024-34083
    "aiosmtplib": "5.1.3",  # GHSA-v3q9-hj7j-63hq
    "orjson": "3.11.6",  # CVE-2025-67221
    "redis": "8.0.1",  # a connection given back in the middle of a reply
}


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(project: dict[str, Any]) -> dict[str, Requirement]:
    lines = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_other_distribution_owns_our_import_names(package: str) -> None:
    assert set(metadata.packages_distributions().get(package, ())) <= {"reliable-email"}


@pytest.mark.parametrize("name", SAFE)
def test_no_installed_version_has_a_known_hole(name: str) -> None:
    assert Version(metadata.version(name)) >= Version(SAFE[name])


@pytest.mark.parametrize("name", SAFE)
def test_no_version_with_a_known_hole_may_be_installed(name: str, project: dict[str, Any]) -> None:
    bounds = [Version(part.version) for part in requirements(project)[name].specifier if part.operator == ">="]

    assert max(bounds) >= Version(SAFE[name])


def test_the_version_is_written_the_same_in_both_places(project: dict[str, Any]) -> None:
    assert project["project"]["version"] == reliable_email.__version__


def test_the_tools_are_tested_with_what_users_run() -> None:
    runs, in_the_image, tools = map(pins, ("requirements.lock", "requirements-image.lock", "requirements-dev.lock"))

    assert runs.items() <= in_the_image.items()
    assert in_the_image.items() <= tools.items()


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-image.lock", "requirements-dev.lock"])
def test_a_lock_satisfies_the_declared_bounds(lock: str, project: dict[str, Any]) -> None:
    declared = requirements(project)

    assert [
        f"{name}=={pin}" for name, pin in pins(lock).items() if name in declared and pin not in declared[name].specifier
    ] == []


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-image.lock", "requirements-dev.lock"])
def test_a_lock_names_versions_and_hashes_and_no_host(lock: str) -> None:
    line = re.compile(r"[a-z0-9-]+==[^\s/]+( ; [^/\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")

    assert [text for text in (ROOT / lock).read_text().splitlines() if not line.fullmatch(text)] == []


def test_every_folder_of_the_house_stands_in_a_layer(project: dict[str, Any]) -> None:
    layers = " ".join(project["tool"]["importlinter"]["contracts"][0]["layers"])
    folders = [path.parent for package in PACKAGES for path in ROOT.glob(f"{package}/*/__init__.py")]

    assert {".".join(folder.relative_to(ROOT).parts) for folder in folders} <= set(re.findall(r"[\w.]+", layers))


def test_the_command_works_beside_a_strange_package_of_the_same_name(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('the wrong package')")
    command = Path(sys.executable).with_name("reliable-email")

    done = subprocess.run([command, "version"], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
