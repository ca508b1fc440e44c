"""How processes learn that others are gone, however they went: kill -9 runs no code of theirs.

The kernel closes the pipes of a dead process, on every system. (`PR_SET_PDEATHSIG` is Linux only,
follows the thread that spawned rather than the process, and would end Valkey in the same instant
as the services that still have to write down what they sent.)
"""

from __future__ import annotations

import os
from typing import Final

#: Waits until nobody holds the other end of its standard input, then ends the process it is given.
END_WHEN_ALONE: Final = ("/bin/sh", "-c", 'read -r nothing; kill -TERM "$0" 2>/dev/null')


class Lifelines:
    """Two pipes that carry nothing; their ends are what counts.

    `tether` is the standard input of each service and `up` alone holds its other end: a service
    drains when it closes. The other end of `presence` is held by `up` and by each service: a
    shell waits until all of them are gone, and then ends Valkey.
    """

    def __init__(self) -> None:
        # Not inheritable, as Python makes all descriptors: each child gets what it is given by name.
        self.tether, self._tether_end = os.pipe()
        self.presence, self.presence_end = os.pipe()

    def close(self) -> None:
        """Let go of all ends; what still runs then ends."""
        for descriptor in (self.tether, self._tether_end, self.presence, self.presence_end):
            os.close(descriptor)
