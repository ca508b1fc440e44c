"""The internet in a process of its own."""

from __future__ import annotations

import aiohttp
import pytest

from tests.fakes.internet import acts
from tests.fakes.internet.by_hand import OURS, RIGHT
from tests.fakes.internet.control import Remote, RemoteDesk


async def send(desk: RemoteDesk, session: aiohttp.ClientSession) -> int:
    right = RIGHT["sendgrid"]
    headers = {**right.headers, "Authorization": f"Bearer {desk.credentials['api_key']}"}
    async with session.post(desk.url + right.path, json=right.document, headers=headers) as got:
        return got.status


async def test_a_life_is_scripted_and_a_ledger_read_from_another_process() -> None:
    async with Remote("sendgrid") as internet, aiohttp.ClientSession() as session:
        desk = internet.desk("sendgrid")
        await desk.life("script", script=[acts.fail("credits").as_json()])
        await desk.life("throttle", rate=0.001, burst=1)
        statuses = [await send(desk, session) for _ in range(3)]
        await desk.reached(1)
        ledger = await desk.ledger()
        complaints = await internet.complaints()

    assert statuses == [401, 202, 429]
    assert (ledger["count"], ledger["answers"], complaints) == (1, {"401": 1, "202": 1, "429": 1}, [])
    assert ledger["taken"][0]["message_id"] == OURS


async def test_only_a_life_is_called() -> None:
    async with Remote("sendgrid") as internet:
        with pytest.raises(aiohttp.ClientResponseError, match="404"):
            await internet.desk("sendgrid").life("meet")
