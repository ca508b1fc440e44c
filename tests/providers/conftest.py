"""What the tests of all kinds share."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.fakes.certificate import make_certificate

# pytest-asyncio asks for the loop that was current before its own; up to Python 3.13 asking makes one, and nobody
# closes it. Once there was explicitly none, there is none to make.
asyncio.set_event_loop(None)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, which is its own authority, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost", "IP:127.0.0.1")
