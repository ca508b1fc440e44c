"""Whatever a client sends, it is told what is wrong and where, and never 500."""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.frontend.query import encode_cursor
from shared.domain.states import DEAD
from shared.queue.views import Position
from tests.services.frontend.running import JSON, Running, message

NOT_JSON = {
    "nothing": b"",
    "a word": b"hello",
    "a form": b"from=a&to=b",
    "half an object": b'{"from": "shop@example.com"',
    "a comma too many": b'{"subject": "x",}',
    "single quotes": b"{'subject': 'x'}",
    "two values": b"{} {}",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "bytes that are no UTF-8": b'{"subject": "\xff"}',
    "NaN": b'{"delay_seconds": NaN}',
    "Infinity": b'{"delay_seconds": Infinity}',
    "a lone surrogate": b'{"subject": "\\ud800"}',
    "a raw line break in a string": b'{"subject": "a\nb"}',
    "a raw NUL": b'{"subject": "a\0b"}',
    "too deep": b"[" * 2_000 + b"]" * 2_000,
    "a comment": b'{"subject": "x"} // y',
}

#: A number that no integer of 64 bits holds.
HUGE = orjson.dumps(message(delay_seconds=0)).replace(b":0", b":1" + 30 * b"0")

#: Bodies that are JSON and no message, with each fault's place and code.
INVALID: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a list": ([], [("#", "wrong_type")]),
    "null": (None, [("#", "wrong_type")]),
    "a number": (1, [("#", "wrong_type")]),
    "a string": ("x", [("#", "wrong_type")]),
    "an unknown field": (message(sendAt="tomorrow"), [("#/sendAt", "unknown_field")]),
    "no sender": (message(**{"from": ...}), [("#/from", "missing")]),
    "no recipient": (message(to=...), [("#/to", "missing")]),
    "no subject": (message(subject=...), [("#/subject", "missing")]),
    "no body": (message(text=...), [("#/text", "missing")]),
    "null for a subject": (message(subject=None), [("#/subject", "missing")]),
    "no domain": (message(to="grace@"), [("#/to", "invalid_address")]),
    "no domain in a list": (message(to=["ada@example.org", "grace@"]), [("#/to/1", "invalid_address")]),
    "no domain in an object": (message(to=[{"email": "grace@"}]), [("#/to/0/email", "invalid_address")]),
    "a line break in an address": (message(to="a@example.org\r\nBcc: x@y.z"), [("#/to", "invalid_address")]),
    "a line break in a name": (
        message(to={"email": "a@example.org", "name": "A\r\nBcc: x@y.z"}),
        [("#/to/name", "forbidden_character")],
    ),
    "a line break in a subject": (message(subject="a\r\nBcc: x@y.z"), [("#/subject", "forbidden_character")]),
    "an escaped NUL in a subject": (message(subject="a\0b"), [("#/subject", "forbidden_character")]),
    "an escaped NUL in a text": (message(text="a\0b"), [("#/text", "forbidden_character")]),
    "a line break in a header": (
        message(headers={"X-Order": "1\r\nBcc: x@y.z"}),
        [("#/headers/X-Order", "forbidden_character")],
    ),
    "a line break in a header's name": (
        message(headers={"X-Order\r\nBcc": "x@y.z"}),
        [("#/headers/X-Order%0D%0ABcc", "invalid_header_name")],
    ),
    "a reserved header": (message(headers={"bcc": "x@y.z"}), [("#/headers/bcc", "reserved_header")]),
    "a number for a subject": (message(subject=1), [("#/subject", "wrong_type")]),
    "a number for a recipient": (message(to=1), [("#/to", "wrong_type")]),
    "true for a delay": (message(delay_seconds=True), [("#/delay_seconds", "wrong_type")]),
    "a fraction for a delay": (message(delay_seconds=1.5), [("#/delay_seconds", "wrong_type")]),
    "a negative delay": (message(delay_seconds=-1), [("#/delay_seconds", "out_of_range")]),
    "a huge delay": (HUGE, [("#/delay_seconds", "wrong_type")]),
    "no time to live": (message(ttl_seconds=0), [("#/ttl_seconds", "out_of_range")]),
    "a time without an offset": (message(send_at="2026-12-01T09:00:00"), [("#/send_at", "bad_time")]),
    "a time in words": (message(send_at="tomorrow"), [("#/send_at", "bad_time")]),
    "two times": (
        message(send_at="2001-01-01T00:00:00Z", delay_seconds=1),
        [("#/delay_seconds", "conflict")],
    ),
    "an end before its beginning": (
        message(send_at="2027-01-02T00:00:00Z", expires_at="2027-01-01T00:00:00Z"),
        [("#/expires_at", "wrong_order")],
    ),
    "an unknown priority": (message(priority="urgent"), [("#/priority", "unknown_value")]),
    "a pool of another service": (message(pool="elsewhere"), [("#/pool", "unknown_pool")]),
    "no base64": (
        message(attachments=[{"filename": "f", "content": "*"}]),
        [("#/attachments/0/content", "bad_base64")],
    ),
    "a path for a file name": (
        message(attachments=[{"filename": "../f", "content": ""}]),
        [("#/attachments/0/filename", "forbidden_character")],
    ),
    "an attachment by URL": (
        message(attachments=[{"filename": "f", "url": "http://x"}]),
        [("#/attachments/0/content", "missing"), ("#/attachments/0/url", "unknown_field")],
    ),
    "too many recipients": (message(to=[f"r{n}@example.org" for n in range(51)]), [("#/to", "too_many")]),
    "too many tags": (message(tags=[f"t{n}" for n in range(11)]), [("#/tags", "too_many")]),
    "a tag with a space": (message(tags=["a b"]), [("#/tags/0", "invalid_tag")]),
    "a number in metadata": (message(metadata={"order": 1}), [("#/metadata/order", "wrong_type")]),
    "a template": (message(template="x"), [("#/template", "unknown_field")]),
    "more faults than one": (
        message(to="grace@", subject=1),
        [("#/subject", "wrong_type"), ("#/to", "invalid_address")],
    ),
}

TOO_LARGE = {
    "text": message(text="x" * (2 * 1024 * 1024 + 1)),
    "metadata": message(metadata={"k": "x" * 5_000}),
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/batch", "/v1/messages/requeue", "/v1/queue/move"])
@pytest.mark.parametrize("name", NOT_JSON)
async def test_what_is_no_json_is_refused(frontend: Running, name: str, path: str) -> None:
    answer = await frontend.post(path, NOT_JSON[name])

    assert (answer.status, answer.code, answer.body["retryable"]) == (400, "not_json", False)


async def test_what_is_no_json_is_told_where(frontend: Running) -> None:
    answer = await frontend.post("/v1/messages", b'{"from": }')

    assert "line 1 column 10" in answer.body["detail"]


@pytest.mark.parametrize("name", INVALID)
async def test_what_is_no_message_is_refused_with_every_place(frontend: Running, name: str) -> None:
    body, faults = INVALID[name]

    answer = await frontend.post("/v1/messages", body if isinstance(body, bytes) else orjson.dumps(body))

    assert (answer.status, answer.code, sorted(answer.faults)) == (422, "invalid_message", faults)


@pytest.mark.parametrize("name", TOO_LARGE)
async def test_too_many_bytes_are_a_413(frontend: Running, name: str) -> None:
    answer = await frontend.post("/v1/messages", TOO_LARGE[name])

    assert (answer.status, answer.code, answer.faults) == (413, "too_large", [(f"#/{name}", "too_large")])


async def test_of_a_repeated_name_the_last_counts(frontend: Running) -> None:
    body = orjson.dumps(message())[:-1] + b',"subject":"The last"}'

    answer = await frontend.post("/v1/messages", body)

    assert (await frontend.get(answer.headers["Location"])).body["subject"] == "The last"


async def test_a_problem_has_all_its_members(frontend: Running) -> None:
    answer = await frontend.post("/v1/messages", message(to="grace@"))

    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.body == {
        "type": "/problems/invalid_message",
        "code": "invalid_message",
        "title": "The message is not valid",
        "status": 422,
        "detail": "1 fault; nothing was accepted.",
        "instance": "/v1/messages",
        "request_id": answer.headers["X-Request-Id"],
        "retryable": False,
        "errors": [
            {
                "pointer": "#/to",
                "code": "invalid_address",
                "detail": answer.body["errors"][0]["detail"],
            }
        ],
    }


# The bodies of other routes

PATCHES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "a list": ([], [("#", "wrong_type")]),
    "another field": ({"subject": "x"}, [("#/subject", "unknown_field")]),
    "null for a pool": ({"pool": None}, [("#/pool", "wrong_type")]),
    "an unknown pool": ({"pool": "elsewhere"}, [("#/pool", "unknown_pool")]),
    "a bad time": ({"send_at": "tomorrow"}, [("#/send_at", "bad_time")]),
}
SELECTIONS: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "neither": ({}, [("#/filter", "missing")]),
    "both": ({"ids": ["a"], "filter": {"pool": "default"}}, [("#/filter", "conflict")]),
    "no id": ({"ids": []}, [("#/ids", "missing")]),
    "what can be no id": ({"ids": ["a/b"]}, [("#/ids/0", "invalid_id")]),
    "too many ids": ({"ids": ["a"] * 1_001}, [("#/ids", "too_many")]),
    "every dead letter": ({"filter": {}}, [("#/filter", "missing")]),
    "a living state": ({"filter": {"state": "queued"}}, [("#/filter/state", "unknown_value")]),
    "a limit of ids": ({"ids": ["a"], "limit": 1}, [("#/limit", "conflict")]),
    "too high a limit": ({"filter": {"pool": "default"}, "limit": 1_001}, [("#/limit", "out_of_range")]),
}
MOVES: dict[str, tuple[Any, list[tuple[str, str]]]] = {
    "nothing": ({}, [("#/from", "missing"), ("#/to", "missing")]),
    "an unknown target": ({"from": "default", "to": "elsewhere"}, [("#/to", "unknown_pool")]),
    "the same pool": ({"from": "default", "to": "default"}, [("#/to", "conflict")]),
    "no cursor of ours": ({"from": "old", "to": "default", "cursor": "x"}, [("#/cursor", "bad_cursor")]),
    "too large a cursor": (
        {"from": "old", "to": "default", "cursor": "0.1.99999999999999999999"},
        [("#/cursor", "bad_cursor")],
    ),
    "a cursor beyond the shards": ({"from": "old", "to": "default", "cursor": "9.0.0"}, [("#/cursor", "bad_cursor")]),
}


@pytest.mark.parametrize("name", PATCHES)
async def test_what_is_no_change_is_refused(frontend: Running, name: str) -> None:
    message_id = await frontend.accepted()

    answer = await frontend.patch(f"/v1/messages/{message_id}", PATCHES[name][0])

    assert (answer.status, answer.code, answer.faults) == (422, "invalid_message", PATCHES[name][1])


@pytest.mark.parametrize("verb", ["requeue", "delete"])
@pytest.mark.parametrize("name", SELECTIONS)
async def test_what_selects_no_messages_is_refused(frontend: Running, name: str, verb: str) -> None:
    answer = await frontend.post(f"/v1/messages/{verb}", SELECTIONS[name][0])

    assert (answer.status, answer.code, answer.faults) == (422, "invalid_request", SELECTIONS[name][1])


@pytest.mark.parametrize("name", MOVES)
async def test_what_is_no_move_is_refused(frontend: Running, name: str) -> None:
    answer = await frontend.post("/v1/queue/move", MOVES[name][0])

    assert (answer.status, answer.code, sorted(answer.faults)) == (422, "invalid_request", MOVES[name][1])


# Cursors

#: One frontend serves all examples, for none of them changes anything.
MANY = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=20)
BINDING = orjson.loads(base64.urlsafe_b64decode(encode_cursor(Position(), DEAD) + "=="))[0]


@MANY
@given(value=st.tuples(st.just(BINDING), SCALARS, st.text()).map(list) | SCALARS | st.lists(SCALARS, max_size=4))
async def test_whatever_json_is_a_cursor_of_a_list_it_is_read_or_refused(frontend: Running, value: Any) -> None:
    cursor = base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")

    assert (await frontend.get("/v1/messages", params={"cursor": cursor})).status in {200, 400}


async def test_a_truth_value_in_a_cursor_is_refused(frontend: Running) -> None:
    cursor = base64.urlsafe_b64encode(orjson.dumps([BINDING, True, "x"])).decode().rstrip("=")

    assert (await frontend.get("/v1/messages", params={"cursor": cursor})).code == "bad_parameter"


@MANY
@given(
    cursor=st.from_regex(r"[A-Za-z0-9_.-]{1,512}", fullmatch=True)
    | st.from_regex(r"0\.([0-9]|1[0-2])\.([0-9]{1,12}|[1-9][0-9]{15,30})", fullmatch=True)
)
async def test_whatever_is_a_cursor_of_a_move_it_is_followed_or_refused(frontend: Running, cursor: str) -> None:
    answer = await frontend.post("/v1/queue/move", {"from": "old", "to": "default", "cursor": cursor})

    assert answer.status in {200, 422}


# Bytes that are no request

REQUESTS = {
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
    "a strange version": b"GET /v1 HTTP/9.9\r\n\r\n",
    "a space in a header's name": b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nX Y: z\r\n\r\n",
    "a length that is no number": b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    "two lengths": (
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
    ),
    "length and chunks": (
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\n"
    ),
    "too long a header": b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nX-Y: " + b"z" * 9_000 + b"\r\n\r\n",
    "too many headers": b"GET /v1 HTTP/1.1\r\nHost: localhost\r\n" + b"X-Y: z\r\n" * 200 + b"\r\n",
    "too long a path": b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a malformed chunk": (
        b"POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_no_request_is_a_problem_too(frontend: Running, name: str) -> None:
    head, _, body = (await frontend.raw(REQUESTS[name])).partition(b"\r\n\r\n")

    assert head.split(b" ")[1] == b"400"
    assert b"application/problem+json" in head
    assert b"Server:" not in head
    assert orjson.loads(body)["code"] == "bad_request"
    assert f"X-Request-Id: {orjson.loads(body)['request_id']}".encode() in head


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_is_no_request_is_told_in_words_of_ours_without_its_bytes(frontend: Running, name: str) -> None:
    body = (await frontend.raw(REQUESTS[name])).partition(b"\r\n\r\n")[2]

    assert re.fullmatch(r"(The|A) [A-Za-z0-9,;:. -]+", orjson.loads(body)["detail"])


async def test_after_bytes_that_are_no_request_others_are_served(frontend: Running) -> None:
    await frontend.raw(REQUESTS["another protocol"])

    assert (await frontend.get("/v1")).status == 200


async def test_a_body_of_another_route_is_not_looked_at(frontend: Running) -> None:
    message_id = await frontend.accepted()

    assert (await frontend.call("POST", f"/v1/messages/{message_id}/cancel", data=b"\0", headers=JSON)).status == 200
