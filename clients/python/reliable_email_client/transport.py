"""What carries requests: two protocols, so that tests and other HTTP libraries can take the place of ours."""

from __future__ import annotations

from typing import Protocol

from reliable_email_client.core.wire import Failure, Reply, Request


class Transport(Protocol):
    """Carries requests and blocks until each is answered. Any number of threads may use it."""

    def exchange(self, request: Request, timeout_seconds: float, /) -> Reply | Failure:
        """Return the answer, or why there is none. Raises nothing that the network does."""
        ...

    def close(self) -> None:
        """Give back the connections."""
        ...


class AsyncTransport(Protocol):
    """Carries requests without holding up the event loop."""

    async def exchange(self, request: Request, timeout_seconds: float, /) -> Reply | Failure:
        """Return the answer, or why there is none. Raises nothing that the network does."""
        ...

    async def close(self) -> None:
        """Give back the connections."""
        ...
