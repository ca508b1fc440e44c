"""The package as its users get it: a wheel in an environment of its own, and every line of the README in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from up import running_service

HOME = Path(__file__).parents[2]
README = (HOME / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SETTINGS = "# settings.py\n"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the wheel in it, which sees the dependencies of this one."""
    folder = tmp_path_factory.mktemp("package")
    build: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
    subprocess.run(build, cwd=HOME, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    interpreter = folder / "venv" / "bin" / "python"
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", interpreter, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    (site,) = (folder / "venv").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return interpreter


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_service(tmp_path_factory.mktemp("service")) as url:
        yield url


def run(python: Path, code: str, folder: Path, **variables: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RELIABLE_EMAIL_", "PYTHON"))}
    done = subprocess.run(
        [python, "-W", "error", "-c", code],
        cwd=folder,
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("block", [block for block in BLOCKS if not block.startswith(SETTINGS)])
def test_every_example_of_the_readme_runs(block: str, python: Path, service: str, tmp_path: Path) -> None:
    (settings,) = [block for block in BLOCKS if block.startswith(SETTINGS)]
    (tmp_path / "settings.py").write_text(settings.replace("http://127.0.0.1:8525", service))
    is_django = "django" in block
    # Newer versions of Django announce that the setting of older ones will go.
    begin = "import warnings; warnings.simplefilter('ignore')\nimport django; django.setup()\n"
    code = (begin if is_django else "") + block.replace("http://127.0.0.1:8525", service)
    variables = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(tmp_path)} if is_django else {}

    run(python, code, tmp_path, **variables)


def test_the_examples_say_what_the_readme_says(python: Path, service: str, tmp_path: Path) -> None:
    printed = [run(python, block.replace("http://127.0.0.1:8525", service), tmp_path) for block in BLOCKS[:5]]

    assert printed[1].split() == ["scheduled", "True"]
    assert "['" in printed[2]
    assert "grace@',) InvalidMessage" in printed[3].replace("('", "")
    assert printed[4].startswith("#/to")


def test_it_imports_nothing_but_what_it_needs(python: Path, tmp_path: Path) -> None:
    code = "import sys, reliable_email_client as r; print(r.__file__, *({'aiohttp', 'django'} & sys.modules.keys()))"
    place, *others = run(python, code, tmp_path).split()

    assert Path(place).is_relative_to(python.parents[1])
    assert others == []


def test_without_aiohttp_the_async_client_says_what_is_missing(python: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['aiohttp'] = None\nimport reliable_email_client as r\ntry: r.AsyncClient()\n"
    code += "except ModuleNotFoundError as error: print(error)"

    assert "reliable-email-client[async]" in run(python, code, tmp_path)


def test_types_hold_for_a_strict_user(python: Path, tmp_path: Path) -> None:
    mypy: list[str | Path] = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", tmp_path]
    face = Path(__file__).with_name("face_as_typed.py")
    done = subprocess.run(
        [*mypy, "--python-executable", python, face], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.stdout.startswith("Success"), done.stdout + done.stderr
