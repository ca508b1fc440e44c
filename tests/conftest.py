"""What holds for every test of the house."""

from __future__ import annotations

from hypothesis import settings

# The same examples on every run, and no verdict from a slow machine. `--hypothesis-profile search` looks further.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("search", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("repeatable")
