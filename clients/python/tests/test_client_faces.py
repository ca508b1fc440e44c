"""The two faces are one client."""

from __future__ import annotations

import inspect

import pytest

from reliable_email_client import AsyncClient, Client

NAMES = sorted(name for name in vars(Client) if not name.startswith("_"))


def test_both_have_the_same_calls() -> None:
    assert sorted(name for name in vars(AsyncClient) if not name.startswith("_")) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if callable(getattr(Client, name))])
def test_a_call_takes_and_gives_the_same_in_both(name: str) -> None:
    blocking, other = inspect.signature(getattr(Client, name)), inspect.signature(getattr(AsyncClient, name))

    assert blocking.parameters == other.parameters
    assert str(other.return_annotation).replace("Async", "") == blocking.return_annotation


@pytest.mark.parametrize("name", [name for name in NAMES if callable(getattr(Client, name)) and name != "messages"])
def test_every_call_of_the_async_client_is_awaited(name: str) -> None:
    assert inspect.iscoroutinefunction(getattr(AsyncClient, name))


@pytest.mark.parametrize("name", NAMES)
def test_a_call_says_the_same_of_itself_in_both(name: str) -> None:
    assert getattr(AsyncClient, name).__doc__ == getattr(Client, name).__doc__
