"""What holds for every test of the house."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import settings

# pytest-asyncio asks for the loop that was current before its own; up to Python 3.13 asking makes one, and nobody
# closes it. Once there was explicitly none, there is none to make.
asyncio.set_event_loop(None)

# The same examples on every run, and no verdict from a slow machine. `--hypothesis-profile search` looks further.
settings.register_profile("repeatable", derandomize=True, deadline=None, database=None, print_blob=True)
settings.register_profile("search", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make contract` make more requests than every run does."""
    parser.addoption("--cases", type=int, default=0, help="requests that tests/contract makes at least")
