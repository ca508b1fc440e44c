"""References: the least that could be called the same service.

    python -m tests.bench.bare PORT

An aiohttp server that parses the JSON of a submission and answers as we do, without validation,
queue or metrics.
"""

from __future__ import annotations

import sys

import orjson
import uvloop
from aiohttp import web


async def _single(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    return web.Response(
        status=202,
        body=orjson.dumps({"id": "msg_00000000000000000000000000000000", "state": "queued", "to": body["to"]}),
        content_type="application/json",
    )


async def _batch(request: web.Request) -> web.Response:
    body = orjson.loads(await request.read())
    results = [{"status": 202, "message": {"id": "msg_00000000000000000000000000000000"}} for _ in body["messages"]]
    return web.Response(status=202, body=orjson.dumps({"results": results}), content_type="application/json")


def main() -> None:
    app = web.Application(client_max_size=32 << 20)
    app.add_routes([web.post("/v1/messages", _single), web.post("/v1/messages/batch", _batch)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
