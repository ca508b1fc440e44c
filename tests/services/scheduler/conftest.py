"""What the scheduler's tests share with the sender's: a real Valkey and a cluster of their own."""

from __future__ import annotations

from tests.services.sender.conftest import cluster, journal, open_cluster, other_smtp, server, smtp

__all__ = ["cluster", "journal", "open_cluster", "other_smtp", "server", "smtp"]
