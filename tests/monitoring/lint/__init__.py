"""What makes a dashboard a good one, as rules that a machine keeps.

Those named `template-…`, `panel-…` and `target-…` are the rules of Grafana's dashboard-linter, written anew
in the little that a dashboard of ours can get wrong, and some of the house's own beside them.
"""

from __future__ import annotations

from tests.monitoring.lint import panels, targets, variables, whole
from tests.monitoring.lint.ruling import RULES, Fault, Known, faults

__all__ = ["RULES", "Fault", "Known", "faults", "panels", "targets", "variables", "whole"]
