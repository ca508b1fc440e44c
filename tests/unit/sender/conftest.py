"""The log of these tests goes to a journal: stacks of planned crashes would fill the screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.sender.journal import Journal, kept_journal


@pytest.fixture(autouse=True)
def journal() -> Iterator[Journal]:
    with kept_journal() as journal:
        yield journal
