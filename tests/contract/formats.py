"""What schemathesis cannot know of the texts that a request holds: how addresses and keys look."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

_LOCAL = st.from_regex(r"[a-z0-9]{1,16}(\.[a-z0-9]{1,8})?", fullmatch=True)
_DOMAIN = st.sampled_from(["example.com", "example.org", "mail.example.net", "bücher.example"])
_EMAILS = st.builds("{}@{}".format, _LOCAL, _DOMAIN)
_NAMES = st.from_regex(r"[A-Z][a-z]{1,12}( [A-Z][a-z]{1,12})?", fullmatch=True)

schemathesis.openapi.format("idn-email", _EMAILS)
schemathesis.openapi.format("mailbox", _EMAILS | st.builds("{} <{}>".format, _NAMES, _EMAILS))
