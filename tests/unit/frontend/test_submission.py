from __future__ import annotations

import orjson
import pytest

from services.frontend.limits import Rules
from services.frontend.schema import SubmissionSchema
from shared.domain.message import Address, Attachment, OnAmbiguous, Priority, Submission
from shared.policy.routes import Route
from tests.unit.frontend.bodies import NOW, attachment, body, submit


def test_every_field_reaches_the_submission() -> None:
    submission = submit(
        orjson.loads(b"""
        {"from": {"email": "shop@example.com", "name": "Shop"},
         "to": [{"email": "ada@example.org", "name": "Ada Lovelace"}, "Grace Hopper <grace@example.net>"],
         "cc": "linus@example.net", "bcc": ["archive@example.com"], "reply_to": ["help@example.com"],
         "subject": "Your receipt 1042", "text": "Thank you.", "html": "<p>Thank you.</p>",
         "headers": {"X-Order": "1042", "In-Reply-To": "<order-1042@shop.example.com>"},
         "attachments": [
           {"filename": "receipt.pdf", "content_type": "application/pdf", "content": "JVBERi0xLjcK",
            "disposition": "attachment"},
           {"filename": "logo.png", "content_type": "image/png", "content": "iVBORw0KGgo=", "content_id": "logo"}],
         "tags": ["receipt"], "metadata": {"order": "1042"}, "priority": "high", "pool": "sandbox",
         "send_at": "2026-12-01T09:00:00+01:00", "ttl_seconds": 86400,
         "on_ambiguous": "fail", "idempotency_key": "order-1042/receipt"}
        """)
    )
    envelope = submission.envelope

    assert envelope.sender == Address("shop@example.com", "Shop")
    assert envelope.to == (Address("ada@example.org", "Ada Lovelace"), Address("grace@example.net", "Grace Hopper"))
    assert envelope.cc == (Address("linus@example.net"),)
    assert envelope.bcc == (Address("archive@example.com"),)
    assert envelope.reply_to == (Address("help@example.com"),)
    assert (envelope.subject, envelope.text, envelope.html) == ("Your receipt 1042", "Thank you.", "<p>Thank you.</p>")
    assert envelope.headers == (("X-Order", "1042"), ("In-Reply-To", "<order-1042@shop.example.com>"))
    assert envelope.attachments == (
        Attachment("receipt.pdf", "application/pdf", 9, b"%PDF-1.7\n", None, "attachment"),
        Attachment("logo.png", "image/png", 8, b"\x89PNG\r\n\x1a\n", "logo", "inline"),
    )
    assert (envelope.tags, envelope.metadata) == (("receipt",), {"order": "1042"})
    assert envelope.on_ambiguous is OnAmbiguous.FAIL
    assert envelope.message_id_domain == "example.com"
    assert (submission.priority, submission.pool) == (Priority.HIGH, "sandbox")
    assert (submission.send_at, submission.ttl_ms) == (1_796_112_000_000, 86_400_000)
    assert (submission.delay_ms, submission.expires_at) == (None, None)
    assert submission.idempotency_key == "order-1042/receipt"
    assert len(submission.fingerprint) == 64


def test_what_is_left_out_has_its_default() -> None:
    submission = submit(body())

    assert submission == Submission(envelope=submission.envelope)
    assert (submission.envelope.attachments, submission.envelope.headers, submission.envelope.tags) == ((), (), ())


def test_null_means_absent() -> None:
    nothing = dict.fromkeys(("cc", "html", "headers", "attachments", "tags", "metadata", "send_at", "idempotency_key"))

    assert submit(body(**nothing)) == submit(body())


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": ""},
        {"text": ""},
        {"text": ..., "html": ""},
        {"text": ..., "attachments": [attachment()]},
        {"to": ..., "cc": "ada@example.org"},
        {"to": [], "bcc": ["ada@example.org"]},
        {"to": [f"ada{number}@example.org" for number in range(50)]},
        {"headers": {"List-Unsubscribe": "<mailto:x@example.com>", "References": "<1@x>", "X-Empty": ""}},
        {"headers": {f"X-{number}": "1" for number in range(64)}},
        {"text": "x" * (2 << 20)},
        {"html": "ü" * (1 << 20)},
        {"subject": "x" * 998},
        {"subject": "=?utf-8?q?a=0ABcc=3A_evil=40x.y?="},
        {"attachments": [attachment(content="")]},
        {"attachments": [attachment(content_type="text/calendar; method=REQUEST")]},
        {"metadata": {"a": "x" * 4_095}},
        {"metadata": {}},
        {"tags": ["A-z_0.9:x"] * 10},
        {"send_at": "1999-12-31T23:59:59Z"},
        {"expires_at": "1999-12-31T23:59:59Z"},
        {"send_at": "2026-12-01T09:00:00Z", "expires_at": "2026-12-01T09:00:00Z"},
        {"delay_seconds": 3_600, "expires_at": "2026-01-01T00:00:00Z"},
        {"delay_seconds": 0, "ttl_seconds": 1},
        {"idempotency_key": "x" * 255},
    ],
    ids=str,
)
def test_what_is_at_the_edge_is_taken(fields: dict[str, object]) -> None:
    submit(body(**fields))


def test_one_recipient_needs_no_list() -> None:
    assert submit(body(to="ada@example.org")) == submit(body(to=["ada@example.org"]))


def test_an_address_may_be_written_in_three_ways() -> None:
    one = {"email": "ada@example.org", "name": "Ada Lovelace"}

    assert submit(body(to=one)) == submit(body(to="Ada Lovelace <ada@example.org>"))
    assert submit(body(to={"email": "ada@example.org"})) == submit(body(to="ada@example.org"))


def test_the_same_address_twice_is_delivered_once_where_it_came_first() -> None:
    envelope = submit(
        body(
            to=["Ada <ada@example.org>", "grace@example.net", "ada@EXAMPLE.org"],
            cc=["linus@example.net", "grace@example.net"],
            bcc=["ada@example.org", "linus@Example.NET"],
        )
    ).envelope

    assert envelope.to == (Address("ada@example.org", "Ada"), Address("grace@example.net"))
    assert envelope.cc == (Address("linus@example.net"),)
    assert envelope.bcc == ()


def test_a_recipient_in_to_gets_no_blind_copy() -> None:
    assert submit(body(bcc="ada@example.org")).envelope.recipients == (Address("ada@example.org"),)


def test_durations_are_kept_in_milliseconds() -> None:
    submission = submit(body(delay_seconds=90, ttl_seconds=7))

    assert (submission.delay_ms, submission.ttl_ms) == (90_000, 7_000)


def test_local_parts_that_differ_in_case_are_two_mailboxes() -> None:
    assert len(submit(body(to=["ada@example.org", "Ada@example.org"])).envelope.to) == 2


def test_the_service_has_a_sender_where_the_message_has_none() -> None:
    schema = SubmissionSchema(Rules(default_from=Address("shop@example.com", "Shop")))

    assert submit(body(**{"from": ...}), schema=schema).envelope.sender == Address("shop@example.com", "Shop")
    assert submit(body(**{"from": "me@example.org"}), schema=schema).envelope.sender == Address("me@example.org")


def test_the_message_id_has_the_domain_of_the_sender_as_a_labels() -> None:
    assert submit(body(**{"from": "shop@Bücher.example"})).envelope.message_id_domain == "xn--bcher-kva.example"


def test_a_configured_domain_of_message_ids_wins() -> None:
    schema = SubmissionSchema(Rules(message_id_domain="id.example.net"))

    assert submit(body(), schema=schema).envelope.message_id_domain == "id.example.net"


def test_routes_choose_the_pool_of_a_message_that_names_none() -> None:
    pools = frozenset({"default", "sandbox"})
    schema = SubmissionSchema(Rules(pools=pools, routes=(Route("sandbox", tags=frozenset({"e2e"})),)))

    assert submit(body(tags=["e2e"]), schema=schema).pool == "sandbox"
    assert submit(body(tags=["e2e"], pool="default"), schema=schema).pool == "default"
    assert submit(body(), schema=schema).pool == "default"


def test_routes_see_the_size_of_the_whole_mail() -> None:
    schema = SubmissionSchema(Rules(routes=(Route("large", larger_than_bytes=1_000_000),)))

    assert submit(body(text="x" * 1_000_001), schema=schema).pool == "large"
    assert submit(body(attachments=[attachment(content="A" * 1_000_000)]), schema=schema).pool == "large"
    assert submit(body(), schema=schema).pool == "default"


def test_the_size_counts_bytes_and_attachments_as_they_travel() -> None:
    given = body(subject="ü", text="abc", html="déf", headers={"X-A": "b"}, attachments=[attachment(filename="f")])

    assert submit(given).envelope.size_bytes == 2 + 3 + 4 + (3 + 1 + 4) + (12 + 1)


def test_a_time_to_send_that_is_past_stays_as_its_owner_gave_it() -> None:
    assert submit(body(send_at="2026-11-01T00:00:00Z")).send_at == 1_793_491_200_000


@pytest.mark.parametrize("key", ["abc", '"abc"'])
def test_a_key_in_quotes_is_the_same_key(key: str) -> None:
    assert submit(body(idempotency_key=key)).idempotency_key == "abc"
    assert submit(body(), key=key).idempotency_key == "abc"
    assert submit(body(idempotency_key=key), key="abc").idempotency_key == "abc"


@pytest.mark.parametrize(("key", "meant"), [('a"b', 'a"b'), ('a"', 'a"'), (r'"a\"b\\"', 'a"b\\')])
def test_only_the_quotes_around_a_key_are_taken_off(key: str, meant: str) -> None:
    assert submit(body(idempotency_key=key)).idempotency_key == meant


def test_the_fingerprint_knows_no_order_no_null_and_no_key() -> None:
    given = body(idempotency_key="a")
    turned = {**dict(reversed(given.items())), "cc": None, "idempotency_key": "b"}

    assert submit(given).fingerprint == submit(turned).fingerprint == submit(body(), key="c").fingerprint


def test_the_fingerprint_knows_no_null_at_any_depth() -> None:
    files = [{"filename": "f", "content": "", "content_id": None}]
    given = body(to=[{"email": "ada@example.org", "name": None}], attachments=files)
    bare = body(to=[{"email": "ada@example.org"}], attachments=[{"filename": "f", "content": ""}])

    assert submit(given, key="a").fingerprint == submit(bare, key="a").fingerprint


@pytest.mark.parametrize("fields", [{"subject": "x"}, {"to": ["ada@example.org"]}, {"priority": "normal"}], ids=str)
def test_the_fingerprint_is_of_what_the_client_wrote(fields: dict[str, object]) -> None:
    assert submit(body(**fields), key="a").fingerprint != submit(body(), key="a").fingerprint


def test_without_a_key_there_is_no_fingerprint() -> None:
    assert submit(body()).fingerprint == ""


def test_the_same_body_gives_the_same_submission_after_an_outage() -> None:
    schema = SubmissionSchema(Rules())
    given = body(send_at="2026-11-24T12:00:00Z", expires_at="2026-11-24T13:00:00Z", idempotency_key="a")

    assert schema.read(given, NOW + 3 * 86_400_000) == schema.read(given, NOW)
