"""A real frontend with a real Valkey, as the frontend's own tests have it."""

from __future__ import annotations

from tests.services.frontend.conftest import start, valkey

__all__ = ["start", "valkey"]
