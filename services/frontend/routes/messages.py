"""One message: its record, and what its owner may ask for. And the list of dead letters."""

from __future__ import annotations

from dataclasses import replace

from aiohttp import web

from services.frontend.answers import Declined, answer, in_time
from services.frontend.bodies import MERGE_PATCH, judged, receive
from services.frontend.means import Means
from services.frontend.problems import Problem, problem, refused_message, refused_query
from services.frontend.query import read_list_query
from services.frontend.views import list_view, record_view, row_view
from shared.domain.errors import QueueError
from shared.domain.message import DEFAULT_TENANT, Record
from shared.domain.states import State
from shared.queue.owners import Change, Done, OwnerResult
from shared.runtime.logs import get_logger

log = get_logger()


class Messages:
    """Shows messages and does to them what their owner asks for."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._queue = means.queue

    async def read(self, request: web.Request) -> web.Response:
        """Show everything that is known of a message."""
        async with in_time():
            return await self._record(_id_of(request))

    async def page(self, request: web.Request) -> web.Response:
        """Show one page of the dead letters."""
        query = read_list_query(request.query.items())
        if isinstance(query, tuple):
            raise Declined(refused_query(query))
        async with in_time():
            page = await self._queue.views.page(query.states, query.limit, query.after)
        rows = [row_view(record, self._means.settings.retention) for record in page.records]
        return answer(list_view(rows, query.next_cursor(page.next)))

    async def cancel(self, request: web.Request) -> web.Response:
        """Send nothing more of a message: 200, or 202 where an attempt is under way."""
        message_id = _id_of(request)
        async with in_time():
            (result,) = await self._queue.owners.cancel([message_id])
            _require(result, "not_cancellable", Done.DONE, Done.NOTED)
            log.info("message_cancelled", message_id=message_id, tenant=DEFAULT_TENANT, state=result.state)
            return await self._record(message_id, 202 if result.done is Done.NOTED else 200)

    async def change(self, request: web.Request) -> web.Response:
        """Give a message that waits another time, end, priority or pool."""
        message_id = _id_of(request)
        body = await receive(request, self._means.request_bytes, MERGE_PATCH)
        schema, now_ms = self._means.schemas.change, self._means.wall_ms()
        changes = await judged(body, lambda parsed: schema.read(parsed, now_ms))
        if isinstance(changes, tuple):
            raise Declined(refused_message(changes, effect="nothing was changed"))
        async with in_time():
            result = await self._queue.owners.change(message_id, Change(**changes))
            _require(result, "not_changeable", Done.DONE)
            log.info("message_changed", message_id=message_id, tenant=DEFAULT_TENANT, changes=sorted(changes))
            return await self._record(message_id)

    async def requeue(self, request: web.Request) -> web.Response:
        """Try the failed and expired recipients of a message again."""
        message_id = _id_of(request)
        async with in_time():
            (result,) = await self._queue.owners.requeue([message_id])
            _require(result, "not_requeueable", Done.DONE, Done.UNCHANGED)
            log.info("message_requeued", message_id=message_id, tenant=DEFAULT_TENANT)
            return await self._record(message_id)

    async def delete(self, request: web.Request) -> web.Response:
        """Drop a final message."""
        message_id = _id_of(request)
        async with in_time():
            (result,) = await self._queue.owners.delete([message_id])
        _require(result, "not_final", Done.DONE)
        log.info("message_deleted", message_id=message_id, tenant=DEFAULT_TENANT)
        return web.Response(status=204)

    async def _record(self, message_id: str, status: int = 200) -> web.Response:
        record = await self._queue.views.read(message_id)
        if record is None:
            raise Declined(_not_found())
        return answer(record_view(await self._explained(record), self._means.settings.retention), status)

    async def _explained(self, record: Record) -> Record:
        """Say of a message that waits what holds it up now: a pause of its pool, or what its pool's providers tell."""
        if record.state not in {State.QUEUED, State.RETRYING}:
            return record
        try:
            cluster = await self._means.census.recent()
        except QueueError:
            return record  # the record itself is worth more than the reason
        return replace(record, waiting=cluster.explain(record))


def refusal_of(result: OwnerResult, code: str) -> Problem:
    """Return the problem of a wish that was not granted; `code` is that of a state that does not allow it."""
    return _not_found() if result.done is Done.MISSING else problem(code, state=result.state)


def _require(result: OwnerResult, code: str, *granted: Done) -> None:
    if result.done not in granted:
        raise Declined(refusal_of(result, code))


def _not_found() -> Problem:
    return problem("not_found", "There is no message with this id, or no longer")


def _id_of(request: web.Request) -> str:
    return request.match_info["id"]
