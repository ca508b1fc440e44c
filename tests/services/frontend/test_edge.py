"""What holds for every request."""

from __future__ import annotations

import re

import pytest

from services.frontend.routes import messages
from tests.services.frontend.running import Answer, Running, message

ANSWERS = ["/v1", "/v1/queue", "/v1/providers", "/v1/messages", "/v1/messages/x", "/v1/x", "/healthz", "/readyz", "/x"]


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_answer_has_an_id_and_is_never_kept(frontend: Running, path: str) -> None:
    answer = await frontend.get(path)

    assert re.fullmatch(r"req_[0-9a-f]{14,}", answer.headers["X-Request-Id"])
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ANSWERS)
async def test_no_answer_names_the_software(frontend: Running, path: str) -> None:
    assert "Server" not in (await frontend.get(path)).headers


async def test_no_answer_lets_strange_pages_in(frontend: Running) -> None:
    answer = await frontend.get("/v1", headers={"Origin": "http://localhost:3000"})

    assert [name for name in answer.headers if name.lower().startswith("access-control")] == []


async def test_two_requests_have_two_ids(frontend: Running) -> None:
    first, second = await frontend.get("/v1"), await frontend.get("/v1")

    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]


@pytest.mark.parametrize("given", ["a", "trace-1.2_3", "x" * 64])
async def test_the_client_s_own_id_is_kept(frontend: Running, given: str) -> None:
    answer = await frontend.get("/v1/x", headers={"X-Request-Id": given})

    assert (answer.headers["X-Request-Id"], answer.body["request_id"]) == (given, given)


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a;b", "<b>", "é"])
async def test_an_id_that_is_not_sane_is_replaced(frontend: Running, given: str) -> None:
    answer = await frontend.get("/v1", headers={"X-Request-Id": given})

    assert answer.headers["X-Request-Id"].startswith("req_")


@pytest.mark.parametrize("path", ["/", "/v1/", "/v2", "/v1/messages/", "/v1/messages/a/b", "/v1/messages/a%2Fb"])
async def test_an_unknown_path_is_not_found(frontend: Running, path: str) -> None:
    answer = await frontend.get(path)

    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/messages", "GET, HEAD, POST"),
        ("OPTIONS", "/v1/messages", "GET, HEAD, POST"),
        ("DELETE", "/v1", "GET, HEAD"),
        ("POST", "/v1/messages/x", "DELETE, GET, HEAD, PATCH"),
        ("GET", "/v1/messages/x/cancel", "POST"),
        ("GET", "/v1/queue/move", "POST"),
        ("POST", "/v1/providers", "GET, HEAD"),
    ],
)
async def test_another_method_is_told_which_are_taken(frontend: Running, method: str, path: str, allowed: str) -> None:
    answer = await frontend.call(method, path)

    assert (answer.status, answer.code, answer.headers["Allow"]) == (405, "method_not_allowed", allowed)


async def every_route(frontend: Running, query: str) -> list[Answer]:
    empty: dict[str, str] = {}
    return [
        await frontend.get(f"/v1{query}"),
        await frontend.get(f"/v1/queue{query}"),
        await frontend.get(f"/v1/providers{query}"),
        await frontend.get(f"/v1/messages{query}"),
        await frontend.get(f"/v1/messages/x{query}"),
        await frontend.call("DELETE", f"/v1/messages/x{query}"),
        await frontend.patch(f"/v1/messages/x{query}", empty),
        await frontend.post(f"/v1/messages{query}", message()),
        await frontend.post(f"/v1/messages/batch{query}", empty),
        await frontend.post(f"/v1/messages/requeue{query}", empty),
        await frontend.post(f"/v1/messages/delete{query}", empty),
        await frontend.post(f"/v1/messages/x/cancel{query}"),
        await frontend.post(f"/v1/messages/x/requeue{query}"),
        await frontend.post(f"/v1/queue/move{query}", empty),
    ]


async def test_no_route_takes_an_unknown_parameter(frontend: Running) -> None:
    for answer in await every_route(frontend, "?dry_run=1"):
        assert (answer.status, answer.code) == (400, "bad_parameter")
        assert answer.faults == [("dry_run", "bad_parameter")]


async def test_only_the_list_takes_parameters(frontend: Running) -> None:
    statuses = [answer.status for answer in await every_route(frontend, "?limit=1")]

    assert statuses == [400, 400, 400, 200, *[400] * 10]


async def test_an_empty_query_is_none(frontend: Running) -> None:
    assert (await frontend.get("/v1?")).status == 200


async def test_head_is_answered_without_a_body(frontend: Running) -> None:
    answer = await frontend.call("HEAD", "/v1")

    assert (answer.status, answer.body) == (200, b"")


async def test_a_defect_is_a_problem_without_a_stack(
    frontend: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret of the house")

    message_id = await frontend.accepted()
    monkeypatch.setattr(messages, "record_view", broken)

    answer = await frontend.get(f"/v1/messages/{message_id}", headers={"X-Request-Id": "mine"})

    assert (answer.status, answer.code, answer.body["request_id"]) == (500, "internal", "mine")
    assert "secret" not in str(answer.body)
    logged = capsys.readouterr().out
    assert "request_failed" in logged
    assert "the secret of the house" in logged


async def test_after_a_defect_the_connection_goes_on(frontend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "list_view", None)

    assert (await frontend.get("/v1/messages")).status == 500
    assert (await frontend.get("/v1")).status == 200


async def test_the_public_port_says_how_the_process_is(frontend: Running) -> None:
    healthy, ready = await frontend.get("/healthz"), await frontend.get("/readyz")

    assert (healthy.status, ready.status) == (200, 200)
    assert ready.body == {"ready": True, "role": "frontend", "reason": None}
