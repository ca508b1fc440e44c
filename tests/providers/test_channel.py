"""What a channel makes of adapters that batch, that know their requests by a key, and that can be asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from services.sender.transport import Channel, HttpConnections, joined_channel, open_channel
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.providers import registry
from shared.providers.http.options import HttpOptions
from shared.providers.interface import Capabilities, HttpRequest, Parcel, Phase, Reply, Unsendable
from shared.settings.model import ProviderSettings
from tests.fakes.http_server import CLOSE, HANG, HttpServer, answer
from tests.providers.parcels import envelope_to, parcel_of, parcel_to

ACCEPTED = Outcome.ACCEPTED
AMBIGUOUS = Outcome.AMBIGUOUS


@dataclass(frozen=True, slots=True, kw_only=True)
class PostOptions(HttpOptions):
    """Where messages are posted to."""

    remembers_seconds: float = 3600.0


class Post:
    """A service that takes a JSON list of messages, and answers with the outcome of each."""

    kind: ClassVar[str] = "post"
    Options: ClassVar[type[Any]] = PostOptions

    def capabilities(self, options: PostOptions) -> Capabilities:  # noqa: ARG002 - the protocol's argument
        return Capabilities()

    def build(self, parcel: Parcel, options: PostOptions) -> HttpRequest:
        return self.request([parcel], options)

    def classify(self, request: HttpRequest, reply: Reply) -> Verdict:
        return self.read(request, reply, 1)[0]

    def request(self, parcels: Sequence[Parcel], options: PostOptions) -> HttpRequest:
        for parcel in parcels:
            if "unsendable" in parcel.envelope.to[0].email:
                raise Unsendable("it cannot be written", Scope.PROVIDER)
        messages = [
            {
                "to": [parcel.envelope.recipients[number].email for number in parcel.recipients],
                "from": parcel.return_path,
                "key": parcel.deduplication_key,
                "thread": threading.current_thread() is threading.main_thread(),
            }
            for parcel in parcels
        ]
        return HttpRequest("POST", f"{options.base_url}/send", {}, json.dumps(messages).encode())

    def read(self, _: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:
        if reply.phase is not Phase.ANSWERED:
            outcome = AMBIGUOUS if reply.phase is Phase.SENT else Outcome.PROVIDER_DOWN
            return (Verdict(outcome, reply.error),) * count
        if reply.status == 200 and b"id" in reply.body:
            return (Verdict(ACCEPTED, "fine"),) * count
        return tuple(map(told, json.loads(reply.body)))


def told(outcome: str) -> Verdict:
    shares = [RecipientVerdict(position, Outcome(word)) for position, word in enumerate(outcome.split())]
    return Verdict(shares[0].outcome) if len(shares) == 1 else Verdict(Outcome.PARTIAL, recipients=tuple(shares))


class KeyedPost(Post):
    """The same, and a repetition makes no second copy."""

    is_keyed: ClassVar[bool] = True

    def remembers_seconds(self, options: PostOptions) -> float:
        return options.remembers_seconds


class ForgetfulPost(KeyedPost):
    """A newer kind of it, which knows no keys any more."""

    is_keyed: ClassVar[bool] = False


class BatchPost(Post):
    """The same, and unrelated messages may go together."""

    max_batch: ClassVar[int] = 3
    max_batch_bytes: ClassVar[int] = 5_000

    def may_join(self, parcel: Parcel, options: PostOptions) -> bool:  # noqa: ARG002 - the protocol's argument
        return not parcel.envelope.attachments and parcel.return_path != "bounces@alone.example"

    def build_batch(self, parcels: Sequence[Parcel], options: PostOptions) -> HttpRequest:
        return self.request(parcels, options)

    def classify_batch(self, request: HttpRequest, reply: Reply, count: int) -> tuple[Verdict, ...]:
        return self.read(request, reply, count)


class KeyedBatchPost(KeyedPost, BatchPost):
    """Both."""


class AskedPost(Post):
    """The same, and it can be asked for a message."""

    def build_lookup(self, parcel: Parcel, options: PostOptions) -> HttpRequest:
        if parcel.id == "":
            raise Unsendable("nothing to ask for")
        return HttpRequest("GET", f"{options.base_url}/find/{parcel.id}")

    def classify_lookup(self, request: HttpRequest, reply: Reply) -> Verdict | None:
        return self.read(request, reply, 1)[0] if reply.phase is Phase.ANSWERED and reply.status == 200 else None


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    async with HttpServer() as running:
        yield running


Open = Callable[..., Channel]


@pytest.fixture
async def open_as(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Open]:
    """Opens the channel of an adapter to the server; repetitions follow without a pause."""
    monkeypatch.setattr(joined_channel, "_REPEAT_AFTER_SECONDS", (0.0, 0.0))
    connections = HttpConnections()

    def open_as(adapter: Post, *, remembers_seconds: float = 3600, **more: Any) -> Channel:
        monkeypatch.setitem(registry._BUILT_IN, "post", adapter)
        options = PostOptions(base_url=server.url, remembers_seconds=remembers_seconds)
        settings = ProviderSettings(name="post", kind="post", options=options)
        return open_channel(replace(settings, **more), connections)

    yield open_as
    await connections.close()


def keyed(*recipients: str, serial: int = 0) -> Parcel:
    return replace(parcel_to(*recipients, serial=serial), deduplication_key=f"key-{serial}")


def says(*outcomes: str) -> Any:
    return answer("202 Accepted", json.dumps(outcomes).encode())


def outcomes(verdicts: Sequence[Verdict]) -> list[Outcome]:
    return [verdict.outcome for verdict in verdicts]


def sent(server: HttpServer) -> list[list[dict[str, Any]]]:
    """Return the messages of every request."""
    return [json.loads(request.body) for request in server.requests]


class TestOne:
    async def test_is_handed_over_over_http(self, server: HttpServer, open_as: Open) -> None:
        verdict = await open_as(Post()).deliver(parcel_to())

        assert (verdict.outcome, sent(server)[0][0]["to"]) == (ACCEPTED, ["ada@example.org"])

    async def test_recipients_are_told_by_their_numbers(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", says("accepted rejected"))
        verdict = await open_as(Post()).deliver(parcel_of(envelope_to("a@x.test", "b@x.test", "c@x.test"), 0, 2))

        assert [(share.index, share.outcome) for share in verdict.recipients] == [(0, ACCEPTED), (2, Outcome.REJECTED)]

    async def test_a_large_one_is_written_beside_the_event_loop(self, server: HttpServer, open_as: Open) -> None:
        await open_as(Post()).deliver(parcel_of(replace(envelope_to(), size_bytes=300_000)))
        await open_as(Post()).deliver(parcel_to())

        assert [messages[0]["thread"] for messages in sent(server)] == [False, True]

    async def test_one_that_cannot_be_written_is_rejected(self, server: HttpServer, open_as: Open) -> None:
        verdict = await open_as(Post()).deliver(parcel_to("unsendable@x.test"))

        assert (verdict, server.requests) == (Verdict(Outcome.REJECTED, "it cannot be written", Scope.PROVIDER), [])

    async def test_time_outs_are_those_of_the_settings(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", HANG)

        assert (await open_as(Post(), answer_seconds=0.05).deliver(parcel_to())).outcome is AMBIGUOUS

    async def test_without_connections_there_is_no_such_channel(self, open_as: Open) -> None:
        open_as(Post())
        settings = ProviderSettings(name="post", kind="post", options=PostOptions(base_url="http://localhost"))

        with pytest.raises(TypeError):
            open_channel(settings)


class TestRepetition:
    async def test_a_lost_answer_is_asked_for_by_the_same_request(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE)
        verdict = await open_as(KeyedPost()).deliver(keyed())

        assert verdict.outcome is ACCEPTED
        assert server.requests[0].body == server.requests[1].body

    async def test_it_is_asked_for_twice_and_then_in_doubt(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", *[CLOSE] * 9)
        verdict = await open_as(KeyedPost()).deliver(keyed())

        assert (verdict.outcome, len(server.requests)) == (AMBIGUOUS, 3)

    async def test_an_answer_that_leaves_doubt_is_as_good_as_lost(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", says("ambiguous"))

        assert (await open_as(KeyedPost()).deliver(keyed())).outcome is ACCEPTED

    @pytest.mark.parametrize("outcome", ["temporary", "throttled", "provider_down", "misconfigured"])
    async def test_a_repetition_that_is_not_served_says_nothing_of_the_first_time(
        self, outcome: str, server: HttpServer, open_as: Open
    ) -> None:
        server.plan("answer", CLOSE, says(outcome), says(outcome))

        assert (await open_as(KeyedPost()).deliver(keyed())).outcome is AMBIGUOUS

    async def test_nor_does_one_that_is_not_even_connected(self, server: HttpServer, open_as: Open) -> None:
        channel = open_as(KeyedPost())
        server.plan("answer", HANG)
        delivery = asyncio.create_task(channel.deliver(keyed()))
        await server.at("answer")
        await server.refuse()

        assert (await delivery).outcome is AMBIGUOUS

    async def test_a_refusal_of_the_repetition_is_one_of_the_request(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE, says("rejected"))

        assert (await open_as(KeyedPost()).deliver(keyed())).outcome is Outcome.REJECTED

    @pytest.mark.parametrize("outcome", ["accepted", "temporary", "rejected"])
    async def test_what_is_certain_is_not_asked_again(self, outcome: str, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", says(outcome))
        await open_as(KeyedPost()).deliver(keyed())

        assert len(server.requests) == 1

    async def test_without_a_key_nothing_is_repeated(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE, CLOSE, CLOSE)
        await open_as(Post()).deliver(keyed())
        await open_as(ForgetfulPost()).deliver(keyed())
        await open_as(KeyedPost()).deliver(parcel_to())

        assert len(server.requests) == 3

    async def test_once_the_service_may_have_forgotten_the_key_nothing_is_repeated(
        self, server: HttpServer, open_as: Open
    ) -> None:
        server.plan("answer", CLOSE)
        verdict = await open_as(KeyedPost(), remembers_seconds=0.0).deliver(keyed())

        assert (verdict.outcome, len(server.requests)) == (AMBIGUOUS, 1)

    async def test_a_service_that_stays_silent_does_not_hold_the_message_for_ever(
        self, server: HttpServer, open_as: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(joined_channel, "_REPEAT_WITHIN_SECONDS", 0.05)
        server.plan("answer", HANG, HANG)
        verdict = await open_as(KeyedPost(), answer_seconds=0.1).deliver(keyed())

        assert (verdict.outcome, len(server.requests)) == (AMBIGUOUS, 1)

    async def test_a_cancelled_one_ends_at_once(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE, HANG)
        delivery = asyncio.create_task(open_as(KeyedPost()).deliver(keyed()))
        await server.at("answer", 2)
        delivery.cancel()

        with pytest.raises(asyncio.CancelledError):
            await delivery
        await server.all_gone()


class TestBatch:
    async def test_goes_in_one_request(self, server: HttpServer, open_as: Open) -> None:
        parcels = [parcel_to(f"{name}@x.test") for name in "abc"]
        verdicts = await open_as(BatchPost()).deliver_batch(parcels)

        assert outcomes(verdicts) == [ACCEPTED] * 3
        assert [[message["to"] for message in messages] for messages in sent(server)] == [
            [["a@x.test"], ["b@x.test"], ["c@x.test"]]
        ]

    async def test_each_gets_its_own_verdict_and_numbers(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", says("rejected", "accepted temporary", "accepted"))
        several = envelope_to("a@x.test", "b@x.test", "c@x.test")
        verdicts = await open_as(BatchPost()).deliver_batch([parcel_to(), parcel_of(several, 1, 2), parcel_to()])

        assert outcomes(verdicts) == [Outcome.REJECTED, Outcome.PARTIAL, ACCEPTED]
        assert [share.index for share in verdicts[1].recipients] == [1, 2]

    async def test_a_lost_answer_leaves_all_in_doubt(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE)

        assert outcomes(await open_as(BatchPost()).deliver_batch([parcel_to()] * 2)) == [AMBIGUOUS] * 2

    async def test_one_that_cannot_be_written_does_not_hold_up_the_others(
        self, server: HttpServer, open_as: Open
    ) -> None:
        names = ("a@x.test", "unsendable@x.test", "b@x.test")
        verdicts = await open_as(BatchPost()).deliver_batch([parcel_to(name) for name in names])

        assert outcomes(verdicts) == [ACCEPTED, Outcome.REJECTED, ACCEPTED]
        assert [[message["to"] for message in messages] for messages in sent(server)] == [[["a@x.test"], ["b@x.test"]]]

    async def test_none_that_can_be_written_sends_nothing(self, server: HttpServer, open_as: Open) -> None:
        verdicts = await open_as(BatchPost()).deliver_batch([parcel_to("unsendable@x.test")] * 2)

        assert (outcomes(verdicts), server.requests) == ([Outcome.REJECTED] * 2, [])

    async def test_those_that_cannot_be_written_together_go_alone(
        self, server: HttpServer, open_as: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: Any) -> HttpRequest:
            raise Unsendable("not these together")

        monkeypatch.setattr(BatchPost, "build_batch", refuse)
        verdicts = await open_as(BatchPost()).deliver_batch([parcel_to()] * 2)

        assert (outcomes(verdicts), len(server.requests)) == ([ACCEPTED] * 2, 2)

    async def test_a_large_one_is_written_beside_the_event_loop(self, server: HttpServer, open_as: Open) -> None:
        parcel = parcel_of(replace(envelope_to(), size_bytes=100_000))
        await open_as(BatchPost()).deliver_batch([parcel] * 3)

        assert [message["thread"] for message in sent(server)[0]] == [False] * 3

    async def test_repeated_with_its_keys_it_is_settled(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE)
        verdicts = await open_as(KeyedBatchPost()).deliver_batch([keyed(serial=serial) for serial in range(2)])

        assert outcomes(verdicts) == [ACCEPTED] * 2
        assert server.requests[0].body == server.requests[1].body

    async def test_a_repetition_changes_only_what_was_in_doubt(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", says("rejected", "ambiguous", "ambiguous"), says("accepted", "accepted", "temporary"))
        verdicts = await open_as(KeyedBatchPost()).deliver_batch([keyed(serial=serial) for serial in range(3)])

        assert outcomes(verdicts[:2]) == [Outcome.REJECTED, ACCEPTED]

    async def test_with_a_parcel_that_has_no_key_nothing_is_repeated(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", CLOSE)
        await open_as(KeyedBatchPost()).deliver_batch([keyed(), parcel_to()])

        assert len(server.requests) == 1

    async def test_its_bounds_are_the_adapters(self, open_as: Open) -> None:
        channel = open_as(BatchPost())

        assert (channel.batch_limit, channel.max_batch_bytes) == (3, 5_000)

    async def test_who_may_join_is_said_of_the_parcel_as_it_will_go(self, open_as: Open) -> None:
        parcel = parcel_to()

        assert open_as(BatchPost()).may_join(parcel)
        assert not open_as(BatchPost(), return_path="bounces@alone.example").may_join(parcel)

    async def test_all_go_with_the_return_path_of_the_settings(self, server: HttpServer, open_as: Open) -> None:
        channel = open_as(BatchPost(), return_path="bounces@x.test")
        await channel.deliver_batch([parcel_to(), replace(parcel_to(), return_path="other@x.test")])

        assert [message["from"] for message in sent(server)[0]] == ["bounces@x.test", "other@x.test"]

    async def test_where_there_are_none_each_goes_alone(self, server: HttpServer, open_as: Open) -> None:
        channel = open_as(Post())

        assert (channel.batch_limit, channel.may_join(parcel_to())) == (1, False)
        assert outcomes(await channel.deliver_batch([parcel_to()] * 2)) == [ACCEPTED] * 2
        assert len(server.requests) == 2


class TestAsking:
    async def test_a_message_that_is_found_has_its_verdict(self, server: HttpServer, open_as: Open) -> None:
        parcel = parcel_to()
        verdict = await open_as(AskedPost()).ask(parcel)

        assert verdict is not None
        assert (verdict.outcome, server.requests[0].target) == (ACCEPTED, f"/find/{parcel.id}")

    async def test_recipients_are_told_by_their_numbers(self, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", answer("200 OK", json.dumps(["rejected accepted"]).encode()))
        verdict = await open_as(AskedPost()).ask(parcel_of(envelope_to("a@x.test", "b@x.test", "c@x.test"), 1, 2))

        assert verdict is not None
        assert [share.index for share in verdict.recipients] == [1, 2]

    @pytest.mark.parametrize("act", [CLOSE, answer("404 Not Found"), answer("500 Internal Server Error")])
    async def test_what_is_not_told_is_not_known(self, act: Any, server: HttpServer, open_as: Open) -> None:
        server.plan("answer", act, act)  # aiohttp repeats a GET once

        assert await open_as(AskedPost()).ask(parcel_to()) is None

    async def test_an_answer_is_not_waited_for_longer_than_it_is_worth(
        self, server: HttpServer, open_as: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(joined_channel, "_ASK_SECONDS", 0.05)
        server.plan("answer", HANG)

        assert await open_as(AskedPost()).ask(parcel_to()) is None
        await server.all_gone()

    async def test_what_cannot_be_asked_for_is_not_known(self, open_as: Open) -> None:
        assert await open_as(AskedPost()).ask(replace(parcel_to(), id="")) is None

    async def test_who_cannot_be_asked_is_not(self, server: HttpServer, open_as: Open) -> None:
        assert await open_as(Post()).ask(parcel_to()) is None
        assert server.requests == []
