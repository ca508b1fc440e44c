"""The queue, joined: one object for each side that works with it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from shared.queue.chores import Chores
from shared.queue.core import Core
from shared.queue.leases import Leases
from shared.queue.owners import Owners
from shared.queue.pauses import Pauses
from shared.queue.processes import Processes
from shared.queue.provider_state import ProviderStates
from shared.queue.submissions import Bounds, Submissions
from shared.queue.views import Views


@dataclass(frozen=True, slots=True)
class Queue:
    """Everything that can be done with one queue, sorted by who does it."""

    core: Core
    submissions: Submissions
    owners: Owners
    views: Views
    chores: Chores
    leases: Leases
    providers: ProviderStates
    processes: Processes
    pauses: Pauses

    @classmethod
    def join(cls, core: Core, *, bounds: Bounds, wall_ms: Callable[[], int], leases: Leases | None = None) -> Queue:
        """Return the queue behind `core`; `wall_ms` dates ids, which decides nothing."""
        return cls(
            core=core,
            submissions=Submissions(core, bounds, wall_ms),
            owners=Owners(core),
            views=Views(core),
            chores=Chores(core),
            leases=leases or Leases(core, name=secrets.token_hex(8)),
            providers=ProviderStates(core),
            processes=Processes(core),
            pauses=Pauses(core),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self.core.close()
