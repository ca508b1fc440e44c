"""Who is let in."""

from __future__ import annotations

import pytest

from services.frontend import auth
from services.frontend.auth import FAILURES, WINDOW_SECONDS, Failures, client_of
from shared.domain.errors import ConfigurationError
from tests.services.frontend.running import Running, Start

KEY, OTHER = "rmk_0123456789abcdef", "rmk_fedcba9876543210"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
async def guarded(start: Start) -> Running:
    return await start(keys=(KEY, OTHER))


@pytest.mark.parametrize("key", [KEY, OTHER])
async def test_every_key_of_the_configuration_lets_in(guarded: Running, key: str) -> None:
    assert (await guarded.submit(http_headers=bearer(key))).status == 202


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        bearer(KEY[:-1]),
        bearer(KEY + "x"),
        bearer("schlüssel"),
        {"X-Api-Key": KEY},
    ],
)
async def test_without_a_key_nobody_is_let_in(guarded: Running, headers: dict[str, str]) -> None:
    answer = await guarded.submit(http_headers=headers)

    assert (answer.status, answer.code, answer.headers["WWW-Authenticate"]) == (401, "unauthenticated", "Bearer")


async def test_the_scheme_knows_no_case(guarded: Running) -> None:
    assert (await guarded.get("/v1", headers={"Authorization": f"bearer {KEY}"})).status == 200


@pytest.mark.parametrize("path", ["/v1", "/v1/messages", "/v1/messages/x", "/v1/queue", "/v1/providers", "/v1/x", "/x"])
async def test_without_a_key_nothing_is_told(guarded: Running, path: str) -> None:
    assert (await guarded.get(path)).status == 401


async def test_a_key_is_asked_for_before_anything_is_read(guarded: Running) -> None:
    assert (await guarded.post("/v1/messages", b"\0")).status == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_probes_need_no_key(guarded: Running, path: str) -> None:
    assert (await guarded.get(path)).status == 200


async def test_too_many_wrong_keys_are_told_to_wait(guarded: Running) -> None:
    answers = [await guarded.get("/v1", headers=bearer("wrong")) for _ in range(FAILURES + 1)]

    assert [answer.status for answer in answers] == [401] * FAILURES + [429]
    assert answers[-1].code == "rate_limited"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= WINDOW_SECONDS


async def test_wrong_keys_do_not_lock_out_a_right_one(guarded: Running) -> None:
    for _ in range(FAILURES + 1):
        await guarded.get("/v1", headers=bearer("wrong"))

    assert (await guarded.get("/v1", headers=bearer(KEY))).status == 200


async def test_no_secret_is_logged(guarded: Running, capsys: pytest.CaptureFixture[str]) -> None:
    await guarded.get("/v1", headers=bearer("a-wrong-secret"))
    await guarded.get("/v1", headers=bearer(KEY))

    logged = capsys.readouterr().out
    assert "request_unauthenticated" in logged
    assert KEY not in logged
    assert "a-wrong-secret" not in logged


# Without keys


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8525", "localhost:8525", "LOCALHOST", "[::1]:8525"])
async def test_without_keys_this_machine_is_served(frontend: Running, host: str) -> None:
    assert (await frontend.get("/v1", headers={"Host": host})).status == 200


@pytest.mark.parametrize(
    "host", ["mail.example.com", "localhost.example.com", "10.0.0.1:8525", "[", "127.0.0.1.nip.io"]
)
async def test_without_keys_no_other_name_is_served(frontend: Running, host: str) -> None:
    answer = await frontend.get("/v1", headers={"Host": host})

    assert (answer.status, answer.code) == (403, "forbidden")


@pytest.mark.parametrize("origin", ["https://example.com", "null", "http://localhost.example.com"])
async def test_without_keys_no_page_from_elsewhere_is_served(frontend: Running, origin: str) -> None:
    assert (await frontend.submit(http_headers={"Origin": origin})).status == 403


async def test_without_keys_a_page_of_this_machine_is_served(frontend: Running) -> None:
    assert (await frontend.submit(http_headers={"Origin": "http://localhost:3000"})).status == 202


async def test_with_keys_any_name_is_served(guarded: Running) -> None:
    headers = {**bearer(KEY), "Host": "mail.example.com", "Origin": "https://example.com"}

    assert (await guarded.get("/v1", headers=headers)).status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "mail.example.com"])  # noqa: S104 - refused
async def test_without_keys_no_other_address_is_listened_on(start: Start, host: str) -> None:
    with pytest.raises(ConfigurationError, match=r"frontend\.keys"):
        await start(host=host)


async def test_with_keys_every_address_may_be_listened_on(start: Start) -> None:
    frontend = await start(host="0.0.0.0", keys=(KEY,))  # noqa: S104 - for a moment

    assert (await frontend.get("/v1", headers=bearer(KEY))).status == 200


# The count of failures


def test_failures_are_forgotten_after_a_minute() -> None:
    failures = Failures()
    for _ in range(FAILURES):
        failures.note("a", 0.0)

    assert failures.note("a", 59.0) == 1.0
    assert failures.note("a", 60.0) is None


def test_failures_of_one_client_are_not_another_s() -> None:
    failures = Failures()
    for _ in range(FAILURES):
        failures.note("a", 0.0)

    assert failures.note("b", 0.0) is None


def test_what_was_refused_is_no_further_failure() -> None:
    failures = Failures()
    for second in range(FAILURES):
        failures.note("a", float(second))
    for _ in range(100):
        failures.note("a", 30.0)

    assert failures.note("a", 60.0) is None


def test_only_so_many_clients_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "_REMEMBERED", 2)
    failures = Failures()
    for client in "abc":
        for _ in range(FAILURES):
            failures.note(client, 0.0)

    assert failures.note("a", 0.0) is None
    assert failures.note("c", 0.0) is not None


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1", "2001:db8::/64"),
        (None, "unknown"),
        ("", "unknown"),
    ],
)
def test_an_address_stands_for_a_client(address: str | None, client: str) -> None:
    assert client_of(address) == client
