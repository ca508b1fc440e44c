"""What an operator does: pause and resume a provider, a pool or everything, and put a provider to the test."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from services.frontend.answers import Declined, answer, in_time
from services.frontend.bodies import judged, receive
from services.frontend.cluster import Cluster
from services.frontend.means import Means
from services.frontend.pausing import forgotten
from services.frontend.problems import problem, refused_request
from services.frontend.queue_view import queue_view
from services.frontend.routes.submissions import Submissions
from services.frontend.schema.control import PauseWish, compose_test, read_pause, read_test
from services.frontend.views import View
from shared.queue.pauses import Pause, Scale
from shared.runtime.logs import get_logger

_UNKNOWN: Final = {
    Scale.POOL: "There is no such pool; GET /v1/queue shows them all",
    Scale.PROVIDER: "There is no such provider; GET /v1/providers shows them all",
}

log = get_logger()


class Operating:
    """Pauses, resumes and tests. Tests are submitted as every message is."""

    def __init__(self, means: Means, submissions: Submissions) -> None:
        self._means = means
        self._submissions = submissions

    async def pause_everything(self, request: web.Request) -> web.Response:
        """Let nothing begin at all."""
        wish = await self._wish(request)
        async with in_time():
            await self._pause(wish, Scale.EVERYTHING, "", await self._means.census.now())
            return answer(await self._queue_view())

    async def resume_everything(self, _request: web.Request) -> web.Response:
        """Let begin again what is not held up by a pause of its own."""
        async with in_time():
            await self._resume(Scale.EVERYTHING)
            return answer(await self._queue_view())

    async def pause_pool(self, request: web.Request) -> web.Response:
        """Let nothing of a pool begin."""
        name, wish = request.match_info["name"], await self._wish(request)
        async with in_time():
            view = await self._pool_view(name)
            await self._pause(wish, Scale.POOL, name, await self._means.census.recent())
            return answer(await self._pool_view(name, view))

    async def resume_pool(self, request: web.Request) -> web.Response:
        """Let messages of a pool begin again."""
        name = request.match_info["name"]
        async with in_time():
            view = await self._pool_view(name)
            await self._resume(Scale.POOL, name)
            return answer(await self._pool_view(name, view))

    async def pause_provider(self, request: web.Request) -> web.Response:
        """Let nothing begin at a provider."""
        name, wish = request.match_info["name"], await self._wish(request)
        async with in_time():
            cluster = await self._means.census.now()
            row = _row(name, cluster)
            await self._pause(wish, Scale.PROVIDER, name, cluster)
            return answer((await self._means.census.now()).row(name) or forgotten(row))

    async def resume_provider(self, request: web.Request) -> web.Response:
        """Let attempts at a provider begin again."""
        name = request.match_info["name"]
        async with in_time():
            row = _row(name, await self._means.census.now())
            await self._resume(Scale.PROVIDER, name)
            return answer((await self._means.census.now()).row(name) or forgotten(row))

    async def test(self, request: web.Request) -> web.Response:
        """Submit a message that only this provider may send."""
        means, name = self._means, request.match_info["name"]
        means.guard.require_safety()
        body = await receive(request, means.request_bytes)
        default_from = means.schemas.rules.default_from
        wish = await judged(body, lambda parsed: read_test(parsed, default_from))
        if isinstance(wish, tuple):
            raise Declined(refused_request(wish))
        async with in_time():
            pools = _row(name, await means.census.now())["pools"]
            if not pools:
                raise Declined(problem("not_found", _UNKNOWN[Scale.PROVIDER]))
            submission = compose_test(wish, name, pools[0], means.schemas.submission)
            response = await self._submissions.take(submission, request)
        log.info("provider_tested", provider=name, pool=pools[0])
        return response

    # What is asked for

    async def _wish(self, request: web.Request) -> PauseWish:
        if not request.can_read_body:
            return PauseWish()
        wish = await judged(await receive(request, self._means.request_bytes), read_pause)
        if isinstance(wish, tuple):
            raise Declined(refused_request(wish))
        return wish

    async def _pause(self, wish: PauseWish, scale: Scale, name: str, cluster: Cluster) -> None:
        """Pause, or resume where the end lies in the past; what is paused goes on being so since when it was."""
        now = int(self._means.queue.core.now_ms())
        if wish.until is not None and wish.until <= now:
            await self._resume(scale, name)
            return
        before = cluster.pauses.find(scale, name)
        pause = Pause(scale, name, wish.reason, wish.until, now if before is None else before.since)
        await self._means.queue.pauses.pause(pause)
        log.info("sending_paused", what=pause.what, detail=pause.reason, until=pause.until)

    async def _resume(self, scale: Scale, name: str = "") -> None:
        await self._means.queue.pauses.resume(scale, name)
        log.info("sending_resumed", what=Pause(scale, name).what)

    # What is answered

    async def _queue_view(self) -> View:
        means = self._means
        depths, cluster = await asyncio.gather(means.queue.views.depths(), means.census.now())
        return queue_view(depths, cluster, means.schemas.rules.pools)

    async def _pool_view(self, name: str, before: View | None = None) -> View:
        """Return the entry of a pool, as it is or else as it was `before`. Raises Declined where there is none."""
        pools: list[View] = (await self._queue_view())["pools"]
        found = next((pool for pool in pools if pool["name"] == name), None)
        if found is not None:
            return found
        if before is None:
            raise Declined(problem("not_found", _UNKNOWN[Scale.POOL]))
        return {**before, "paused": None}


def _row(name: str, cluster: Cluster) -> View:
    """Return the row of a provider. Raises Declined where there is none."""
    row = cluster.row(name)
    if row is None:
        raise Declined(problem("not_found", _UNKNOWN[Scale.PROVIDER]))
    return row
