"""Message ids: a time for sorting, randomness for uniqueness, and the shard that holds the message."""

from __future__ import annotations

from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base32, lower case
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)

PREFIX: Final = "msg_"
RANDOM_BYTES: Final = 10
MAX_SHARDS: Final = 1024
_ID_LENGTH: Final = len(PREFIX) + 28


def make_id(milliseconds: int, randomness: bytes, shard: int) -> str:
    """Return the id of a message made at `milliseconds` since the epoch, to lie in `shard`.

    `randomness` is `RANDOM_BYTES` bytes from a cryptographic source. The time only sorts; no
    decision is ever taken from it.
    """
    number = (milliseconds << 80) | int.from_bytes(randomness, "big")
    pairs = [_PAIRS[(number >> bits) & 0x3FF] for bits in range(120, -1, -10)]
    return PREFIX + "".join(pairs) + _PAIRS[shard]


def shard_of(message_id: str) -> int | None:
    """Return the shard an id names, or None where the text is no id of ours."""
    if len(message_id) != _ID_LENGTH or not message_id.startswith(PREFIX):
        return None
    body = message_id[len(PREFIX) :]
    if any(letter not in _VALUES for letter in body) or body[0] > "7":
        return None
    return _VALUES[body[-2]] * 32 + _VALUES[body[-1]]
