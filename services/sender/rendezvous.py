"""Which sender goes first where several hear the same bell. Pure.

Ten senders that all run for one message make ten lease calls for it. By rendezvous hashing every
shard has its own order of senders, the same in each of them without a word between them; who
stands further back waits a little longer, and finds the flow empty or takes what is left.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b
from typing import Final

#: A lease call takes about so long on a quiet system.
STEP_SECONDS: Final = 0.004
#: However many senders there are, none holds back for longer.
LONGEST_SECONDS: Final = 0.1


def hold_back_seconds(sender: str, senders: Collection[str], shard: int) -> float:
    """Return how long a sender lets others go first at a shard; nothing where it stands alone."""
    mine = _weight(sender, shard)
    ahead = sum(1 for other in senders if other != sender and _weight(other, shard) > mine)
    return min(LONGEST_SECONDS, ahead * STEP_SECONDS)


def _weight(sender: str, shard: int) -> bytes:
    return blake2b(f"{sender} {shard}".encode(), digest_size=8).digest()
