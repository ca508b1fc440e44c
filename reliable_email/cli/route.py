"""`reliable-email route --explain`: which provider a message would go to now, and why no other."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from reliable_email.cli import words
from reliable_email.cli.client import (
    DEFAULT_URL,
    EXIT_FAILED,
    Client,
    Declined,
    JsonOption,
    UrlOption,
    run,
    to_json,
)
from reliable_email.cli.faults import failure

if TYPE_CHECKING:
    from services.frontend.schema.refusal import Faults
    from shared.domain.message import Submission
    from shared.policy.routing import Choice
    from shared.policy.views import MessageView, ProviderView
    from shared.providers.interface import Capabilities

_USAGE: Final = 2
#: What a service answers that cannot judge a message without taking it.
_CANNOT: Final = frozenset({"not_found", "method_not_allowed"})

Json = dict[str, Any]


def route(
    explain: Annotated[
        str, typer.Option("--explain", metavar="FILE", help="A message as JSON, as it would be submitted; - is stdin.")
    ],
    url: UrlOption = DEFAULT_URL,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say which provider a message would go to now, and why no other. Sends nothing. Speaks HTTP.

    Takes the providers as the service shows them and runs the router itself; among equals it draws, as a
    sender does. Rates are shared out as messages go and are not looked at.
    """
    message = _message(explain)

    async def work(client: Client) -> int:
        verdict = await _judge(client, message)
        if verdict["errors"]:
            raise Declined({"detail": "The message is not valid", "errors": verdict["errors"]}, EXIT_FAILED)
        explanation = await _explain(client, message, verdict)
        typer.echo(to_json(explanation.to_json()) if as_json else "\n".join(explanation.lines()))
        return 0

    run(url, work, as_json=as_json)


def _message(file: str) -> Json:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise failure(f"{file} cannot be read: {error}", _USAGE) from error
    try:
        message = json.loads(text)
    except ValueError as error:
        raise failure(f"{file} is not JSON: {error}", _USAGE) from error
    if not isinstance(message, dict):
        raise failure(f"{file} holds no message: a JSON object with from, to, subject and text", _USAGE)
    return message


async def _judge(client: Client, message: Json) -> Json:
    """Return what the service would make of the message; where it cannot say, as much as the message itself says."""
    try:
        verdict: Json = (await client.call("POST", "/v1/messages/validate", body=message)).body
    except Declined as error:
        if error.problem.get("code") not in _CANNOT:
            raise
        return {"pool": message.get("pool") or "default", "route": None, "errors": []}
    return verdict


@dataclass(frozen=True, slots=True)
class _Explanation:
    """What would become of a message: its pool, what holds that up, and routing's choice among its providers."""

    pool: str
    rule: int | None
    paused: Json | None
    choice: Choice
    now_ms: int

    def to_json(self) -> Json:
        """Return it as one object."""
        choice = self.choice
        return {
            "pool": self.pool,
            "route": self.rule,
            "paused": self.paused,
            "chosen": choice.provider,
            "impossible": choice.is_impossible,
            "waiting": None if choice.provider else {"code": choice.waiting, "until": self._until()},
            "steps": [
                {"provider": step.provider, "chosen": step.chosen, "code": step.code, "detail": step.detail}
                for step in choice.steps
            ],
        }

    def lines(self) -> list[str]:
        """Return it for people."""
        by = "" if self.rule is None else f", by the route at position {self.rule}"
        lines = [f"pool {self.pool}{by}"]
        if self.paused is not None:
            lines.append(f"  {words.pause(self.paused)}; nothing of it begins before")
        steps = [("→" if step.chosen else "", step.provider, step.code, step.detail) for step in self.choice.steps]
        table = words.table(("", "provider", "why", "detail"), steps) if steps else ["No sender tells of a provider."]
        return [*lines, *table, *([] if self.choice.provider else [self._outcome()])]

    def _outcome(self) -> str:
        if self.choice.is_impossible:
            return "None of them can ever carry it: it would fail."
        until = self._until()
        return f"It would wait: {self.choice.waiting or 'turn'}{f', until {until}' if until else ''}."

    def _until(self) -> str | None:
        from services.frontend.instants import instant  # noqa: PLC0415 - not for `--help`

        until = self.choice.until
        return None if until is None else instant(round(until * 1000))


async def _explain(client: Client, message: Json, verdict: Json) -> _Explanation:
    from services.frontend.instants import parse_instant  # noqa: PLC0415 - not for `--help`
    from shared.policy.routing import choose  # noqa: PLC0415 - not for `--help`
    from shared.runtime.dice import draw  # noqa: PLC0415 - not for `--help`

    service = (await client.call("GET", "/v1")).body
    queue = (await client.call("GET", "/v1/queue")).body
    rows = (await client.call("GET", "/v1/providers")).body["data"]
    pool = verdict["pool"]
    now_ms = parse_instant(service["time"])
    view = _message_view(message, pool, service, now_ms)
    providers = [_provider_view(row, now_ms / 1000) for row in rows if pool in row["pools"]]
    choice = choose(view, providers, now_ms / 1000, draw(), explain=True)
    rule = verdict["route"]
    return _Explanation(pool, rule and rule["index"], _pause_of(queue, pool), choice, now_ms)


def _pause_of(queue: Json, pool: str) -> Json | None:
    of_pool: Json | None = next((one.get("paused") for one in queue["pools"] if one["name"] == pool), None)
    return queue.get("paused") or of_pool


def _message_view(message: Json, pool: str, service: Json, now_ms: int) -> MessageView:
    """Return what routing sees of the message, read as the frontend reads it."""
    from shared.policy.abilities import Inside  # noqa: PLC0415 - not for `--help`
    from shared.policy.views import MessageView  # noqa: PLC0415 - not for `--help`

    read = _read(message, pool, service, now_ms)
    if isinstance(read, tuple):
        errors = [{"pointer": fault.where, "detail": fault.detail} for fault in read]
        raise Declined({"detail": "The message is not valid", "errors": errors}, EXIT_FAILED)
    envelope = read.envelope
    inside = Inside.of(envelope, range(len(envelope.recipients)))
    return MessageView(
        size_bytes=envelope.size_bytes,
        recipients=len(envelope.recipients),
        priority=read.priority,
        waited_seconds=0.0,
        sender_domain=inside.sender_domain if message.get("from") else "",
        extensions=inside.extensions,
        is_ascii=inside.is_ascii,
    )


def _read(message: Json, pool: str, service: Json, now_ms: int) -> Submission | Faults:
    from services.frontend.limits import Limits, Rules  # noqa: PLC0415 - not for `--help`
    from services.frontend.schema import SubmissionSchema  # noqa: PLC0415 - not for `--help`
    from shared.domain.message import Address  # noqa: PLC0415 - not for `--help`

    known = {field.name for field in fields(Limits)}
    limits = Limits(**{name: value for name, value in service["limits"].items() if name in known})
    # Who sends where nobody is named, only the service knows; it has seen that there is somebody.
    rules = Rules(limits, frozenset({pool, *service["pools"]}), default_from=Address("default@localhost"))
    return SubmissionSchema(rules).read(message, now_ms)


def _provider_view(row: Json, now: float) -> ProviderView:
    """Return a provider as routing sees it, made of the row in which its senders tell of it.

    Slots are those of all its senders together. Tokens are left out: senders draw them when messages come.
    """
    from shared.policy.breaker import BreakerState  # noqa: PLC0415 - not for `--help`
    from shared.policy.views import ProviderView  # noqa: PLC0415 - not for `--help`

    slots = row["limits"]["concurrency"] * max(1, row["seen_by"])
    breaker = row["breaker"]
    next_probe_at = _seconds(breaker["next_probe_at"], math.inf)
    blocked_until, quota_until = (
        _seconds(row["available_at"], math.inf) if row["state"] == state else -math.inf
        for state in ("throttled", "quota_spent")
    )
    return ProviderView(
        name=row["name"],
        tier=row["tier"],
        weight=row["weight"],
        health=row["health"],
        slots=slots,
        free_slots=max(0, slots - row["usage"]["in_flight"]),
        blocked_until=blocked_until,
        quota_until=quota_until,
        paused_until=_seconds(row["paused"]["until"], math.inf) if row["paused"] else -math.inf,
        breaker=BreakerState(breaker["state"]),
        is_misconfigured=breaker["reason"] == "misconfigured",
        next_probe_at=next_probe_at,
        probe_due=next_probe_at <= now,
        probe_due_if_all_open=next_probe_at <= now,
        capabilities=_capabilities(row.get("capabilities") or {}),
    )


def _capabilities(told: Json) -> Capabilities:
    """Return what the account can carry; what is not told limits nothing."""
    from shared.providers.interface import Capabilities  # noqa: PLC0415 - not for `--help`

    known, domains = told.get("known_extensions"), told.get("sender_domains")
    return Capabilities(
        max_bytes=told.get("max_bytes"),
        max_recipients=told.get("max_recipients"),
        refused_extensions=frozenset(told.get("refused_extensions") or ()),
        known_extensions=None if known is None else frozenset(known),
        sender_domains=None if domains is None else frozenset(domains),
        is_ascii_only=bool(told.get("ascii_only")),
    )


def _seconds(text: str | None, otherwise: float) -> float:
    from services.frontend.instants import parse_instant  # noqa: PLC0415 - not for `--help`

    return otherwise if text is None else parse_instant(text) / 1000
