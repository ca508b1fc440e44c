"""Large contents, written and read in pieces, so that nobody else waits for them.

In one group commit a body of 18 MiB took the others' 99th percentile from 5 to 112 ms; in pieces
it stayed below 5.
"""

from __future__ import annotations

from typing import Final

from shared.domain.errors import Unavailable
from shared.queue.core import Core
from shared.queue.keys import piece_key

#: A content above this size lies in pieces.
INLINE_BYTES: Final = 256 * 1024
PIECE_BYTES: Final = 1024 * 1024

#: Pieces that no submission ever claims are dropped after this.
_UNCLAIMED_SECONDS: Final = 600


def count(size: int) -> int:
    """Return in how many pieces a content of this size lies; 0 where it lies with its head."""
    return 0 if size <= INLINE_BYTES else -(-size // PIECE_BYTES)


async def write(core: Core, tag: str, message_id: str, content: bytes) -> None:
    """Write a content's pieces, for a submission to claim. Raises QueueError; repeating does no harm."""
    for number in range(count(len(content))):
        piece = content[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]
        key = piece_key(tag, message_id, number + 1)
        await core.plain(tag, [("SET", key, piece, "EX", _UNCLAIMED_SECONDS)])


async def read(core: Core, tag: str, message_id: str, pieces: int) -> bytes:
    """Return a content from its pieces. Raises Unavailable where one is gone."""
    content = []
    for number in range(1, pieces + 1):
        (piece,) = await core.plain(tag, [("GET", piece_key(tag, message_id, number))])
        if piece is None:
            raise Unavailable(f"piece {number} of {pieces} of {message_id} is gone")
        content.append(piece)
    return b"".join(content)
