"""The image: what it is built from, what is in it, and that each service starts from it as nobody, writing nothing."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import reliable_email
from tests.deploy.containers import start
from tests.deploy.image import USER, Image, ignored_but, instructions
from tests.deploy.manifests import ROLES, ROOT, Rendered
from tests.redis_server import RedisServer, free_port

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def distributions(image: Image) -> dict[str, str]:
    folders = image.folder.glob("opt/reliable-email/lib/python*/site-packages/*.dist-info")
    found = (folder.name.removesuffix(".dist-info").partition("-") for folder in folders)
    return {name.lower().replace("_", "-"): version for name, _, version in found}


def test_the_base_is_an_argument_so_that_a_digest_can_be_given() -> None:
    before = [rest for name, rest in instructions() if name in {"ARG", "FROM"}]

    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.\d+-slim-\w+", before[0])
    assert [rest.split()[0] for name, rest in instructions() if name == "FROM"] == ["${PYTHON_IMAGE}"] * 2


def test_only_what_is_named_goes_into_the_build() -> None:
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"
    assert [path for path in ignored_but() if not (ROOT / path).exists()] == []


def test_a_container_is_nobody_and_its_process_gets_the_signals() -> None:
    last = dict(instructions())

    assert last["USER"] == f"{USER}:{USER}"
    assert last["ENTRYPOINT"] == '["reliable-email"]'
    assert last["EXPOSE"].split() == ["8525", "9525"]


def test_the_image_names_the_version_that_is_in_it() -> None:
    assert f'image.version="{reliable_email.__version__}"' in dict(instructions())["LABEL"]


def test_the_overlays_run_the_version_that_is_here(overlay: Rendered) -> None:
    assert {work.container["image"].rpartition(":")[2] for work in overlay.ours.values()} == {
        reliable_email.__version__
    }


def test_the_image_holds_what_the_lock_names_and_nothing_that_only_builds(image: Image) -> None:
    locked = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements-image.lock").read_text(), re.MULTILINE))
    inside = distributions(image)

    assert inside.pop("reliable-email") == reliable_email.__version__
    assert inside.items() <= locked.items()
    assert "opentelemetry-sdk" in inside  # tracing is a matter of configuration there
    assert not {"pip", "hatchling", "editables", "setuptools"} & inside.keys()


def test_the_same_sources_make_the_same_wheel(image: Image, tmp_path: Path) -> None:
    (wheel,) = (image.folder / "build" / "wheels").glob("reliable_email-*.whl")
    (command,) = [rest for name, rest in image.build_stage if name == "RUN" and "wheel --quiet" in rest]
    variables = {"SOURCE_DATE_EPOCH": "315532800", "PATH": os.defpath}

    subprocess.run(
        ["/bin/sh", "-ec", command.replace("--wheel-dir wheels", f"--wheel-dir {tmp_path}")],
        cwd=image.folder / "build",
        env=variables,
        check=True,
    )

    assert hashlib.sha256((tmp_path / wheel.name).read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()


def test_a_compiled_module_names_its_source_by_hash_and_not_by_time(image: Image) -> None:
    compiled = list(image.folder.glob("opt/reliable-email/lib/**/shared/**/*.pyc"))

    assert compiled
    assert {int.from_bytes(path.read_bytes()[4:8], "little") & 1 for path in compiled} == {1}


@pytest.mark.parametrize("role", ROLES)
def test_a_service_starts_from_the_image_is_healthy_and_drains(
    role: str, image: Image, redis_server: RedisServer
) -> None:
    before = sorted(map(str, image.tree()))
    port = free_port()
    variables = {"RELIABLE_EMAIL_REDIS__URL": redis_server.url, "RELIABLE_EMAIL_FRONTEND__PORT": "0"}
    sandbox = {"RELIABLE_EMAIL_PROVIDERS__SANDBOX__KIND": "sandbox"}

    running = start(image, role, [role], variables | sandbox, port)
    assert running.answers("/healthz") == {"healthy": True, "role": role}
    running.answers("/readyz")
    check = image.start([], {"RELIABLE_EMAIL_OPS__PORT": str(port)}, command=image.argv("HEALTHCHECK"))
    said, _ = check.communicate()
    code, written = running.end()

    assert (check.returncode, said) == (0, "")
    assert code == 0, written
    assert sorted(map(str, image.tree())) == before


def test_a_container_that_does_not_listen_is_not_healthy(image: Image) -> None:
    check = image.start([], {"RELIABLE_EMAIL_OPS__PORT": str(free_port())}, command=image.argv("HEALTHCHECK"))
    check.communicate()

    assert check.returncode != 0


def test_without_a_role_the_image_tells_what_it_can_do(image: Image) -> None:
    shown = image.start(image.argv("CMD"), {})
    text, _ = shown.communicate()

    assert shown.returncode == 0
    assert all(role in text for role in ROLES)
