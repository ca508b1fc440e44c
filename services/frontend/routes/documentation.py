"""The contract, its viewer, and the pages that problems lead to: open to everybody, for nothing in them is secret."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Final

import orjson
from aiohttp import web

from reliable_email import __version__
from services.frontend import pages
from services.frontend.answers import Declined
from services.frontend.means import Means
from services.frontend.openapi import document
from services.frontend.problem_types import PROBLEM_TYPES
from services.frontend.problems import problem

_VIEWER: Final = Path(str(resources.files("services.frontend") / "viewer"))
#: What the viewer is made of, by the names under which it is served; its licences stand beside it in the folder.
_FILES: Final = {
    "start.js": (_VIEWER / "start.js", "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": (_VIEWER / "swagger_ui" / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": (_VIEWER / "swagger_ui" / "swagger-ui.css", "text/css; charset=utf-8"),
}
#: Nobody guesses what a file is, and no other site learns what was read here.
_GUARDED: Final = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class Documentation:
    """Serves the description of what is served: `served` are the methods and paths of the interface."""

    def __init__(self, means: Means, served: Collection[tuple[str, str]]) -> None:
        self._means = means
        self._served = served

    async def contract(self, _request: web.Request) -> web.Response:
        """Show the OpenAPI document, with the limits of this installation."""
        return web.Response(body=self._contract, content_type="application/json", headers=_GUARDED)

    async def viewer(self, _request: web.Request) -> web.Response:
        """Show the page on which the contract can be read and tried."""
        return _html(pages.VIEWER, pages.VIEWER_POLICY)

    async def file(self, request: web.Request) -> web.FileResponse:
        """Give one file of that page."""
        found = _FILES.get(request.match_info["name"])
        if found is None:
            raise Declined(problem("not_found", "There is no such path"))
        path, media_type = found
        return web.FileResponse(path, headers={**_GUARDED, "Content-Type": media_type})

    async def problems(self, _request: web.Request) -> web.Response:
        """Show the page that lists all problems."""
        return _html(pages.problems_page(), pages.TEXT_POLICY)

    async def problem(self, request: web.Request) -> web.Response:
        """Show the page that explains one kind of problem."""
        kind = PROBLEM_TYPES.get(request.match_info["code"])
        if kind is None:
            raise Declined(problem("not_found", "There is no such kind of problem"))
        return _html(pages.problem_page(kind), pages.TEXT_POLICY)

    @cached_property
    def _contract(self) -> bytes:
        return orjson.dumps(document(self._means.schemas.rules, self._served, __version__))


def _html(page: str, policy: str) -> web.Response:
    headers = {**_GUARDED, "Content-Security-Policy": policy}
    return web.Response(text=page, content_type="text/html", charset="utf-8", headers=headers)
