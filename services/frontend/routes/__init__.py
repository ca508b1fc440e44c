"""The routes: each turns a request into calls of the queue, and what came of them into an answer.

The law of this folder: a route decides nothing about a message; the schema and the scripts do.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web

from services.frontend.means import Means
from services.frontend.routes.dead_letters import DeadLetters
from services.frontend.routes.documentation import Documentation
from services.frontend.routes.messages import Messages
from services.frontend.routes.operating import Operating
from services.frontend.routes.queue import QueueRoutes
from services.frontend.routes.service import Service
from services.frontend.routes.submissions import Submissions

__all__ = ["routes"]


def routes(means: Means) -> Iterator[web.RouteDef]:
    """Yield every route of the public port but the probes: the interface, and what describes it."""
    interface = list(_interface(means))
    yield from interface
    documentation = Documentation(means, {(route.method, route.path) for route in interface})
    yield web.get("/openapi.json", documentation.contract)
    yield web.get("/docs", documentation.viewer)
    yield web.get("/docs/{name}", documentation.file)
    yield web.get("/problems", documentation.problems)
    yield web.get("/problems/{code}", documentation.problem)


def _interface(means: Means) -> Iterator[web.RouteDef]:
    """Yield every route of the interface. Paths without a variable come first: the first that matches is taken."""
    submissions, letters = Submissions(means), DeadLetters(means)
    messages, queue, service = Messages(means), QueueRoutes(means), Service(means)
    operating = Operating(means, submissions)
    yield web.get("/v1", service.describe)
    yield web.post("/v1/messages", submissions.one)
    yield web.get("/v1/messages", messages.page)
    yield web.post("/v1/messages/batch", submissions.batch)
    yield web.post("/v1/messages/validate", submissions.validate)
    yield web.post("/v1/messages/requeue", letters.requeue)
    yield web.post("/v1/messages/delete", letters.delete)
    yield web.get("/v1/messages/{id}", messages.read)
    yield web.patch("/v1/messages/{id}", messages.change)
    yield web.delete("/v1/messages/{id}", messages.delete)
    yield web.post("/v1/messages/{id}/cancel", messages.cancel)
    yield web.post("/v1/messages/{id}/requeue", messages.requeue)
    yield web.get("/v1/queue", queue.describe)
    yield web.post("/v1/queue/move", queue.move)
    yield web.post("/v1/queue/pause", operating.pause_everything)
    yield web.post("/v1/queue/resume", operating.resume_everything)
    yield web.post("/v1/pools/{name}/pause", operating.pause_pool)
    yield web.post("/v1/pools/{name}/resume", operating.resume_pool)
    yield web.get("/v1/providers", service.providers)
    yield web.post("/v1/providers/{name}/pause", operating.pause_provider)
    yield web.post("/v1/providers/{name}/resume", operating.resume_provider)
    yield web.post("/v1/providers/{name}/test", operating.test)
