"""What the service really answers is what its contract says: every operation, every member, no other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.domain.states import State
from tests.contract.definitions import answers_of, faults_of, whole
from tests.contract.present import served
from tests.services.frontend.running import JSON, Answer, Running, Start, message
from tests.services.frontend.test_views import row, tell

CONTRACT = whole()
#: No message is suppressed yet.
REACHED = [state for state in State if state is not State.SUPPRESSED]


def faults(method: str, path: str, answer: Answer) -> list[str]:
    """Return in what an answer differs from those that the contract has for an operation."""
    defined = answers_of(CONTRACT, method, path)
    if str(answer.status) not in defined:
        return [f"{answer.status} is not described: {answer.body}"]
    rule = defined[str(answer.status)]
    missing = [
        f"The header {name} is missing"
        for name, reference in rule["headers"].items()
        if CONTRACT["components"]["headers"][name].get("required") and name not in answer.headers
    ]
    if "content" not in rule:
        return missing + ([f"There is a body: {answer.body!r}"] if answer.body else [])
    ((media_type, content),) = rule["content"].items()
    if answer.headers["Content-Type"] != media_type:
        missing.append(f"The body is {answer.headers['Content-Type']}")
    if "code" in answer.body and answer.body["code"] not in rule["x-problem-codes"]:
        missing.append(f"The code {answer.body['code']} is not described")
    return missing + faults_of(CONTRACT, content["schema"], answer.body)


async def letters(frontend: Running) -> list[str]:
    return await frontend.letters("failed", "partly_sent")


async def made(frontend: Running, state: State) -> str:
    """Return a message in a state, each in a pool of its own: nothing else is leased in its place."""
    return await frontend.scenario.message_in(state, pool=state.value.replace("_", "-"))


async def test_submissions(frontend: Running) -> None:
    path = "/v1/messages"
    taken = await frontend.submit(idempotency_key="k")

    assert faults("POST", path, taken) == []
    assert faults("POST", path, await frontend.submit(idempotency_key="k")) == []
    assert faults("POST", path, await frontend.submit(send_at="2100-01-01T00:00:00Z")) == []  # too far ahead
    assert faults("POST", path, await frontend.submit(delay_seconds=60, ttl_seconds=600)) == []
    assert faults("POST", path, await frontend.submit(idempotency_key="k", subject="Other")) == []
    assert faults("POST", path, await frontend.post(path, b"{")) == []
    assert faults("POST", path, await frontend.post(path, message(), headers={"Content-Type": "text/plain"})) == []


async def test_batches(frontend: Running) -> None:
    path = "/v1/messages/batch"
    good, bad = message(), message(to="grace@")

    assert faults("POST", path, await frontend.post(path, {"messages": [good]})) == []
    assert faults("POST", path, await frontend.post(path, {"messages": [good, bad]})) == []
    assert faults("POST", path, await frontend.post(path, {"messages": [bad]})) == []
    assert faults("POST", path, await frontend.post(path, {})) == []


async def test_rehearsals(frontend: Running) -> None:
    path = "/v1/messages/validate"

    assert faults("POST", path, await frontend.post(path, message())) == []
    assert faults("POST", path, await frontend.post(path, message(to="grace@"))) == []


async def test_records_in_every_state(frontend: Running) -> None:
    for state in REACHED:
        message_id = await made(frontend, state)
        assert faults("GET", "/v1/messages/{id}", await frontend.get(f"/v1/messages/{message_id}")) == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages/{id}/cancel"),
        ("PATCH", "/v1/messages/{id}"),
        ("POST", "/v1/messages/{id}/requeue"),
        ("DELETE", "/v1/messages/{id}"),
    ],
)
async def test_what_an_owner_asks_for_in_every_state(frontend: Running, method: str, path: str) -> None:
    for state in REACHED:
        target = path.replace("{id}", await made(frontend, state))
        options = {"data": b'{"priority": "high"}', "headers": JSON} if method == "PATCH" else {}
        assert faults(method, path, await frontend.call(method, target, **options)) == []


async def test_what_is_not_there(frontend: Running) -> None:
    for method, path in [(method, path) for method, path in served() if "{id}" in path]:
        target = path.replace("{id}", "msg_none")
        answer = await frontend.patch(target, {}) if method == "PATCH" else await frontend.call(method, target)
        assert faults(method, path, answer) == []
        assert answer.status == 404


async def test_lists(frontend: Running) -> None:
    await letters(frontend)
    first = await frontend.get("/v1/messages?limit=1")
    cursor = first.body["next_cursor"]

    assert faults("GET", "/v1/messages", first) == []
    assert faults("GET", "/v1/messages", await frontend.get(f"/v1/messages?limit=1&cursor={cursor}")) == []
    assert faults("GET", "/v1/messages", await frontend.get(f"/v1/messages?state=failed&cursor={cursor}")) == []
    assert faults("GET", "/v1/messages", await frontend.get("/v1/messages?sort=up")) == []


@pytest.mark.parametrize("verb", ["requeue", "delete"])
async def test_repairs(frontend: Running, verb: str) -> None:
    path = f"/v1/messages/{verb}"
    dead = await letters(frontend)
    waiting = await frontend.accepted()

    assert faults("POST", path, await frontend.post(path, {"ids": [dead[0], waiting, "none"]})) == []
    assert faults("POST", path, await frontend.post(path, {"filter": {"state": "partly_sent"}})) == []
    assert faults("POST", path, await frontend.post(path, {})) == []


async def test_the_service_the_queue_and_its_providers(frontend: Running) -> None:
    await frontend.accepted()
    error = {"at": 1_795_518_127_114, "outcome": "throttled", "detail": "Too fast."}
    await tell(frontend, "s", row("relay", last_error=error, outcomes_1m={"throttled": 1}), row("spare"))

    for path in ("/v1", "/v1/queue", "/v1/providers"):
        assert faults("GET", path, await frontend.get(path)) == []
        assert faults("GET", path, await frontend.get(f"{path}?x=1")) == []


async def test_pauses(frontend: Running) -> None:
    await tell(frontend, "s", row("relay"))
    wishes = [None, {}, {"reason": "An audit.", "until": "2100-01-01T00:00:00Z"}, {"till": 1}]

    for path, name in (("/v1/queue", ""), ("/v1/pools/{name}", "default"), ("/v1/providers/{name}", "relay")):
        target = path.replace("{name}", name)
        for wish in wishes:
            assert faults("POST", f"{path}/pause", await frontend.post(f"{target}/pause", wish)) == []
        for view in ("/v1/queue", "/v1/providers"):
            assert faults("GET", view, await frontend.get(view)) == []
        assert faults("POST", f"{path}/resume", await frontend.post(f"{target}/resume")) == []


async def test_tests_of_a_provider(frontend: Running) -> None:
    path = "/v1/providers/{name}/test"
    await tell(frontend, "s", row("relay"))
    good = {"to": "ada@example.org", "from": "shop@example.com"}

    assert faults("POST", path, await frontend.post("/v1/providers/relay/test", good)) == []
    assert faults("POST", path, await frontend.post("/v1/providers/relay/test", {})) == []
    assert faults("POST", path, await frontend.post("/v1/providers/none/test", good)) == []


async def test_moves(frontend: Running) -> None:
    path = "/v1/queue/move"

    assert faults("POST", path, await frontend.post(path, {"from": "news", "to": "default"})) == []
    assert faults("POST", path, await frontend.post(path, {"from": "news"})) == []


async def test_a_method_that_is_not_described_is_answered_with_those_that_are(frontend: Running) -> None:
    for path in CONTRACT["paths"]:
        answer = await frontend.call("PUT", path.replace("{id}", "x").replace("{name}", "x"))
        allowed = set(answer.headers["Allow"].split(", ")) - {"HEAD"}
        described = {method.upper() for method in CONTRACT["paths"][path]}
        # Words that stand where the id of a message could.
        ambiguous = {"GET", "PATCH", "DELETE"} if path.count("/") == 3 and path.startswith("/v1/messages/") else set()
        assert (answer.status, answer.code) == (405, "method_not_allowed")
        assert allowed == described | ambiguous


async def test_who_shows_no_key_is_told_so_by_every_operation(start: Start) -> None:
    frontend = await start(keys=["secret"])

    for method, path in sorted(served()):
        answer = await frontend.call(method, path.replace("{id}", "x").replace("{name}", "x"))
        assert faults(method, path, answer) == []
        assert answer.status in {401, 429}


async def test_the_contract_is_served_as_it_is_kept_but_for_the_limits(frontend: Running) -> None:
    answer = await frontend.get("/openapi.json")

    assert answer.headers["Content-Type"] == "application/json"
    assert {(method.upper(), path) for path, methods in answer.body["paths"].items() for method in methods} == served()


def test_a_wrong_answer_would_be_noticed() -> None:
    answers: dict[str, Any] = {"X-Request-Id": "r", "Cache-Control": "no-store", "Content-Type": "application/json"}
    wrong = Answer(200, answers, orjson.loads(b'{"moved": "1", "next_cursor": null, "more": 1}'))

    assert len(faults("POST", "/v1/queue/move", wrong)) == 2
