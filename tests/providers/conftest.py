"""What the tests of all kinds share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.certificate import make_certificate


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, which is its own authority, and its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost", "IP:127.0.0.1")
