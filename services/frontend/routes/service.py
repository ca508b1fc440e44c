"""What a client must know of the service: its limits and its words, and the providers behind it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from reliable_email import __version__
from services.frontend.answers import answer, in_time
from services.frontend.means import Means
from services.frontend.queue_view import pool_order
from services.frontend.views import list_view, service_view
from shared.domain.message import DEFAULT_TENANT

#: What a key of the configuration allows.
_SCOPES: Final = ("send", "read")


class Service:
    """Shows the service itself."""

    def __init__(self, means: Means) -> None:
        self._means = means

    async def describe(self, _request: web.Request) -> web.Response:
        """Show what a client needs to size its calls."""
        rules = self._means.schemas.rules
        view = service_view(
            version=__version__,
            now_ms=self._means.wall_ms(),
            tenant=DEFAULT_TENANT,
            scopes=_SCOPES,
            limits=rules.limits,
            pools=sorted(rules.pools, key=pool_order),
        )
        return answer(view)

    async def providers(self, _request: web.Request) -> web.Response:
        """Show every provider as the senders see it."""
        async with in_time():
            cluster = await self._means.census.now()
        return answer(list_view(cluster.providers, None))
