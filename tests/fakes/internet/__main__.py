"""`python -m tests.fakes.internet [DESK …]`: the internet as a process, until SIGINT or SIGTERM.

The first line of output ends with the address of the control endpoint, which knows the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys

from aiohttp import web

from tests.fakes.internet.control import Control
from tests.fakes.internet.internet import Internet


async def _run(arguments: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    ports = {name: int(port) for name, _, port in (pair.rpartition("=") for pair in arguments.ports)}
    async with Internet(*arguments.desks, ports=ports, seed=arguments.seed, is_light=arguments.light) as internet:
        runner = web.AppRunner(Control(internet).application(), access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", arguments.control).start()
        host, port = runner.addresses[0][:2]
        sys.stdout.write(f"listening, controlled at http://{host}:{port}\n")
        sys.stdout.flush()
        await stopped.wait()
        await runner.cleanup()


def main() -> None:
    """Run until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.internet", description="Fake email providers.")
    parser.add_argument("desks", nargs="*", metavar="DESK", help="a kind, or kind:name; without any, one of each kind")
    parser.add_argument("--control", type=int, default=0, help="the port of the control endpoint; 0 takes a free one")
    parser.add_argument("--ports", nargs="*", default=[], metavar="DESK=PORT", help="fix the ports of some desks")
    parser.add_argument("--seed", type=int, default=1, help="decides every share and latency")
    parser.add_argument("--light", action="store_true", help="keep no bodies and files")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
