"""Chance, from a seed: each purpose has a stream of its own, so that one policy's draws move no other's arrivals."""

from __future__ import annotations

from random import Random


def dice(seed: int, purpose: str) -> Random:
    """Return the stream of chance for a purpose; the same on every machine."""
    return Random(f"{seed}/{purpose}")  # noqa: S311 - a simulation must be repeatable, not secret
