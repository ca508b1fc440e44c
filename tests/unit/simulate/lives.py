"""Small lives for tests, as text and as data."""

from __future__ import annotations

from reliable_email.simulate.life import Life
from reliable_email.simulate.life_file import parse_life

TWO = """
name = "two"
seconds = 40
drain_seconds = 100

[[arrivals]]
at = 0
per_second = 30
mix = {critical = 0.2, high = 0.2, normal = 0.3, bulk = 0.3}

[[providers]]
name = "a"
weight = 3
rate_per_second = 100
median_ms = 80

[[providers]]
name = "b"
rate_per_second = 100
median_ms = 120
"""

OUTAGE = (
    TWO
    + """
[[changes]]
provider = "a"
at = 10
until = 20
error = 1.0
"""
)

HANG = OUTAGE.replace("error = 1.0", "hang = 1.0")


def life(text: str = TWO) -> Life:
    return parse_life(text, "test.toml")
