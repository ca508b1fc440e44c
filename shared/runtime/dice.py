"""The one source of chance; decisions take what it gave as an argument."""

from __future__ import annotations

import random


def draw() -> float:
    """Return a number in [0, 1). For spreading load, never for secrets."""
    return random.random()  # noqa: S311 - chance, not secrecy
