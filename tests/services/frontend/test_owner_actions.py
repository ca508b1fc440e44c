"""What an owner may ask for, in every state of the message."""

from __future__ import annotations

from typing import Any, Final

import pytest

from services.frontend.instants import instant
from shared.domain.states import LIVE, RecipientState, State
from shared.settings.model import ProviderSettings, default_providers
from tests.queue.scenario import DAY, HOUR
from tests.services.frontend.running import Answer, Running, Start

UNKNOWN: Final = ["x", "msg_01kas3v7q2f8x4m9d0w5t6y1zc00", "msg_01kas3v7q2f8x4m9d0w5t6y1zc03", "msg_" + "z" * 28]

#: What each action answers in each state; `begun` is `sending` with an attempt under way.
TABLE: Final = {
    "scheduled": {"cancel": 200, "change": 200, "requeue": 200, "delete": 409},
    "queued": {"cancel": 200, "change": 200, "requeue": 200, "delete": 409},
    "retrying": {"cancel": 200, "change": 200, "requeue": 200, "delete": 409},
    "sending": {"cancel": 200, "change": 200, "requeue": 200, "delete": 409},
    "begun": {"cancel": 202, "change": 409, "requeue": 200, "delete": 409},
    "sent": {"cancel": 409, "change": 409, "requeue": 409, "delete": 204},
    "partly_sent": {"cancel": 409, "change": 409, "requeue": 200, "delete": 204},
    "failed": {"cancel": 409, "change": 409, "requeue": 200, "delete": 204},
    "expired": {"cancel": 409, "change": 409, "requeue": 200, "delete": 204},
    "cancelled": {"cancel": 200, "change": 409, "requeue": 409, "delete": 204},
}
REFUSALS: Final = {
    "cancel": "not_cancellable",
    "change": "not_changeable",
    "requeue": "not_requeueable",
    "delete": "not_final",
}
CELLS: Final = [(state, action, status) for state, row in TABLE.items() for action, status in row.items()]


async def message_in(frontend: Running, state: str) -> str:
    if state == "begun":
        return (await frontend.scenario.submit_and_begin()).id
    return await frontend.scenario.message_in(State(state))


async def act(frontend: Running, action: str, message_id: str, body: Any = None) -> Answer:
    path = f"/v1/messages/{message_id}"
    if action == "change":
        return await frontend.patch(path, body if body is not None else {"priority": "high"})
    if action == "delete":
        return await frontend.call("DELETE", path)
    return await frontend.post(f"{path}/{action}")


async def state_of(frontend: Running, message_id: str) -> str:
    return str((await frontend.get(f"/v1/messages/{message_id}")).body["state"])


@pytest.mark.parametrize(("state", "action", "status"), CELLS)
async def test_an_action_answers_as_the_state_allows(frontend: Running, state: str, action: str, status: int) -> None:
    message_id = await message_in(frontend, state)
    shown = "sending" if state == "begun" else state

    answer = await act(frontend, action, message_id)

    assert answer.status == status
    if status == 409:
        assert (answer.code, answer.body["state"]) == (REFUSALS[action], shown)
    elif status == 204:
        assert answer.body == b""
    else:
        assert answer.body == (await frontend.get(f"/v1/messages/{message_id}")).body


@pytest.mark.parametrize("message_id", UNKNOWN)
@pytest.mark.parametrize("action", REFUSALS)
async def test_an_action_on_an_unknown_message_is_a_404(frontend: Running, action: str, message_id: str) -> None:
    answer = await act(frontend, action, message_id)

    assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize("action", REFUSALS)
async def test_an_action_on_a_message_of_another_tenant_is_a_404(frontend: Running, action: str) -> None:
    message_id = await frontend.scenario.submit_for("other")

    assert (await act(frontend, action, message_id)).status == 404


@pytest.mark.parametrize("state", ["scheduled", "queued", "retrying", "sending"])
async def test_what_is_cancelled_is_not_sent(frontend: Running, state: str) -> None:
    message_id = await message_in(frontend, state)

    answer = await act(frontend, "cancel", message_id)

    assert answer.body["state"] == "cancelled"
    assert await frontend.scenario.lease() == []


async def test_cancelling_twice_does_no_harm(frontend: Running) -> None:
    message_id = await frontend.accepted()

    answers = [await act(frontend, "cancel", message_id) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 200]


async def test_a_noted_cancel_says_when_it_was_asked(frontend: Running) -> None:
    message_id = await message_in(frontend, "begun")

    answer = await act(frontend, "cancel", message_id)

    assert (answer.body["state"], answer.body["final"]) == ("sending", False)
    assert answer.body["cancel_requested_at"] is not None


async def test_a_noted_cancel_answers_200_once_the_message_has_ended(frontend: Running) -> None:
    lease = await frontend.scenario.submit_and_begin()
    await act(frontend, "cancel", lease.id)
    await frontend.scenario.settle(lease, all_state=RecipientState.SENT)

    answer = await act(frontend, "cancel", lease.id)

    assert (answer.status, answer.body["state"]) == (200, "sent")


async def test_a_message_is_put_off(frontend: Running) -> None:
    message_id = await frontend.accepted()
    send_at = instant(frontend.scenario.now + HOUR)

    answer = await act(frontend, "change", message_id, {"send_at": send_at})

    assert (answer.body["state"], answer.body["send_at"]) == ("scheduled", send_at)
    assert answer.body["waiting"]["code"] == "scheduled"


async def test_a_null_send_at_means_now(frontend: Running) -> None:
    message_id = await frontend.accepted(delay_seconds=3_600)

    assert (await act(frontend, "change", message_id, {"send_at": None})).body["state"] == "queued"


async def test_a_null_expires_at_means_never(frontend: Running) -> None:
    message_id = await frontend.accepted(ttl_seconds=60)

    assert (await act(frontend, "change", message_id, {"expires_at": None})).body["expires_at"] is None


async def test_a_time_to_live_moves_with_the_send_time(frontend: Running) -> None:
    message_id = await frontend.accepted(ttl_seconds=60)
    send_at = frontend.scenario.now + HOUR

    answer = await act(frontend, "change", message_id, {"send_at": instant(send_at)})

    assert answer.body["expires_at"] == instant(send_at + 60_000)


async def test_a_send_time_too_far_ahead_is_refused(frontend: Running) -> None:
    message_id = await frontend.accepted()

    answer = await act(frontend, "change", message_id, {"send_at": instant(frontend.scenario.now + 366 * DAY)})

    assert (answer.status, answer.faults) == (422, [("#/send_at", "out_of_range")])


async def test_priority_and_pool_are_changed(start: Start) -> None:
    sandbox = ProviderSettings(name="sandbox", kind="sandbox", pools=("sandbox",))
    frontend = await start(providers=(*default_providers(), sandbox))
    message_id = await frontend.accepted()

    answer = await act(frontend, "change", message_id, {"priority": "critical", "pool": "sandbox"})

    assert (answer.body["priority"], answer.body["pool"]) == ("critical", "sandbox")


async def test_a_refused_change_changes_nothing(frontend: Running) -> None:
    message_id = await frontend.accepted()

    answer = await act(frontend, "change", message_id, {"priority": "high", "pool": "elsewhere"})

    assert answer.body["detail"] == "1 fault; nothing was changed."
    assert (await frontend.get(f"/v1/messages/{message_id}")).body["priority"] == "normal"


@pytest.mark.parametrize("state", ["failed", "partly_sent", "expired"])
async def test_a_dead_letter_is_requeued(frontend: Running, state: str) -> None:
    message_id = await message_in(frontend, state)

    answer = await act(frontend, "requeue", message_id)

    assert (answer.body["state"], answer.body["requeues"], answer.body["rounds"]) == ("queued", 1, 0)


async def test_only_what_has_failed_is_requeued(frontend: Running) -> None:
    message_id = await message_in(frontend, "partly_sent")

    answer = await act(frontend, "requeue", message_id)

    assert [recipient["state"] for recipient in answer.body["recipients"]] == ["sent", "pending"]


@pytest.mark.parametrize("state", [state.value for state in LIVE])
async def test_requeueing_what_waits_changes_nothing(frontend: Running, state: str) -> None:
    message_id = await message_in(frontend, state)

    assert (await act(frontend, "requeue", message_id)).body["requeues"] == 0


async def test_a_message_without_content_cannot_be_requeued(frontend: Running) -> None:
    message_id = await message_in(frontend, "expired")
    await frontend.queue.chores.drop_content(0, keep_ms=-HOUR)

    answer = await act(frontend, "requeue", message_id)

    assert (answer.status, answer.code, answer.body["state"]) == (409, "not_requeueable", "expired")


async def test_what_is_deleted_is_gone(frontend: Running) -> None:
    message_id = await message_in(frontend, "sent")

    await act(frontend, "delete", message_id)

    assert (await frontend.get(f"/v1/messages/{message_id}")).status == 404
    assert (await act(frontend, "delete", message_id)).status == 404


async def test_a_replay_outlives_its_message(frontend: Running) -> None:
    message_id = await frontend.accepted(idempotency_key="k")
    await act(frontend, "cancel", message_id)
    await act(frontend, "delete", message_id)

    answer = await frontend.submit(idempotency_key="k")

    assert (answer.status, answer.body["id"], answer.headers["Idempotent-Replayed"]) == (202, message_id, "true")
