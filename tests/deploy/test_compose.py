"""`compose.yaml`: what it starts agrees with the code, keeps what it was given, and is open to this machine alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from reliable_email.embedded import DURABLE_SETTINGS
from shared.settings.load import load
from shared.settings.model import Settings
from tests.deploy.image import instructions
from tests.deploy.manifests import ROLES, ROOT, Rendered
from tests.deploy.test_configuration import SECRETS_OF
from tests.deploy.test_policy import SPARE_SECONDS

pytestmark = pytest.mark.deploy


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def settings_of(compose: dict[str, Any], role: str, folder: Path) -> Settings:
    """Load what the container of a role gets, with `API_KEY` in the shell."""
    variables = compose["services"][role]["environment"]
    filled = {name: re.sub(r"\$\{API_KEY:\?[^}]*\}", "k" * 64, str(value)) for name, value in variables.items()}
    empty = folder / "empty.toml"
    empty.touch()
    return load(str(empty), filled, secrets_of=SECRETS_OF[role])


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_the_three_services_are_one_image(compose: dict[str, Any]) -> None:
    services = compose["services"]

    assert {role: services[role]["command"] for role in ROLES} == {role: [role] for role in ROLES}
    assert {services[role]["image"] for role in ROLES} == {f"reliable-email:{_version()}"}
    assert {services[role]["build"] for role in ROLES} == {"."}


def _version() -> str:
    found = re.search(r'image\.version="([^"]+)"', dict(instructions())["LABEL"])
    assert found is not None
    return found[1]


@pytest.mark.parametrize("role", ROLES)
def test_the_variables_of_a_service_are_a_valid_configuration(
    role: str, compose: dict[str, Any], tmp_path: Path
) -> None:
    settings = settings_of(compose, role, tmp_path)

    assert [provider.name for provider in settings.providers] == ["mailpit"]
    assert settings.redis.url == "redis://valkey:6379/0"
    assert (settings.ops.host, settings.ops.port) == ("0.0.0.0", 9525)  # noqa: S104 - inside of a container
    assert len(settings.frontend.keys) == (role == "frontend")


@pytest.mark.parametrize("role", ROLES)
def test_a_service_is_given_longer_than_it_takes_to_drain(role: str, compose: dict[str, Any], tmp_path: Path) -> None:
    settings = settings_of(compose, role, tmp_path)

    assert seconds(compose["services"][role]["stop_grace_period"]) >= (
        getattr(settings, role).grace_seconds + SPARE_SECONDS
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_service_may_write_nothing_and_do_nothing(role: str, compose: dict[str, Any]) -> None:
    service = compose["services"][role]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "volumes" not in service


def test_every_port_is_open_to_this_machine_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]

    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_every_image_names_its_version(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values()]

    assert [image for image in images if not re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(-alpine)?", image)] == []


def test_both_ways_to_deploy_take_the_same_images(compose: dict[str, Any], overlays: dict[str, Rendered]) -> None:
    composed = {service["image"] for service in compose["services"].values()}

    assert {work.container["image"] for work in overlays["dev"].workloads} <= composed


def test_valkey_keeps_what_it_was_given(compose: dict[str, Any]) -> None:
    command = compose["services"]["valkey"]["command"].replace('""', "").split()
    settings = " ".join(DURABLE_SETTINGS).split()

    assert [word for word in settings if word not in command] == []
    assert compose["services"]["valkey"]["volumes"] == ["valkey:/data"]


def test_the_queue_is_reached_by_its_users_alone(compose: dict[str, Any]) -> None:
    on_it = {name for name, service in compose["services"].items() if "queue" in service["networks"]}

    assert on_it == {"valkey", "prometheus", *ROLES}
    assert compose["networks"]["queue"] == {"internal": True}
    assert compose["services"]["valkey"]["networks"] == ["queue"]


def test_prometheus_scrapes_every_copy_of_every_service(compose: dict[str, Any]) -> None:
    (scrape,) = yaml.safe_load(compose["configs"]["prometheus"]["content"])["scrape_configs"]

    assert scrape["job_name"] == "reliable-email"
    assert scrape["dns_sd_configs"] == [{"names": list(ROLES), "type": "A", "port": 9525, "refresh_interval": "5s"}]
