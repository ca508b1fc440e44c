"""The dashboards as code: `make dashboards` writes `grafana/dashboards` from what stands here.

A dashboard is data: sections, lines of panels, queries. How a kind of panel looks is said once, in `lines`,
`tables` and `kinds`; what all dashboards share, in `frame`. Colours have one meaning everywhere (`colours`), and
the numbers that judge latency come from `grafana/slo.toml`.
"""

from __future__ import annotations

import warnings

# The library recommends its second schema; the first is what every Grafana that is in use reads from a file.
warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
