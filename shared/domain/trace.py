"""Where a message stands in a trace: the `traceparent` of W3C Trace Context, as text."""

from __future__ import annotations

import re
from typing import Final

# Level 1, section 3.2: version, trace id, parent id, flags. A later version may append fields to these four.
_TRACEPARENT: Final = re.compile(r"(?P<version>[0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?P<more>-.*)?")
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_INVALID_VERSION: Final = "ff"


def continued(header: str) -> str | None:
    """Return the `traceparent` to go on with, in the form of version 00, or None where the header names no trace.

    A malformed one is no fault of the request (W3C Trace Context, 4.3): the trace begins anew.
    """
    found = _TRACEPARENT.fullmatch(header)
    if found is None or found["version"] == _INVALID_VERSION or (found["version"] == "00" and found["more"]):
        return None
    _, trace_id, span_id, flags, _ = found.groups()
    if trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    return f"00-{trace_id}-{span_id}-{flags}"
