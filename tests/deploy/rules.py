"""Writes the alerts of `grafana/rules` as a PrometheusRule for Kubernetes: `python -m tests.deploy.rules`.

Kustomize reads nothing outside of its own folder, so the rules stand there a second time;
`tests/deploy/test_rules.py` fails where the two differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
SOURCES: Final = ROOT / "grafana" / "rules"
TARGET: Final = ROOT / "k8s" / "components" / "monitoring" / "prometheusrule.yaml"

_NOTE: Final = "# Written by `make manifests` from grafana/rules; what stands here is changed there.\n"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # yaml ships no types
    """Leaves lines as they are, so that an expression is read as it was written."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Return a text of several lines as a block, any other as YAML likes it."""
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)


def prometheus_rule() -> str:
    """Return the manifest, with the groups of every file of rules, in the order of their names."""
    files = sorted([*SOURCES.glob("*.yaml"), *SOURCES.glob("*.yml")])
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    manifest: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "reliable-email", "labels": {"app.kubernetes.io/name": "reliable-email"}},
        "spec": {"groups": groups},
    }
    text: str = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return _NOTE + text


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule())
