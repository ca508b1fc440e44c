"""Schemas of the custom resources that the manifests use: the fields used here and no others, as strict as can be.

Written after the definitions that the projects publish: KEDA 2.18 (`ScaledObject`, and the metadata of its trigger
`prometheus`), the Prometheus operator 0.85 (`PodMonitor`, `PrometheusRule`) and the Gateway API 1.3 (`Gateway`,
`HTTPRoute`). A field that is missing here is to be looked up there before it is added.
"""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]

_TEXT: Final = {"type": "string", "minLength": 1}
_TEXTS: Final = {"type": "array", "items": _TEXT, "minItems": 1}
_WORDS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_COUNT: Final = {"type": "integer", "minimum": 0}
_DURATION: Final = {"type": "string", "pattern": r"^([0-9]+(ms|[smhdwy]))+$"}
_DECIMAL: Final = {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}
_HOST: Final = {"type": "string", "pattern": r"^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$"}


def _table(must: Schema, may: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": list(must),
        "properties": {**must, **(may or {})},
        "additionalProperties": False,
    }


def _list(item: Schema) -> Schema:
    return {"type": "array", "items": item, "minItems": 1}


def _kind(api: str, kind: str, spec: Schema) -> Schema:
    metadata = _table({"name": _TEXT}, {"namespace": _TEXT, "labels": _WORDS, "annotations": _WORDS})
    return _table({"apiVersion": {"const": api}, "kind": {"const": kind}, "metadata": metadata, "spec": spec})


_SELECTOR: Final = _table({"matchLabels": _WORDS})

_SCALING: Final = _table(
    {
        "policies": _list(
            _table(
                {
                    "type": {"enum": ["Pods", "Percent"]},
                    "value": {"type": "integer", "minimum": 1},
                    "periodSeconds": _COUNT,
                }
            )
        )
    },
    {"stabilizationWindowSeconds": {"type": "integer", "minimum": 0, "maximum": 3_600}},
)

_PROMETHEUS_TRIGGER: Final = _table(
    {
        "type": {"const": "prometheus"},
        "metadata": _table(
            {"serverAddress": {"type": "string", "pattern": "^https?://"}, "query": _TEXT, "threshold": _DECIMAL},
            {"activationThreshold": _DECIMAL, "ignoreNullValues": {"enum": ["true", "false"]}},
        ),
    },
    {"name": _TEXT, "metricType": {"enum": ["Value", "AverageValue"]}},
)

_RULE: Final = {
    "type": "object",
    "required": ["expr"],
    "oneOf": [{"required": ["alert"]}, {"required": ["record"], "properties": {"for": False, "annotations": False}}],
    "properties": {
        "alert": _TEXT,
        "record": {"type": "string", "pattern": "^[a-zA-Z_:][a-zA-Z0-9_:]*$"},
        "expr": {"type": ["string", "integer"]},
        "for": _DURATION,
        "keep_firing_for": _DURATION,
        "labels": _WORDS,
        "annotations": _WORDS,
    },
    "additionalProperties": False,
}

SCHEMAS: Final[dict[str, Schema]] = {
    "ScaledObject": _kind(
        "keda.sh/v1alpha1",
        "ScaledObject",
        _table(
            {
                "scaleTargetRef": _table({"name": _TEXT}, {"apiVersion": _TEXT, "kind": _TEXT}),
                "triggers": _list(_PROMETHEUS_TRIGGER),
            },
            {
                "minReplicaCount": _COUNT,
                "maxReplicaCount": _COUNT,
                "pollingInterval": _COUNT,
                "cooldownPeriod": _COUNT,
                "fallback": _table({"failureThreshold": _COUNT, "replicas": _COUNT}),
                "advanced": _table(
                    {
                        "horizontalPodAutoscalerConfig": _table(
                            {"behavior": _table({"scaleUp": _SCALING, "scaleDown": _SCALING})}
                        )
                    }
                ),
            },
        ),
    ),
    "PodMonitor": _kind(
        "monitoring.coreos.com/v1",
        "PodMonitor",
        _table(
            {
                "selector": _SELECTOR,
                "podMetricsEndpoints": _list(
                    _table({"port": _TEXT}, {"path": _TEXT, "interval": _DURATION, "scrapeTimeout": _DURATION})
                ),
            },
            {"jobLabel": _TEXT, "podTargetLabels": _TEXTS},
        ),
    ),
    "PrometheusRule": _kind(
        "monitoring.coreos.com/v1",
        "PrometheusRule",
        _table(
            {
                "groups": {
                    "type": "array",
                    "items": _table(
                        {"name": _TEXT, "rules": _list(_RULE)},
                        {"interval": _DURATION, "limit": _COUNT, "labels": _WORDS, "query_offset": _DURATION},
                    ),
                }
            }
        ),
    ),
    "Gateway": _kind(
        "gateway.networking.k8s.io/v1",
        "Gateway",
        _table(
            {
                "gatewayClassName": _TEXT,
                "listeners": _list(
                    _table(
                        {"name": _TEXT, "port": {"type": "integer"}, "protocol": {"enum": ["HTTP", "HTTPS", "TLS"]}},
                        {
                            "hostname": _HOST,
                            "tls": _table(
                                {"certificateRefs": _list(_table({"name": _TEXT}))},
                                {"mode": {"enum": ["Terminate", "Passthrough"]}},
                            ),
                            "allowedRoutes": _table(
                                {"namespaces": _table({"from": {"enum": ["Same", "All", "Selector"]}})}
                            ),
                        },
                    )
                ),
            }
        ),
    ),
    "HTTPRoute": _kind(
        "gateway.networking.k8s.io/v1",
        "HTTPRoute",
        _table(
            {
                "parentRefs": _list(_table({"name": _TEXT}, {"sectionName": _TEXT, "namespace": _TEXT})),
                "rules": _list(
                    _table(
                        {"backendRefs": _list(_table({"name": _TEXT, "port": {"type": "integer"}}))},
                        {
                            "matches": _list(
                                _table(
                                    {
                                        "path": _table(
                                            {"type": {"enum": ["Exact", "PathPrefix"]}, "value": {"pattern": "^/"}}
                                        )
                                    }
                                )
                            )
                        },
                    )
                ),
            },
            {"hostnames": _list(_HOST)},
        ),
    ),
}
