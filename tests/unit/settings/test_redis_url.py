"""What a URL of Redis may be, and what is said where it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings.redis_url import BadRedisUrl, RedisUrl, parse_redis_url


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("redis://db", RedisUrl("single", False, (("db", 6_379),))),
        ("redis://localhost:6379/0", RedisUrl("single", False, (("localhost", 6_379),))),
        ("redis://db:1/15", RedisUrl("single", False, (("db", 1),), database=15)),
        ("redis://db:65535/", RedisUrl("single", False, (("db", 65_535),))),
        ("rediss://worker@[::1]", RedisUrl("single", True, (("::1", 6_379),), "worker")),
        ("redis://w%40rker@10.0.0.1", RedisUrl("single", False, (("10.0.0.1", 6_379),), "w@rker")),
        (
            "redis-sentinel://user@h1,h2:26380/main",
            RedisUrl("sentinel", False, (("h1", 26_379), ("h2", 26_380)), "user", "main"),
        ),
        ("rediss-sentinel://h1/main/3", RedisUrl("sentinel", True, (("h1", 26_379),), master="main", database=3)),
        ("redis-cluster://h1,h2:7000", RedisUrl("cluster", False, (("h1", 6_379), ("h2", 7_000)))),
        ("rediss-cluster://h1/", RedisUrl("cluster", True, (("h1", 6_379),))),
    ],
)
def test_a_url_is_read(url: str, read: RedisUrl) -> None:
    assert parse_redis_url(url) == read


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "visible ASCII"),
        ("redis://db\n", "visible ASCII"),
        ("redis://dä", "visible ASCII"),
        ("http://db", "forms"),
        ("redis+sentinel://db/main", "forms"),
        ("redis:/db", "forms"),
        ("redis://", "forms"),
        ("unix:///run/redis.sock", "forms"),
        ("redis://[::1", "hosts"),
        ("redis://user@", "Each host"),
        ("redis://:6379", "Each host"),
        ("redis://db:0", "Each host"),
        ("redis://db:65536", "Each host"),
        ("redis://db:http", "Each host"),
        ("redis://db:", "Each host"),
        ("redis-cluster://h1,,h2", "Each host"),
        ("redis-cluster://h1,h2:0", "Each host"),
        ("redis://h1,h2", "One server"),
        ("redis://db/main", "The database"),
        ("redis://db/-1", "The database"),
        ("redis://db/0/0", "The database"),
        ("redis-sentinel://h1/main/x", "The database"),
        ("redis-sentinel://h1", "Behind the Sentinels"),
        ("redis-sentinel://h1/", "Behind the Sentinels"),
        ("redis-cluster://h1/0", "no databases"),
        ("redis://db?db=1", "behind a ?"),
        ("redis://db?", "behind a ?"),
        ("redis://db#1", "behind a ?"),
        ("redis://:hunter2@db", "A password"),
        ("redis-sentinel://user:hunter2@h1/main", "A password"),
        ("redis://db?password=hunter2", "A password"),
    ],
)
def test_another_text_is_refused_with_words_that_help(url: str, words: str) -> None:
    with pytest.raises(BadRedisUrl) as caught:
        parse_redis_url(url)

    assert words in caught.value.detail
    assert "hunter2" not in caught.value.detail


@given(
    st.lists(
        st.sampled_from(
            ["redis", "s", "-sentinel", "-cluster", "://", "h1", ",", ":", "@", "[", "]", "/", "0", "?", "#"]
        )
        | st.text(max_size=3)
    ).map("".join)
)
def test_no_text_raises_anything_else(url: str) -> None:
    try:
        read = parse_redis_url(url)
    except BadRedisUrl:
        return
    assert read.hosts
    assert all(host and 1 <= port <= 65_535 for host, port in read.hosts)
