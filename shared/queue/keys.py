"""The keyspace: every name under which the queue keeps something.

All keys of one shard carry the shard's hash tag, so that a Redis Cluster keeps them on one node
and every change of state is one atomic script. The scripts derive their keys from the same tag
(`scripts/_keys.lua`); a test holds the two together.
"""

from __future__ import annotations

from binascii import crc_hqx
from functools import cache
from typing import Final

SLOTS: Final = 16_384

#: Consecutive multiples of this number, modulo `SLOTS`, divide the slots evenly for every count
#: of shards (it is `SLOTS` over the golden ratio). Plain numbers put 12 shards 6/2/4 on three nodes.
_STRIDE: Final = 10_126
_NEARNESS: Final = 8


@cache
def shard_tag(prefix: str, shard: int) -> str:
    """Return the hash tag of a shard, `{prefix:n-k}`: k is the least that puts it near its slot."""
    wanted = shard * _STRIDE % SLOTS
    suffix = 0
    while True:
        name = f"{prefix}:{shard}-{suffix}"
        distance = abs(crc_hqx(name.encode(), 0) % SLOTS - wanted)
        if min(distance, SLOTS - distance) <= _NEARNESS:
            return f"{{{name}}}"
        suffix += 1


@cache
def slot(tag: str) -> int:
    """Return the cluster slot of a hash tag, braces included (CRC16 of what stands between them)."""
    return crc_hqx(tag[1:-1].encode(), 0) % SLOTS


def service_tag(prefix: str) -> str:
    """Return the tag of what belongs to no shard: the schema, pauses, the processes."""
    return f"{{{prefix}}}"


def provider_tag(prefix: str, provider: str) -> str:
    """Return the tag of a provider's shared state."""
    return f"{{{prefix}:provider:{provider}}}"


def piece_key(tag: str, message_id: str, number: int) -> str:
    """Return the key of one piece of a large content; pieces count from 1."""
    return f"{tag}:piece:{message_id}:{number}"


def wake_channel(tag: str) -> str:
    """Return the channel on which a flow that was empty says that it no longer is."""
    return f"{tag}:wake"


def due_channel(tag: str) -> str:
    """Return the channel on which an instant is told that comes before all that were due."""
    return f"{tag}:due"
