from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from shared.domain.errors import ConfigurationError, Fault
from shared.providers.http.options import HttpOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(HttpOptions):
    """A kind that knows its address from another key."""

    base_url: str = ""
    region: str

    @property
    def address(self) -> str:
        return self.base_url or f"https://{self.region}.example.com"

    def faults(self) -> Iterable[Fault]:
        if not self.region.isalnum():
            yield Fault("region", "invalid_region", "It is no region")


@pytest.mark.parametrize(
    "address",
    [
        "https://api.example.com",
        "https://api.example.com/v3",
        "https://[2001:db8::1]:8443",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]",
    ],
)
def test_an_address_with_tls_or_on_loopback_is_taken(address: str) -> None:
    assert HttpOptions(base_url=address).address == address


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("", "invalid_url"),
        ("api.example.com", "invalid_url"),
        ("ftp://api.example.com", "invalid_url"),
        ("https://", "invalid_url"),
        ("https://[::1", "invalid_url"),
        ("https://api.example.com:0", "invalid_url"),
        ("https://api.example.com:99999", "invalid_url"),
        ("https://api.example.com?key=1", "invalid_url"),
        ("https://api.example.com#v3", "invalid_url"),
        ("https://api.example.com/", "invalid_url"),
        ("https://user:secret@api.example.com", "insecure"),
        ("https://user@api.example.com", "insecure"),
        ("http://api.example.com", "insecure"),
        ("http://192.0.2.1", "insecure"),
    ],
)
def test_an_address_that_cannot_be_one_or_shows_a_key_is_refused(address: str, code: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        HttpOptions(base_url=address)
    assert [(fault.where, fault.code) for fault in refusal.value.faults] == [("base_url", code)]


def test_a_kind_may_know_its_address_from_another_key() -> None:
    assert Derived(region="north").address == "https://north.example.com"


def test_a_given_address_wins_over_a_derived_one() -> None:
    assert Derived(region="north", base_url="https://own.example.com").address == "https://own.example.com"


def test_a_kinds_own_key_is_to_blame_before_the_address_that_is_made_from_it() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        Derived(region="no/where")
    assert [fault.where for fault in refusal.value.faults] == ["region"]
