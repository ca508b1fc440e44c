"""Whether a service is ready, as its operations port says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import aiohttp

from reliable_email.cli.patience import until

_ANSWER_SECONDS: Final = 2.0
_LONGEST_PAUSE_SECONDS: Final = 0.1

#: Hosts that listen everywhere; a client calls them by this name of the machine itself.
_EVERYWHERE: Final[Mapping[str, str]] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


def base_url(host: str, port: int) -> str:
    """Return the URL under which this machine reaches what listens on `host`."""
    name = _EVERYWHERE.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


async def wait_until_ready(session: aiohttp.ClientSession, run_file: Path, host: str) -> dict[str, int]:
    """Wait until the process behind a run file says that it is ready; return its ports."""

    async def once() -> dict[str, int] | None:
        ports = _ports_in(run_file)
        return ports if ports is not None and await _is_ready(session, base_url(host, ports["ops"])) else None

    return await until(once, longest_seconds=_LONGEST_PAUSE_SECONDS)


def _ports_in(run_file: Path) -> dict[str, int] | None:
    try:
        ports: dict[str, int] = json.loads(run_file.read_bytes())["ports"]
    except (OSError, ValueError, LookupError):
        return None
    return ports if "ops" in ports else None


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(total=_ANSWER_SECONDS)) as answer:
            return answer.status == 200  # noqa: PLR2004 - HTTP
    except (aiohttp.ClientError, TimeoutError):
        return False
