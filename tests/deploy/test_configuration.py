"""The manifests and the code agree: arguments, variables, keys, ports, paths, metrics, grace periods."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from aiohttp import web

from reliable_email.cli.app import app
from services.frontend.auth import Door
from shared.runtime import metrics
from shared.runtime.metrics import Metrics
from shared.runtime.ops import Ops
from shared.settings.load import load
from shared.settings.model import Settings
from shared.settings.redis_url import parse_redis_url
from tests.deploy.manifests import OVERLAYS, ROLES, ROOT, Rendered
from tests.deploy.test_policy import SPARE_SECONDS

pytestmark = pytest.mark.deploy

#: Which secrets a role reads, as its command asks for them.
SECRETS_OF = {"frontend": {"redis", "frontend"}, "scheduler": {"redis"}, "sender": {"redis", "providers"}}

RUNS = [(name, role) for name in OVERLAYS for role in ROLES]


def settings_of(overlay: Rendered, role: str, folder: Path) -> Settings:
    """Load what a container gets by our own loader, its files below `folder`."""
    for path, content in overlay.files(overlay.ours[role]):
        file = folder / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.replace(b'"/run/', f'"{folder}/run/'.encode()))
    arguments = overlay.ours[role].container["args"]
    config = arguments[arguments.index("--config") + 1]
    return load(str(folder / config.removeprefix("/")), overlay.environment(role), secrets_of=SECRETS_OF[role])


@pytest.fixture(params=RUNS, ids=" ".join)
def run(
    request: pytest.FixtureRequest, overlays: dict[str, Rendered], tmp_path: Path
) -> tuple[Rendered, str, Settings]:
    """Each process of each overlay, with the settings that it would run with."""
    name, role = request.param
    return overlays[name], role, settings_of(overlays[name], role, tmp_path)


Run = tuple[Rendered, str, Settings]


def test_the_arguments_are_a_call_of_the_command(run: Run) -> None:
    overlay, role, _ = run
    command: Any = typer.main.get_command(app)
    name, *rest = overlay.ours[role].container["args"]

    parsed = command.commands[name].make_context(name, rest)

    assert (name, parsed.params) == (role, {"config": "/etc/reliable-email/config.toml"})
    assert "command" not in overlay.ours[role].container


def test_every_variable_of_ours_is_a_key_of_the_configuration(run: Run) -> None:
    overlay, role, settings = run
    ours = {name for name in overlay.environment(role) if name.startswith("RELIABLE_EMAIL_")}

    assert {name for name in ours if "__" not in name} == set()
    assert settings.ops.host == settings.frontend.host == "0.0.0.0"  # noqa: S104 - inside of a pod, behind its policies
    assert settings.logging.format == "json"


def test_no_variable_refers_to_one_that_is_not_there(run: Run) -> None:
    overlay, role, _ = run

    assert [text for text in overlay.environment(role).values() if "$(" in text] == []


def test_each_role_is_a_user_of_its_own_at_redis(run: Run) -> None:
    overlay, role, settings = run
    url = parse_redis_url(settings.redis.server)

    assert url.user == role
    assert (url.kind, url.tls) == {"dev": ("single", False), "production": ("cluster", True)}[overlay.name]
    assert settings.redis.password is not None
    assert len(settings.redis.password.reveal()) == 64


def test_a_frontend_lets_in_who_has_a_key(run: Run) -> None:
    _, role, settings = run
    if role == "frontend":
        assert [len(key.secret.reveal()) for key in settings.frontend.keys] == [64]
        assert Door(settings.frontend.keys, float) is not None


def test_a_container_opens_the_ports_that_its_process_listens_on(run: Run) -> None:
    overlay, role, settings = run
    listens = {"ops": settings.ops.port} | ({"http": settings.frontend.port} if role == "frontend" else {})

    assert overlay.ours[role].ports == listens


def test_probes_and_scrapes_ask_for_what_the_operations_port_serves(run: Run) -> None:
    overlay, role, settings = run
    ops = Ops(role, settings.ops.host, settings.ops.port, Metrics())
    served = {route.path for route in ops.probes()}
    container = overlay.ours[role].container
    probes = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}

    assert {name: probe["path"] for name, probe in probes.items()} == {
        "startup": "/healthz",
        "liveness": "/healthz",
        "readiness": "/readyz",
    }
    assert {probe["path"] for probe in probes.values()} == served
    assert {overlay.ours[role].ports[probe["port"]] for probe in probes.values()} == {settings.ops.port}


async def test_prometheus_reads_the_page_of_metrics(overlays: dict[str, Rendered]) -> None:
    (monitor,) = overlays["production"].of_kind("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ops = Ops("sender", "127.0.0.1", 0, Metrics())
    await ops.start()
    try:
        served = {resource.canonical for resource in _application(ops).router.resources()}
    finally:
        await ops.stop()

    assert endpoint["path"] in served
    works = overlays["production"].selected_by(monitor["spec"]["selector"])
    assert {work.name for work in works if endpoint["port"] in work.ports} == set(ROLES)


def _application(ops: Ops) -> web.Application:
    assert ops._runner is not None
    application = ops._runner.app
    assert isinstance(application, web.Application)
    return application


def test_a_pod_is_given_longer_than_its_process_takes_to_drain(run: Run) -> None:
    overlay, role, settings = run
    work = overlay.ours[role]
    sleep = work.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace = {part: getattr(settings, part).grace_seconds for part in ROLES}[role]

    assert work.pod["terminationGracePeriodSeconds"] >= sleep + grace + SPARE_SECONDS


def test_a_frontend_goes_on_serving_until_no_balancer_sends_it_anything(overlay: Rendered) -> None:
    work = overlay.ours["frontend"]
    probe = work.container["readinessProbe"]
    noticed_within = probe["periodSeconds"] * probe["failureThreshold"] + probe["timeoutSeconds"]

    assert work.container["lifecycle"]["preStop"]["sleep"]["seconds"] > noticed_within


def test_a_process_that_is_stuck_is_given_time_and_one_that_starts_too(overlay: Rendered) -> None:
    for work in overlay.ours.values():
        liveness, startup = work.container["livenessProbe"], work.container["startupProbe"]

        assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 30
        assert startup["periodSeconds"] * startup["failureThreshold"] >= 30


def test_memory_is_enough_for_what_a_process_may_hold(run: Run) -> None:
    overlay, role, settings = run
    limit = overlay.ours[role].container["resources"]["limits"]["memory"]
    mebibytes = int(limit[:-2]) * {"Mi": 1, "Gi": 1_024}[limit[-2:]]
    at_rest = 70
    # Measured with messages of 24 MB: bodies in flight, which share 256 MiB, take three times their size, leases four.
    held = {"frontend": 256 * 3, "scheduler": 0, "sender": settings.sender.buffer_megabytes * 4}[role]

    assert mebibytes >= at_rest + held


def test_scaling_asks_for_metrics_that_exist(overlays: dict[str, Rendered]) -> None:
    (scaler,) = overlays["production"].of_kind("ScaledObject")
    queries = [trigger["metadata"]["query"] for trigger in scaler["spec"]["triggers"]]
    known = {metric.name for metric in metrics.describe()}

    assert [set(re.findall(r"reliable_email_\w+", query)) - known for query in queries] == [set(), set()]
    assert all(f'namespace="{scaler["metadata"]["namespace"]}"' in query for query in queries)


def test_the_users_of_redis_are_those_that_the_documentation_gives() -> None:
    example = re.compile(r"^user (\w+) on \S+ (.*)$", re.MULTILINE)
    page = dict(example.findall((ROOT / "docs" / "operations.md").read_text()))
    file = dict(example.findall((ROOT / "k8s" / "redis" / "users.acl").read_text()))

    assert {role: file[role] for role in ROLES} == {role: page[role] for role in ROLES}


def test_valkey_keeps_what_it_was_given(overlays: dict[str, Rendered]) -> None:
    text = overlays["dev"].named("ConfigMap", "valkey")["data"]["valkey.conf"]

    assert {"appendonly yes", "appendfsync always", "maxmemory-policy noeviction"} <= set(text.splitlines())


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_page_tells_how_a_pod_ends(name: str, overlays: dict[str, Rendered]) -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    (row,) = re.findall(r"^\| `terminationGracePeriodSeconds`, at least (.*)$", page, re.MULTILINE)
    seconds = [overlays[name].ours[role].pod["terminationGracePeriodSeconds"] for role in ROLES]

    assert [int(text) for text in re.findall(r"(\d+) s", row)] == seconds


def test_every_file_that_the_page_names_is_there() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    named = {path for path in re.findall(r"k8s/[\w./-]+", page) if "mine" not in path and "/secrets/" not in path}

    assert [path for path in sorted(named) if not (ROOT / path.rstrip(".")).exists()] == []


def test_production_brings_every_dashboard_to_grafana(overlays: dict[str, Rendered]) -> None:
    brought = {name: text for one in overlays["production"].dashboards for name, text in one["data"].items()}

    assert brought == {path.name: path.read_text() for path in (ROOT / "grafana" / "dashboards").glob("*.json")}
