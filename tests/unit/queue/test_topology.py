"""Which servers a URL names, and what each of them is shown."""

from __future__ import annotations

import pytest

from shared.domain.errors import ConfigurationError
from shared.domain.secret import Secret
from shared.queue.topology import Address, Cluster, Passwords, Sentinel, Single, Topology, parse
from shared.settings.model import RedisSettings

PASSWORDS = Passwords("of-redis", "of-sentinel")


@pytest.mark.parametrize(
    ("url", "topology"),
    [
        ("redis://db:1", Single(Address("db", 1))),
        ("redis-sentinel://h1,h2/main", Sentinel((Address("h1", 26_379), Address("h2", 26_379)), "main")),
        ("redis-cluster://h1,h2", Cluster((Address("h1", 6_379), Address("h2", 6_379)))),
    ],
)
def test_a_url_names_a_topology(url: str, topology: Topology) -> None:
    assert parse(url)[0] == topology


def test_a_url_that_cannot_be_read_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse("redis://db:65536")

    assert [fault.where for fault in caught.value.faults] == ["redis.url"]


@pytest.mark.parametrize("url", ["redis://user@db/3", "redis-sentinel://user@db/main/3"])
def test_redis_is_shown_its_user_password_and_database(url: str) -> None:
    topology, options = parse(url, PASSWORDS)

    assert topology.options_of(Address("primary", 6_379), options) == {
        "tls": False,
        "db": 3,
        "username": "user",
        "password": "of-redis",
    }


@pytest.mark.parametrize(
    ("passwords", "shown"),
    [(Passwords("of-redis"), {"tls": True}), (PASSWORDS, {"tls": True, "password": "of-sentinel"})],
)
def test_a_sentinel_is_shown_nothing_of_redis(passwords: Passwords, shown: dict[str, object]) -> None:
    topology, options = parse("rediss-sentinel://user@h1/main/3", passwords)

    assert topology.options_of(Address("h1", 26_379), options) == shown


def test_passwords_are_read_from_the_configuration() -> None:
    settings = RedisSettings(password=Secret("of-redis"), sentinel_password=Secret("of-sentinel"))

    assert Passwords.of(settings) == PASSWORDS
    assert Passwords.of(RedisSettings()) == Passwords()


def test_no_password_is_shown_by_accident() -> None:
    assert "of-" not in repr((PASSWORDS, parse("redis-sentinel://h1/main", PASSWORDS)[0]))
