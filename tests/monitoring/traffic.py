"""Clients of every kind, each at its own pace: what a service of mail is used for, and what people do wrong."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any, Final, Self

import aiohttp

_LETTER: Final = {"from": "Shop <shop@example.com>", "to": "ada@example.org", "text": "It works.\n"}
_ANSWER_SECONDS: Final = 10


def letter(subject: str, priority: str = "normal", **fields: Any) -> dict[str, Any]:
    """Return a submission."""
    return {**_LETTER, "subject": subject, "priority": priority, **fields}


class Traffic:
    """The clients, as a context manager: they submit from its beginning to its end, whatever they are answered."""

    def __init__(self, api: str) -> None:
        self._api = api
        self._numbers = itertools.count(1)
        self._clients: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(self._api, timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS))
        habits: tuple[tuple[float, Callable[[], Awaitable[object]]], ...] = (
            (0.5, self._code),
            (0.25, self._receipt),
            (0.15, self._newsletter),
            (1.0, self._reminder),
            (1.0, self._mailing),
            (1.5, self._repeated),
            (2.0, self._mistaken),
            (2.0, self._withdrawn),
            (1.5, self._undeliverable),
            (2.0, self._partner),
            (1.0, self._glance),
        )
        self._clients = [asyncio.create_task(self._keep(*habit)) for habit in habits]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            client.cancel()
        for ended in await asyncio.gather(*self._clients, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
        if self._session is not None:
            await self._session.close()

    async def burst(self, count: int, priority: str = "bulk", **fields: Any) -> None:
        """Submit many messages at once."""
        messages = [letter(f"Offer {next(self._numbers)}", priority, **fields) for _ in range(count)]
        await self.ask("POST", "/v1/messages/batch", json={"messages": messages})

    async def submit(self, message: dict[str, Any], **arguments: Any) -> str:
        """Submit one message and return its id, "" where it was not taken."""
        _, body = await self.ask("POST", "/v1/messages", json=message, **arguments)
        return str(body.get("id", "")) if body else ""

    async def ended(self, identity: str) -> dict[str, Any]:
        """Wait until a message has ended, and return its record."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            while True:
                _, record = await self.ask("GET", f"/v1/messages/{identity}")
                if record["state"] not in {"scheduled", "queued", "sending", "retrying"}:
                    return dict(record)
                await asyncio.sleep(0.05)

    async def ask(self, method: str, path: str, **arguments: Any) -> tuple[int, Any]:
        """Make one request and return status and body; 0 where there is nobody to answer."""
        assert self._session is not None
        try:
            async with self._session.request(method, path, **arguments) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return 0, None

    async def _keep(self, seconds: float, habit: Callable[[], Awaitable[object]]) -> None:
        """Do something again and again. The pause is the client's pace; nothing is waited for."""
        while True:
            await habit()
            await asyncio.sleep(seconds)

    async def _code(self) -> None:
        await self.submit(letter("Your code", "critical"))

    async def _receipt(self) -> None:
        await self.submit(letter("Receipt", "high"))

    async def _newsletter(self) -> None:
        await self.submit(letter("What is new"))

    async def _reminder(self) -> None:
        await self.submit(letter("Reminder", delay_seconds=1))

    async def _mailing(self) -> None:
        await self.burst(10)

    async def _repeated(self) -> None:
        key = f"order-{next(self._numbers)}"
        for _ in range(2):
            await self.submit(letter("Order", "high"), headers={"Idempotency-Key": key})

    async def _mistaken(self) -> None:
        await self.submit({**letter("Nobody"), "to": "nobody"})
        await self.ask("GET", "/v1/messages/msg_01kas3v7q2f8x4m9d0w5t6000001")
        await self.ask("GET", "/v1/no-such-thing")

    async def _withdrawn(self) -> None:
        identity = await self.submit(letter("Later", delay_seconds=60))
        await self.ask("POST", f"/v1/messages/{identity}/cancel")

    async def _undeliverable(self) -> None:
        await self.submit(letter("To nobody", to="reply-550-5.1.1@example.org"))

    async def _partner(self) -> None:
        await self.submit(letter("Parcel", pool="partner", ttl_seconds=5))

    async def _glance(self) -> None:
        identity = await self.submit(letter("Watched", "high"))
        await self.ask("GET", f"/v1/messages/{identity}")
        await self.ask("GET", "/v1/queue")
        await self.ask("GET", "/v1/providers")
        await self.ask("GET", "/v1/messages")
