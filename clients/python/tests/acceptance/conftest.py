"""A real frontend on a real Valkey, as the project's own tests run it."""

from __future__ import annotations

from tests.services.frontend.conftest import frontend, own_valkey, start, valkey

__all__ = ["frontend", "own_valkey", "start", "valkey"]
