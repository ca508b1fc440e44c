from __future__ import annotations

import pytest

from shared.domain.secret import Secret
from shared.runtime.redaction import MASK, hash_recipient, is_secret_name, redact, redact_text, use_hash_key

ADDRESS = "ada@example.org"


@pytest.mark.parametrize(
    "name",
    ["password", "secret", "token", "Authorization", "api_key", "server_token", "session_token", "secret_access_key",
     "private_key", "smtp_password", "client_secret", "X-Postmark-Server-Token", "cookie", "api_keys"],
)  # fmt: skip
def test_a_field_with_the_name_of_a_secret_is_masked(name: str) -> None:
    assert redact(None, "debug", {name: "hunter2"}) == {name: MASK}


@pytest.mark.parametrize("name", ["lease_token", "operation_token"])
def test_a_fence_of_the_queue_is_no_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize("name", ["secretary", "access_key_id", "idempotency", "passwordless_login"])
def test_a_name_that_only_begins_like_a_secret_is_shown(name: str) -> None:
    assert not is_secret_name(name)


def test_a_secret_inside_a_structure_is_masked() -> None:
    fields = {"providers": [{"name": "ses", "options": {"api_key": "hunter2"}}]}

    assert redact(None, "info", fields) == {"providers": [{"name": "ses", "options": {"api_key": MASK}}]}


def test_a_secret_object_never_shows_its_text() -> None:
    assert "hunter2" not in str(redact(None, "debug", {"value": Secret("hunter2"), "all": [Secret("hunter2")]}))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:hunter2@db:6379/0", f"redis://{MASK}@db:6379/0"),
        ("rediss://:hunter2@db/0", f"rediss://{MASK}@db/0"),
        ("smtp://user:p@ss@relay:587", f"smtp://{MASK}@relay:587"),
        ("Authorization: Bearer abcdef123456", f"Authorization: Bearer {MASK}"),
        ("authorization: basic dXNlcjpwYXNz", f"authorization: basic {MASK}"),
        ("key rmk_0123456789abcdef0123 refused", f"key {MASK} refused"),
        ("SG.0123456789abcdef.0123456789", MASK),
        ("http://127.0.0.1:8525/v1", "http://127.0.0.1:8525/v1"),
    ],
)
def test_a_credential_inside_a_text_is_masked(text: str, shown: str) -> None:
    assert redact_text(text) == shown


@pytest.mark.parametrize("method", ["info", "warning", "error", "critical"])
def test_an_address_above_debug_is_shown_as_its_hash(method: str) -> None:
    fields = redact(None, method, {"detail": f"550 5.1.1 <{ADDRESS}> User unknown"})

    assert fields == {"detail": f"550 5.1.1 <{hash_recipient(ADDRESS)}> User unknown"}


def test_an_address_at_debug_is_shown() -> None:
    assert redact(None, "debug", {"to": ADDRESS}) == {"to": ADDRESS}


@pytest.mark.parametrize(
    "address", ['"a b"@example.org', "grün@bücher.example", "a+b.c@mail.example.co.uk", "root@localhost"]
)
def test_unusual_addresses_are_found_too(address: str) -> None:
    local = address.rpartition("@")[0]

    assert local not in redact_text(f"RCPT TO:<{address}> refused")


def test_the_message_id_of_our_own_making_is_shown() -> None:
    header = "<msg_01kas3v7q2f8x4m9d0w5t6y1zc03@example.com>"

    assert redact_text(header) == header


def test_a_hash_tells_the_domain_and_not_the_person() -> None:
    local, _, domain = hash_recipient(ADDRESS).partition("@")

    assert domain == "example.org"
    assert local != "ada"


def test_a_hash_does_not_depend_on_case() -> None:
    assert hash_recipient("Ada@Example.org") == hash_recipient(ADDRESS)


def test_a_hash_depends_on_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.runtime.redaction._key", b"one")
    before = hash_recipient(ADDRESS)
    use_hash_key(b"other")

    assert hash_recipient(ADDRESS) != before


def test_numbers_stay_numbers() -> None:
    fields = {"count": 3, "seconds": 0.5, "begun": True, "pool": None}

    assert redact(None, "info", dict(fields)) == fields
