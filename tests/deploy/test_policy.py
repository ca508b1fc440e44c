"""What every pod of every overlay must have, written down so that no overlay can lose it."""

from __future__ import annotations

import re

import pytest

from tests.deploy.manifests import ROLES, Manifest, Rendered

pytestmark = pytest.mark.deploy

#: What a container needs from SIGTERM on beyond its own grace period.
SPARE_SECONDS = 10


def names(manifests: list[Manifest]) -> list[str]:
    return [manifest["metadata"]["name"] for manifest in manifests]


def test_the_three_services_run(overlay: Rendered) -> None:
    assert set(overlay.ours) == set(ROLES)


def test_the_namespace_admits_only_restricted_pods(overlay: Rendered) -> None:
    (namespace,) = overlay.of_kind("Namespace")

    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_everything_is_in_that_namespace(overlay: Rendered) -> None:
    elsewhere = [
        one
        for one in overlay.manifests
        if one["kind"] != "Namespace" and one["metadata"].get("namespace") != "reliable-email"
    ]

    assert names(elsewhere) == []


def test_a_pod_is_nobody_and_may_do_nothing(overlay: Rendered) -> None:
    for work in overlay.workloads:
        pod, container = work.pod["securityContext"], work.container["securityContext"]

        assert pod["runAsNonRoot"] is True
        assert pod["runAsUser"] == pod["runAsGroup"] == 10001
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not work.pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert not any("hostPath" in volume for volume in work.pod["volumes"])


def test_a_pod_holds_no_token_and_hears_of_no_neighbour(overlay: Rendered) -> None:
    accounts = {account["metadata"]["name"]: account for account in overlay.of_kind("ServiceAccount")}
    for work in overlay.workloads:
        assert work.pod["automountServiceAccountToken"] is False
        assert work.pod["enableServiceLinks"] is False
        assert accounts[work.pod["serviceAccountName"]]["automountServiceAccountToken"] is False


def test_an_image_names_its_version(overlay: Rendered) -> None:
    for work in overlay.workloads:
        assert re.fullmatch(r"[a-z0-9./-]+(:v?\d+\.\d+[\w.-]*|@sha256:[0-9a-f]{64})", work.container["image"])
        assert work.container["imagePullPolicy"] == "IfNotPresent"


def test_memory_is_reserved_whole_and_cpu_is_not_throttled(overlay: Rendered) -> None:
    for work in overlay.workloads:
        resources = work.container["resources"]

        assert set(resources["requests"]) == {"cpu", "memory"}
        assert resources["limits"] == {"memory": resources["requests"]["memory"]}


def test_every_container_has_the_three_probes(overlay: Rendered) -> None:
    for work in overlay.workloads:
        assert {"startupProbe", "livenessProbe", "readinessProbe"} <= work.container.keys()


def test_nothing_but_config_and_secrets_is_mounted_into_our_containers_and_only_to_read(overlay: Rendered) -> None:
    for work in overlay.ours.values():
        assert all(mount["readOnly"] for mount in work.container["volumeMounts"])
        assert all(volume.keys() & {"configMap", "secret"} for volume in work.pod["volumes"])


def test_a_secret_can_be_read_by_its_group_alone(overlay: Rendered) -> None:
    for work in overlay.workloads:
        assert all(volume["secret"]["defaultMode"] == 0o440 for volume in work.pod["volumes"] if "secret" in volume)


def test_no_secret_stands_in_a_variable(overlay: Rendered) -> None:
    for work in overlay.workloads:
        assert not work.container.get("envFrom")
        assert not any("secretKeyRef" in variable.get("valueFrom", {}) for variable in work.container.get("env", []))


def test_a_role_gets_its_own_secrets_and_no_others(overlay: Rendered) -> None:
    files = {role: dict(overlay.files(work)) for role, work in overlay.ours.items()}
    passwords = {role: content["/run/secrets/redis/password"] for role, content in files.items()}

    assert len(set(passwords.values())) == len(ROLES)
    assert [role for role in ROLES if any(path.startswith("/run/secrets/keys/") for path in files[role])] == [
        "frontend"
    ]
    assert not any(
        path.startswith("/run/secrets/providers/") for role in ("frontend", "scheduler") for path in files[role]
    )


def test_every_deployment_has_one_budget_that_a_drained_machine_can_keep(overlay: Rendered) -> None:
    budgets = [
        (work.name, budget["spec"]["maxUnavailable"])
        for budget in overlay.of_kind("PodDisruptionBudget")
        for work in overlay.selected_by(budget["spec"]["selector"])
    ]

    assert sorted(budgets) == sorted((work.name, 1) for work in overlay.workloads if work.kind == "Deployment")


def test_pods_of_a_kind_spread_over_machines_and_zones(overlay: Rendered) -> None:
    for work in overlay.ours.values():
        spread = work.pod["topologySpreadConstraints"]

        assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for one in spread:
            assert one["labelSelector"]["matchLabels"].items() <= work.labels.items()
            assert "app.kubernetes.io/component" in one["matchLabelKeys"]


def test_a_rollout_takes_no_pod_away_before_another_is_ready(overlay: Rendered) -> None:
    for work in overlay.ours.values():
        assert work.manifest["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_a_selector_selects_its_own_pods_alone(overlay: Rendered) -> None:
    for work in overlay.workloads:
        assert [other.name for other in overlay.selected_by(work.manifest["spec"]["selector"])] == [work.name]


def test_a_service_leads_to_a_port_that_exists(overlay: Rendered) -> None:
    for service in overlay.of_kind("Service"):
        (work,) = overlay.selected_by({"matchLabels": service["spec"]["selector"]})

        assert {port["targetPort"] for port in service["spec"]["ports"]} <= work.ports.keys()


def test_nothing_may_be_reached_or_reach_out_unless_a_rule_says_so(overlay: Rendered) -> None:
    everyone = [
        policy["spec"]
        for policy in overlay.of_kind("NetworkPolicy")
        if policy["spec"]["podSelector"] == {} and not policy["spec"].keys() & {"ingress", "egress"}
    ]

    assert [sorted(spec["policyTypes"]) for spec in everyone] == [["Egress", "Ingress"]]


def test_every_workload_has_a_rule_for_who_reaches_it(overlay: Rendered) -> None:
    reached = {
        work.name
        for policy in overlay.of_kind("NetworkPolicy")
        if "ingress" in policy["spec"]
        for work in overlay.selected_by(policy["spec"]["podSelector"])
    }

    assert reached == {work.name for work in overlay.workloads}


def test_every_rule_names_ports_and_peers(overlay: Rendered) -> None:
    for policy in overlay.of_kind("NetworkPolicy"):
        for way, peers in (("ingress", "from"), ("egress", "to")):
            assert all(rule["ports"] and rule[peers] for rule in policy["spec"].get(way, []))


def test_a_port_that_a_rule_names_exists_where_it_leads(overlay: Rendered) -> None:
    for policy in overlay.of_kind("NetworkPolicy"):
        spec = policy["spec"]
        for rule in spec.get("ingress", []):
            for work in overlay.selected_by(spec["podSelector"]):
                assert {port["port"] for port in rule["ports"]} <= work.ports.keys()
        for rule in spec.get("egress", []):
            for peer in rule["to"]:
                for work in overlay.selected_by(peer["podSelector"]) if "podSelector" in peer else []:
                    assert {port["port"] for port in rule["ports"]} <= work.ports.keys()


def test_only_senders_reach_out_and_not_into_the_cluster(overlay: Rendered) -> None:
    outside = [
        (policy["spec"]["podSelector"], peer["ipBlock"])
        for policy in overlay.of_kind("NetworkPolicy")
        for rule in policy["spec"].get("egress", [])
        for peer in rule["to"]
        if peer.get("ipBlock", {}).get("cidr") in {"0.0.0.0/0", "::/0"}
    ]

    assert {work.name for selector, _ in outside for work in overlay.selected_by(selector)} == {"sender"}
    excepted = {block for _, ip in outside for block in ip["except"]}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"} <= excepted


def test_configuration_and_secrets_are_named_by_their_content(overlay: Rendered) -> None:
    files = [one for one in overlay.of_kind("ConfigMap") if one not in overlay.dashboards]
    generated = names([*files, *overlay.of_kind("Secret")])

    assert generated
    assert [name for name in generated if not re.search(r"-[a-z0-9]{10}$", name)] == []


def test_who_is_scaled_has_no_number_of_its_own(overlays: dict[str, Rendered]) -> None:
    production = overlays["production"]
    scalers = [*production.of_kind("HorizontalPodAutoscaler"), *production.of_kind("ScaledObject")]
    scaled = {scaler["spec"]["scaleTargetRef"]["name"] for scaler in scalers}

    assert scaled == {"frontend", "sender"}
    for name, work in production.ours.items():
        assert ("replicas" in work.manifest["spec"]) == (name not in scaled)


def test_two_of_everything_run_in_production(overlays: dict[str, Rendered]) -> None:
    production = overlays["production"]
    (frontends,) = production.of_kind("HorizontalPodAutoscaler")
    (senders,) = production.of_kind("ScaledObject")

    assert frontends["spec"]["minReplicas"] >= 2
    assert senders["spec"]["minReplicaCount"] >= 2
    assert production.ours["scheduler"].manifest["spec"]["replicas"] >= 2


def test_frontends_are_added_at_60_percent_of_the_core_that_one_can_use(overlays: dict[str, Rendered]) -> None:
    (scaler,) = overlays["production"].of_kind("HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]

    assert metric["resource"] == {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "600m"}}


def test_clients_are_spoken_with_through_tls(overlays: dict[str, Rendered]) -> None:
    (ingress,) = overlays["production"].of_kind("Ingress")
    (gateway,) = overlays["gateway"].of_kind("Gateway")

    assert [rule["host"] for rule in ingress["spec"]["rules"]] == ingress["spec"]["tls"][0]["hosts"]
    assert {listener["protocol"] for listener in gateway["spec"]["listeners"]} == {"HTTPS"}


def test_an_edge_leads_to_the_port_of_the_service(overlays: dict[str, Rendered]) -> None:
    (ingress,) = overlays["production"].of_kind("Ingress")
    (route,) = overlays["gateway"].of_kind("HTTPRoute")
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    service = overlays["production"].named("Service", path["backend"]["service"]["name"])
    (port,) = service["spec"]["ports"]

    assert path["backend"]["service"]["port"] == {"name": port["name"]}
    assert route["spec"]["rules"][0]["backendRefs"] == [{"name": service["metadata"]["name"], "port": port["port"]}]
