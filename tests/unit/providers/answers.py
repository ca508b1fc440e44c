"""Answers of services over HTTP, for the tests of each: literal ones, and any that could come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from hypothesis import strategies as st

from shared.providers.interface import Phase, Reply

#: The instant of every answer: Tue, 24 Nov 2026 12:00:00 UTC, in milliseconds.
NOW: Final = 1_795_521_600_000


def answer(status: int, body: Any = b"", headers: Mapping[str, str] | None = None) -> Reply:
    """Return a complete answer; a body that is no bytes travels as JSON."""
    octets = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(Phase.ANSWERED, status=status, headers=headers or {}, body=octets, at=NOW)


_TEXTS: Final = st.text(max_size=20) | st.sampled_from(["", "message", "1400", "try again after 9 seconds", "\udcff"])
_NUMBERS: Final = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False)


def documents(*keys: str) -> st.SearchStrategy[Any]:
    """Return any JSON, with a liking for these keys."""
    names = st.sampled_from(keys) | st.text(max_size=5)
    words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(["1400", "accepted"])
    leaves = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4), max_leaves=12
    )


def replies(*keys: str, headers: tuple[str, ...] = ()) -> st.SearchStrategy[Reply]:
    """Return any reply: every phase and status, garbage and JSON that looks like the service's."""
    names = st.sampled_from(["retry-after", "content-type", *headers])
    values = (
        _TEXTS
        | _NUMBERS.map(str)
        | st.sampled_from(
            ["Wed, 25 Nov 2026 00:00:00 -0000", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "inf", "nan", "1e999"]
        )
    )
    return st.builds(
        Reply,
        st.sampled_from([Phase.ANSWERED, Phase.ANSWERED, Phase.ANSWERED, *Phase]),
        st.sampled_from(["", "it broke"]),
        st.sampled_from(["", "reset", "certificate", "timeout"]),
        st.sampled_from([0, 200, 202, 400, 401, 403, 404, 408, 413, 420, 422, 429, 500, 502, 503])
        | st.integers(0, 999),
        st.dictionaries(names, values, max_size=3),
        st.binary(max_size=30) | documents(*keys).map(orjson.dumps),
        at=st.integers(0, 2**42),
    )
