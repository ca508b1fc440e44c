"""The service without its metrics, for nothing but the comparison: what it would be if nobody counted.

    python -m tests.bench.unmeasured frontend --config config.toml

Everything that is counted, set or observed is thrown away where the metrics' own library would take it.
"""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from reliable_email.cli import main


def _nothing(*_: object, **__: object) -> None:
    """Throw a value away."""


if __name__ == "__main__":
    for kind, verbs in ((Counter, ("inc",)), (Gauge, ("inc", "set", "set_function")), (Histogram, ("observe",))):
        for verb in verbs:
            setattr(kind, verb, _nothing)
    main()
