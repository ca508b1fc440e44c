"""The alerts in the cluster are those that stand beside the dashboards."""

from __future__ import annotations

import pytest

from tests.deploy import rules

pytestmark = pytest.mark.deploy


def test_the_alerts_of_the_cluster_are_fresh() -> None:
    assert rules.TARGET.read_text() == rules.prometheus_rule(), "`make manifests` writes it anew"
