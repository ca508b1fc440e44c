"""The manifests as the cluster would get them, and what the tests ask of them."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
OVERLAYS: Final = ("dev", "production")
#: The alternatives that no overlay takes; each is rendered with what it needs.
ALTERNATIVES: Final = ("gateway", "tracing")
ROLES: Final = ("frontend", "scheduler", "sender")

Manifest = dict[str, Any]


def render(folder: Path) -> list[Manifest]:
    """Return what `kubectl apply -k` would send, by the kubectl that the lock names."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def copy_with_secrets(target: Path) -> Path:
    """Copy `k8s`, and what it takes from `grafana`, and make its secrets there, as an operator does."""
    (target / "grafana").mkdir()
    shutil.copy(ROOT / "grafana" / "kustomization.yaml", target / "grafana")
    shutil.copytree(ROOT / "grafana" / "dashboards", target / "grafana" / "dashboards")
    copy = target / "k8s"
    shutil.copytree(ROOT / "k8s", copy, ignore=shutil.ignore_patterns("secrets"))
    for overlay in OVERLAYS:
        (copy / "overlays" / overlay / "secrets").mkdir()
        subprocess.run([copy / "secrets.sh", overlay], check=True, capture_output=True)
    (copy / "overlays" / "production" / "secrets" / "relay-password").write_text("a relay's password")
    return copy


def render_alternative(copy: Path, component: str) -> list[Manifest]:
    """Return the base with one component that no overlay takes."""
    folder = copy / "overlays" / component
    folder.mkdir(exist_ok=True)
    kustomization = {
        "namespace": "reliable-email",
        "resources": ["../../base"],
        "components": [f"../../components/{component}"],
        "images": [{"name": "reliable-email", "newTag": "0.1.0"}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return render(folder)


@dataclass(frozen=True)
class Workload:
    """A Deployment or a StatefulSet, with its pods' one container."""

    manifest: Manifest

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.manifest["spec"]["template"]["metadata"]["labels"]
        return labels

    @property
    def pod(self) -> Manifest:
        pod: Manifest = self.manifest["spec"]["template"]["spec"]
        return pod

    @property
    def container(self) -> Manifest:
        (container,) = self.pod["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container["ports"]}


class Rendered:
    """One overlay."""

    def __init__(self, name: str, manifests: list[Manifest]) -> None:
        self.name = name
        self.manifests = manifests

    def of_kind(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def named(self, kind: str, name: str) -> Manifest:
        """Return the one manifest of a kind and a name; a hash behind the name is not asked for."""
        (found,) = [one for one in self.of_kind(kind) if one["metadata"]["name"] in {name, self._hashed(kind, name)}]
        return found

    def _hashed(self, kind: str, name: str) -> str | None:
        pattern = re.compile(rf"{re.escape(name)}-[a-z0-9]{{10}}")
        return next((found for one in self.of_kind(kind) if pattern.fullmatch(found := one["metadata"]["name"])), None)

    @property
    def dashboards(self) -> list[Manifest]:
        """What Grafana's sidecar picks up: no pod of ours reads it."""
        return [one for one in self.of_kind("ConfigMap") if "grafana_dashboard" in one["metadata"].get("labels", {})]

    @property
    def workloads(self) -> list[Workload]:
        return [Workload(one) for one in self.manifests if one["kind"] in {"Deployment", "StatefulSet"}]

    @property
    def ours(self) -> dict[str, Workload]:
        """The Deployments that run our image, by role."""
        return {work.name: work for work in self.workloads if work.name in ROLES}

    def selected_by(self, selector: Manifest) -> list[Workload]:
        """Return the workloads whose pods a selector of labels matches; an empty one matches all."""
        wanted = selector.get("matchLabels", {}).items()
        return [work for work in self.workloads if wanted <= work.labels.items()]

    def environment(self, role: str) -> dict[str, str]:
        """Return the variables of a container as the kubelet sets them: in order, with those before put in."""
        variables: dict[str, str] = {}
        for variable in self.ours[role].container["env"]:
            variables[variable["name"]] = re.sub(
                r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), self._value(variable)
            )
        return variables

    def _value(self, variable: Manifest) -> str:
        if "value" in variable:
            return str(variable["value"])
        reference = variable["valueFrom"]["configMapKeyRef"]
        return str(self.named("ConfigMap", reference["name"])["data"][reference["key"]])

    def files(self, work: Workload) -> Iterator[tuple[str, bytes]]:
        """Yield path and content of every file that a ConfigMap or a Secret puts into a container."""
        mounts = {mount["name"]: mount["mountPath"] for mount in work.container["volumeMounts"]}
        for volume in work.pod["volumes"]:
            source = volume.get("configMap") or volume.get("secret") or {}
            name = source.get("name") or source.get("secretName")
            if name is None:
                continue
            content = self._content("ConfigMap" if "configMap" in volume else "Secret", name, source)
            items = source.get("items") or [{"key": key, "path": key} for key in content]
            for item in items:
                yield f"{mounts[volume['name']]}/{item['path']}", content[item["key"]]

    def _content(self, kind: str, name: str, source: Manifest) -> dict[str, bytes]:
        if source.get("optional") and all(one["metadata"]["name"] != name for one in self.of_kind(kind)):
            return {}
        data = self.named(kind, name)["data"]
        if kind == "ConfigMap":
            return {key: text.encode() for key, text in data.items()}
        return {key: base64.b64decode(text) for key, text in data.items()}
