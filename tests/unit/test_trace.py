"""The `traceparent` of W3C Trace Context, as clients send it."""

from __future__ import annotations

import pytest

from shared.domain.trace import continued

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_a_trace_is_gone_on_with_sampled_or_not(flags: str) -> None:
    assert continued(f"00-{TRACE_ID}-{SPAN_ID}-{flags}") == f"00-{TRACE_ID}-{SPAN_ID}-{flags}"


def test_of_a_later_version_the_fields_of_this_one_are_taken() -> None:
    assert continued(f"cc-{TRACE_ID}-{SPAN_ID}-01-what-comes-later") == GOOD


@pytest.mark.parametrize(
    "header",
    [
        "",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"cc-{TRACE_ID}-{SPAN_ID}-01.more",
    ],
)
def test_what_names_no_trace_is_passed_over(header: str) -> None:
    assert continued(header) is None
