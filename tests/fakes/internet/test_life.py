"""Each act of a life does what it says, seen from a client's socket."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from tests.fakes.internet import Internet, acts
from tests.fakes.internet.by_hand import OURS, RIGHT, call_of
from tests.fakes.internet.desk import Desk
from tests.fakes.internet.sendgrid import SendgridDesk


class Client:
    """A client of one desk."""

    def __init__(self, desk: Desk, session: aiohttp.ClientSession) -> None:
        self.desk = desk
        self.session = session

    async def send(self, document: Any = None, *, seconds: float = 30) -> tuple[int, bytes]:
        call = call_of(self.desk, document)
        headers = {name: value for name, value in call.headers.items() if name != "host"}
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self.session.post(
            self.desk.url + call.path, data=io.BytesIO(call.body), headers=headers, timeout=timeout
        ) as got:
            return got.status, await got.read()

    async def headers(self) -> dict[str, str]:
        call = call_of(self.desk)
        async with self.session.post(self.desk.url + call.path, data=call.body, headers=dict(call.headers)) as got:
            return {name.lower(): value for name, value in got.headers.items()}


@pytest.fixture
async def internet() -> AsyncIterator[Internet]:
    async with Internet("sendgrid", "resend", "sendgrid:second") as running:
        yield running


@pytest.fixture
def desk(internet: Internet) -> SendgridDesk:
    return internet.desk_of(SendgridDesk)


@pytest.fixture
async def client(desk: SendgridDesk) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(desk, session)


async def test_healthy_takes_and_answers(client: Client, desk: Desk, internet: Internet) -> None:
    status, _ = await client.send()

    assert (status, desk.ledger.counts, internet.complaints) == (202, {OURS: 1}, [])


async def test_every_kind_listens_on_a_port_of_its_own() -> None:
    async with Internet() as internet:
        assert len({internet.desk(name).url for name in internet.names}) == 12


async def test_a_port_stays_the_same_and_its_own(desk: Desk) -> None:
    port = int(desk.url.rpartition(":")[2])
    for _ in range(3):
        desk.life.refuse()
        desk.life.heal()

    assert int(desk.url.rpartition(":")[2]) == port
    async with aiohttp.ClientSession() as session:
        assert (await Client(desk, session).send())[0] == 202


async def test_a_port_can_be_fixed(desk: Desk) -> None:
    port = int(desk.url.rpartition(":")[2])
    desk.life.refuse()
    async with Internet("resend", ports={"resend": port}) as other:
        assert other.desk("resend").url == desk.url


async def test_desks_of_one_kind_have_lives_of_their_own(internet: Internet, client: Client) -> None:
    internet.desk("sendgrid:second").life.refuse()

    assert (await client.send())[0] == 202


async def test_fails_by_name(client: Client, desk: Desk) -> None:
    desk.life.fail("credits")

    status, body = await client.send()
    assert (status, b"Maximum credits exceeded" in body, desk.ledger.taken) == (401, True, [])


async def test_fails_by_status(client: Client, desk: Desk) -> None:
    desk.life.fail(503, retry_after="7")

    assert (await client.headers())["retry-after"] == "7"
    assert desk.ledger.answers == {503: 1}


async def test_an_unknown_status_is_a_page(client: Client, desk: Desk) -> None:
    desk.life.fail(502)

    status, body = await client.send()
    assert (status, body[:9]) == (502, b"<!DOCTYPE")


async def test_fails_a_share_and_so_many_times(client: Client, desk: Desk) -> None:
    desk.life.fail(503, share=0.5, times=5)

    statuses = [(await client.send())[0] for _ in range(40)]
    assert statuses.count(503) == 5
    assert 202 in statuses[:10]


async def test_shares_add_up(client: Client, desk: Desk) -> None:
    desk.life.fail(503, share=0.5)
    desk.life.fail(500, share=0.5)

    assert {(await client.send())[0] for _ in range(20)} == {500, 503}


async def test_heals(client: Client, desk: Desk) -> None:
    desk.life.fail(503)
    desk.life.script([acts.fail(500)])
    desk.life.review()
    desk.life.heal()

    assert (await client.send())[0] == 202


async def test_a_script_meets_one_request_each(client: Client, desk: Desk) -> None:
    desk.life.script([acts.fail(503), acts.PASS, acts.page(200), acts.fail(500).as_json()])

    assert [(await client.send())[0] for _ in range(5)] == [503, 202, 200, 500, 202]


async def test_refuses_connections_and_takes_them_again(client: Client, desk: Desk) -> None:
    await client.send()
    desk.life.refuse()

    with pytest.raises((aiohttp.ClientConnectorError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await client.send()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.send()
    desk.life.heal()
    assert (await client.send())[0] == 202


async def test_hangs_and_takes_nothing(client: Client, desk: Desk) -> None:
    desk.life.hang()

    with pytest.raises(TimeoutError):
        await client.send(seconds=0.05)
    await desk.ledger.until(lambda: desk.ledger.answers["lost"] == 1)
    assert desk.ledger.taken == []


async def test_hangs_and_takes_the_message(client: Client, desk: Desk) -> None:
    desk.life.hang(taken=True)

    with pytest.raises(TimeoutError):
        await client.send(seconds=0.05)
    assert await desk.ledger.reached(1)


async def test_deaf_reads_nothing_until_it_is_healed(client: Client, desk: Desk) -> None:
    desk.life.deafen()

    with pytest.raises(TimeoutError):
        await client.send(seconds=0.05)
    assert desk.ledger.arrivals == []
    desk.life.heal()
    assert (await client.send())[0] == 202


@pytest.mark.parametrize(
    ("act", "count"), [(acts.reset(), 0), (acts.reset(taken=True), 1), (acts.close(taken=True), 1)]
)
async def test_loses_answers(client: Client, desk: Desk, act: acts.Act, count: int) -> None:
    desk.life.act(act)

    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await client.send()
    assert len(desk.ledger.taken) == count


async def test_breaks_early(client: Client, desk: Desk) -> None:
    desk.life.break_early()

    with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
        await client.send()
    assert (desk.ledger.taken, desk.ledger.arrivals) == ([], [])


async def test_cuts_answers(internet: Internet) -> None:
    desk = internet.desk("resend")
    assert isinstance(desk, Desk)
    desk.life.cut_answers()

    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
            await Client(desk, session).send()
    assert len(desk.ledger.taken) == 1


async def test_drips_answers(internet: Internet) -> None:
    desk = internet.desk("resend")
    assert isinstance(desk, Desk)
    desk.life.drip(0.0)

    async with aiohttp.ClientSession() as session:
        _, body = await Client(desk, session).send()
    assert orjson.loads(body)["id"]


async def test_answers_with_garbage(client: Client, desk: Desk) -> None:
    desk.life.act(acts.garbage())

    with pytest.raises(aiohttp.ClientError):
        await client.send()
    assert len(desk.ledger.taken) == 1


async def test_answers_with_any_words(client: Client, desk: Desk) -> None:
    desk.life.act(acts.answer(207, "{}", ("X-A", "b")))

    assert await client.send() == (207, b"{}")
    assert len(desk.ledger.taken) == 1


async def test_a_page_takes_nothing(client: Client, desk: Desk) -> None:
    desk.life.page()

    status, body = await client.send()
    assert (status, body[:9], desk.ledger.taken) == (200, b"<!DOCTYPE", [])


async def test_under_review_nobody_is_let_in(client: Client, desk: Desk) -> None:
    desk.life.review()

    assert (await client.send())[0] == 401


async def test_throttles_beyond_the_burst(client: Client, desk: Desk) -> None:
    desk.life.throttle(rate=0.001, burst=3)

    assert [(await client.send())[0] for _ in range(4)] == [202, 202, 202, 429]
    assert int((await client.headers())["x-ratelimit-reset"]) > 1_700_000_000


async def test_a_bucket_fills_again(client: Client, desk: Desk) -> None:
    desk.life.throttle(rate=1e6, burst=1)

    assert [(await client.send())[0] for _ in range(3)] == [202] * 3


@pytest.mark.parametrize(("how", "has_header"), [("none", False), ("header", True)])
async def test_tells_the_wait_as_it_is_told(client: Client, desk: Desk, how: str, has_header: bool) -> None:
    desk.life.throttle(rate=0.01, burst=1, retry_after=how)
    await client.send()

    assert ("retry-after" in await client.headers()) is has_header


async def test_a_spent_quota_is_told_natively(client: Client, desk: Desk) -> None:
    desk.life.quota(1)

    assert [(await client.send())[0] for _ in range(2)] == [202, 401]


async def test_holds_requests_until_they_may_go(client: Client, desk: Desk) -> None:
    desk.life.hold()
    sending = asyncio.create_task(client.send())
    await desk.ledger.arrived(1)

    assert desk.ledger.taken == []
    desk.life.let_go()
    assert (await sending)[0] == 202


async def test_latency_is_drawn_from_its_seed() -> None:
    drawn = []
    for _ in range(2):
        async with Internet("sendgrid", seed=7) as internet:
            life = internet.desk("sendgrid").life
            life.latency(0.05, 0.5)
            drawn.append([life.delay() for _ in range(1_000)])

    assert drawn[0] == drawn[1]
    assert 0.045 < sorted(drawn[0])[500] < 0.055


async def test_closes_a_connection_after_so_many_answers(desk: Desk) -> None:
    desk.life.close_after(2)
    call = call_of(desk)
    head = "".join(f"{name}: {value}\r\n" for name, value in call.headers.items())
    request = f"POST {call.path} HTTP/1.1\r\n{head}Content-Length: {len(call.body)}\r\n\r\n".encode() + call.body
    reader, writer = await asyncio.open_connection("127.0.0.1", int(desk.url.rpartition(":")[2]))
    for _ in range(2):
        writer.write(request)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 202")

    assert await reader.read() == b""
    writer.close()


async def test_a_wrong_request_is_in_the_complaints(client: Client, internet: Internet) -> None:
    await client.send({"from": "nobody"})

    (complaint,) = internet.complaints
    assert complaint.desk == "sendgrid"


async def test_lookups_have_a_fate_of_their_own() -> None:
    async with Internet("postmark") as internet, aiohttp.ClientSession() as session:
        desk = internet.desk("postmark")
        assert isinstance(desk, Desk)
        desk.life.lose_answers()
        headers = {"X-Postmark-Server-Token": desk.credentials["server_token"], "Accept": "application/json"}
        url = f"{desk.url}/messages/outbound?metadata_id={OURS}&count=1&offset=0"
        counts = []
        for is_blind in (False, True):
            desk.life.lookups(blind=is_blind)
            if not is_blind:
                with pytest.raises((aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)):
                    await Client(desk, session).send()
            async with session.get(url, headers=headers) as got:
                counts.append((await got.json())["TotalCount"])

    assert (counts, desk.ledger.lookups) == ([1, 0], 2)


async def test_a_ledger_tells_the_busiest_window(client: Client, desk: Desk) -> None:
    for _ in range(5):
        await client.send()

    assert desk.ledger.busiest(60) == desk.ledger.busiest_arrivals(60) == 5
    assert desk.ledger.rate_seen(60) == 5 / 60
    assert desk.ledger.busiest(0.000_000_1) == 1
    assert desk.ledger.duplicates == {OURS: 5}


async def test_a_light_ledger_keeps_no_bodies() -> None:
    async with Internet("sendgrid", is_light=True) as internet, aiohttp.ClientSession() as session:
        desk = internet.desk("sendgrid")
        assert isinstance(desk, Desk)
        await Client(desk, session).send()

    assert (desk.ledger.taken[0].text, desk.ledger.taken[0].message_id) == ("", OURS)


async def test_bodies_of_some_megabytes_arrive(client: Client, desk: Desk) -> None:
    document = {**RIGHT["sendgrid"].document, "content": [{"type": "text/plain", "value": "x" * (4 << 20)}]}
    await client.send(document)

    assert len(desk.ledger.taken[0].text) == 4 << 20
