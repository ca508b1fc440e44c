"""A world without network, clock and chance: answers come from a list, pauses are written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from reliable_email_client import Client, Retry
from reliable_email_client.core.wire import Failure, Reply, Request

Outcome: TypeAlias = "Reply | Failure"
Scripted: TypeAlias = "Outcome | Callable[[Request], Outcome]"

UNSENT = Failure("unsent", "refused")
LOST = Failure("lost", "reset")

LIMITS = {"request_bytes": 26_214_400, "batch_messages": 1_000}


@dataclass
class World:
    """Transport and clock of a client. Each exchange takes `takes` seconds; each draw is the largest."""

    script: list[Scripted]
    takes: float = 0.0
    time: float = 1_000.0
    drawn: float = 1.0
    requests: list[Request] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    def exchange(self, request: Request, timeout_seconds: float, /) -> Outcome:
        self.requests.append(request)
        self.timeouts.append(timeout_seconds)
        self.time += self.takes
        # The last answer is given again and again.
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return answer(request) if callable(answer) else answer

    def close(self) -> None:
        pass

    def now(self) -> float:
        return self.time

    def draw(self) -> float:
        return self.drawn

    def sleep(self, seconds: float, /) -> None:
        self.pauses.append(seconds)
        self.time += seconds

    def client(self, **retry: Any) -> Client:
        return Client("http://mail.test", "rmk_1", retry=Retry(**retry), transport=self, clock=self)

    def bodies(self) -> list[Any]:
        return [json.loads(request.body) for request in self.requests if request.body is not None]


def world(*script: Scripted, takes: float = 0.0, drawn: float = 1.0) -> World:
    return World(list(script), takes=takes, drawn=drawn)


def answer(body: object, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, json.dumps(body).encode())


def problem(code: str, status: int, *, retryable: bool = False, wait: int | None = None, **members: object) -> Reply:
    body = {"type": f"/problems/{code}", "code": code, "title": "Title", "status": status, "detail": "Detail"}
    headers = {} if wait is None else {"retry_after": str(wait)}
    return answer({**body, "request_id": "req_1", "retryable": retryable, "errors": [], **members}, status, **headers)


def unavailable(wait: int | None = None) -> Reply:
    return problem("unavailable", 503, retryable=True, wait=wait)


def acceptance(message_id: str = "msg_1") -> dict[str, Any]:
    return {
        "id": message_id,
        "state": "queued",
        "priority": "normal",
        "pool": "default",
        "created_at": "2026-11-24T11:02:07.114Z",
        "send_at": None,
        "expires_at": None,
        "internet_message_id": f"<{message_id}@example.com>",
        "suppressed": [],
    }


def accepted(message_id: str = "msg_1", **headers: str) -> Reply:
    return answer(acceptance(message_id), 202, **headers)


def service(**limits: int) -> Reply:
    return answer({"service": "reliable-email", "version": "0.1.0", "limits": {**LIMITS, **limits}})


def each(*items: dict[str, Any] | Reply, status: int = 207) -> Reply:
    """Return the answer to a batch; a problem stands as it would by itself."""
    return answer({"accepted": 0, "refused": 0, "results": results(*items)}, status)


def results(*items: dict[str, Any] | Reply) -> Sequence[dict[str, Any]]:
    return [
        {"status": item.status, "error": json.loads(item.body)}
        if isinstance(item, Reply)
        else {"status": 202, "replayed": False, "message": item}
        for item in items
    ]


def record(state: str = "sent", *, final: bool = True, **more: Any) -> dict[str, Any]:
    return {"id": "msg_1", "tenant": "default", "state": state, "final": final, **more}
