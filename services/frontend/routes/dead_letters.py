"""Requeue and delete for many messages at once, by their ids or by what they have in common."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from services.frontend.answers import Declined, answer, in_time
from services.frontend.bodies import judged, receive
from services.frontend.means import Means
from services.frontend.problems import refused_request
from services.frontend.routes.messages import refusal_of
from services.frontend.schema import Filter, read_selection
from services.frontend.views import View
from shared.queue.owners import Done, OwnerResult
from shared.queue.views import Position
from shared.runtime.logs import get_logger

_PAGE: Final = 200
#: A filter that matches little looks at many; what was found by then is done, and the client asks again.
_SEARCH_SECONDS: Final = 1.0

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Wish:
    """One thing that is done to many: its verb, which results are good, and what it answers."""

    do: Callable[[Sequence[str]], Awaitable[list[OwnerResult]]]
    granted: tuple[Done, ...]
    status: int
    refused: str

    def view(self, result: OwnerResult) -> View:
        """Return what came of one message."""
        if result.done in self.granted:
            return {"id": result.id, "status": self.status, "error": None}
        reason = refusal_of(result, self.refused)
        return {"id": result.id, "status": reason.status, "error": reason.to_dict()}


class DeadLetters:
    """Repairs many messages with one request."""

    def __init__(self, means: Means) -> None:
        self._means = means
        owners = means.queue.owners
        self._requeue = _Wish(owners.requeue, (Done.DONE, Done.UNCHANGED), 200, "not_requeueable")
        self._delete = _Wish(owners.delete, (Done.DONE,), 204, "not_final")

    async def requeue(self, request: web.Request) -> web.Response:
        """Try failed and expired recipients of many messages again."""
        view = await self._grant(request, self._requeue)
        log.info("message_requeued", count=view["done"])
        return answer(view)

    async def delete(self, request: web.Request) -> web.Response:
        """Drop many final messages."""
        view = await self._grant(request, self._delete)
        log.info("message_deleted", count=view["done"])
        return answer(view)

    async def _grant(self, request: web.Request, wish: _Wish) -> View:
        selection = await judged(await receive(request, self._means.request_bytes), read_selection)
        if isinstance(selection, tuple):
            raise Declined(refused_request(selection))
        async with in_time():
            ids = await self._matching(selection) if isinstance(selection, Filter) else dict.fromkeys(selection.ids)
            results = await wish.do(list(ids))
        done = sum(result.done in wish.granted for result in results)
        return {"done": done, "results": [wish.view(result) for result in results]}

    async def _matching(self, wanted: Filter) -> list[str]:
        """Return the ids of messages that match, the newest first."""
        # An empty id sorts before every other: what ended in that very millisecond is not before it.
        after = None if wanted.finished_before is None else Position(wanted.finished_before, "")
        found: list[str] = []
        give_up_at = time.monotonic() + _SEARCH_SECONDS
        while not found or time.monotonic() < give_up_at:
            limit = min(_PAGE, wanted.limit - len(found))
            page = await self._means.queue.views.page(wanted.states, limit, after, wanted.pool)
            found.extend(record.id for record in page.records)
            after = page.next
            if after is None or len(found) >= wanted.limit:
                break
        return found
