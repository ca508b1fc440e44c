"""The queue as a whole: how much waits where, and moving what waits from one pool to another."""

from __future__ import annotations

import asyncio

from aiohttp import web

from services.frontend.answers import Declined, answer, in_time
from services.frontend.bodies import judged, receive
from services.frontend.means import Means
from services.frontend.problems import refused_request
from services.frontend.queue_view import queue_view
from shared.domain.errors import Fault
from shared.runtime.logs import get_logger

log = get_logger()


class QueueRoutes:
    """Shows and moves what waits."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def describe(self, _request: web.Request) -> web.Response:
        """Show how much lies where."""
        means = self._means
        async with in_time():
            depths, cluster = await asyncio.gather(means.queue.views.depths(), means.census.now())
        return answer(queue_view(depths, cluster, means.schemas.rules.pools))

    async def move(self, request: web.Request) -> web.Response:
        """Take one step of moving all that waits in one pool to another."""
        body = await receive(request, self._means.request_bytes)
        move = await judged(body, self._means.schemas.move.read)
        if isinstance(move, tuple):
            raise Declined(refused_request(move))
        try:
            async with in_time():
                step = await self._means.queue.owners.move(move.source, move.target, move.cursor)
        except ValueError:
            fault = Fault("#/cursor", "bad_cursor", "Is no cursor of a move; use `next_cursor` as it came")
            raise Declined(refused_request([fault])) from None
        if step.moved:
            log.info("messages_moved", pool=move.source, to=move.target, count=step.moved)
        return answer({"moved": step.moved, "next_cursor": step.next_cursor})
