"""How an envelope is laid out in bytes: a head that every reading shows, and a content that can be dropped.

    codec byte | u32 length of head | head (JSON) | content
    content = u32 length of bodies | bodies (JSON) | attachments, decoded, one after the other

The codec byte is raised whenever the layout changes; a reader knows every layout that was ever
written, so that processes of two versions can share one queue.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import orjson

from shared.domain.message import Address, Attachment, Envelope, OnAmbiguous

CODEC: Final = 1
_LENGTH: Final = struct.Struct(">I")
_PREFIX: Final = struct.Struct(">BI")


class CorruptBody(ValueError):
    """Bytes that no version of this codec wrote: the store was damaged, or something else wrote there."""


def encode(envelope: Envelope) -> tuple[bytes, bytes]:
    """Return the head, with its prefix, and the content; joined they are the whole."""
    head = orjson.dumps(_head(envelope))
    bodies = orjson.dumps(
        {
            name: value
            for name, value in (("text", envelope.text), ("html", envelope.html), ("headers", envelope.headers or None))
            if value is not None
        }
    )
    content = [_LENGTH.pack(len(bodies)), bodies, *(attachment.content for attachment in envelope.attachments)]
    return _PREFIX.pack(CODEC, len(head)) + head, b"".join(content)


def decode_head(data: bytes) -> Envelope:
    """Return the envelope without bodies, headers and the contents of attachments."""
    return _envelope(_split(data)[0], {}, b"")


def decode(data: bytes) -> Envelope:
    """Return the whole envelope; `data` is the head and the content, joined."""
    head, content = _split(data)
    try:
        (length,) = _LENGTH.unpack_from(content)
        bodies = orjson.loads(content[_LENGTH.size : _LENGTH.size + length])
    except (struct.error, orjson.JSONDecodeError) as error:
        raise CorruptBody("the content of a message cannot be read") from error
    return _envelope(head, bodies, content[_LENGTH.size + length :])


def head_length(data: bytes) -> int:
    """Return how many of the first bytes hold the prefix and the head."""
    return _PREFIX.size + _prefix(data)


def _prefix(data: bytes) -> int:
    try:
        codec, length = _PREFIX.unpack_from(data)
    except struct.error as error:
        raise CorruptBody("a message's body is shorter than its prefix") from error
    if codec != CODEC:
        raise CorruptBody(f"a message's body has codec {codec}; this version reads {CODEC}")
    return int(length)


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    end = head_length(data)
    try:
        return orjson.loads(data[_PREFIX.size : end]), data[end:]
    except orjson.JSONDecodeError as error:
        raise CorruptBody("the head of a message cannot be read") from error


def _head(envelope: Envelope) -> dict[str, Any]:
    head: dict[str, Any] = {"from": _pack(envelope.sender), "subject": envelope.subject, "size": envelope.size_bytes}
    for name in ("to", "cc", "bcc", "reply_to"):
        if addresses := getattr(envelope, name):
            head[name] = [_pack(address) for address in addresses]
    if envelope.attachments:
        head["files"] = [
            [part.filename, part.content_type, part.size_bytes, part.content_id, part.disposition]
            for part in envelope.attachments
        ]
    if envelope.tags:
        head["tags"] = envelope.tags
    if envelope.metadata:
        head["metadata"] = envelope.metadata
    if envelope.on_ambiguous is not OnAmbiguous.RETRY:
        head["on_ambiguous"] = envelope.on_ambiguous
    if envelope.message_id_domain != _domain(envelope.sender):
        head["domain"] = envelope.message_id_domain
    if envelope.pinned_to:
        head["pinned_to"] = envelope.pinned_to
    return head


def _envelope(head: dict[str, Any], bodies: dict[str, Any], files: bytes) -> Envelope:
    attachments = []
    offset = 0
    for filename, content_type, size, content_id, disposition in head.get("files", ()):
        content = files[offset : offset + size]
        attachments.append(Attachment(filename, content_type, size, content, content_id, disposition))
        offset += size
    sender = _unpack(head["from"])
    return Envelope(
        sender=sender,
        to=_unpack_all(head, "to"),
        cc=_unpack_all(head, "cc"),
        bcc=_unpack_all(head, "bcc"),
        reply_to=_unpack_all(head, "reply_to"),
        subject=head["subject"],
        text=bodies.get("text"),
        html=bodies.get("html"),
        headers=tuple(map(tuple, bodies["headers"])) if "headers" in bodies else (),
        attachments=tuple(attachments),
        tags=tuple(head.get("tags", ())),
        metadata=head.get("metadata", {}),
        on_ambiguous=OnAmbiguous(head["on_ambiguous"]) if "on_ambiguous" in head else OnAmbiguous.RETRY,
        message_id_domain=head.get("domain", _domain(sender)),
        size_bytes=head["size"],
        pinned_to=head.get("pinned_to", ""),
    )


def _unpack_all(head: dict[str, Any], name: str) -> tuple[Address, ...]:
    return tuple([_unpack(packed) for packed in head[name]]) if name in head else ()


def _domain(address: Address) -> str:
    return address.email.rpartition("@")[2]


def _pack(address: Address) -> str | list[str]:
    return [address.email, address.name] if address.name else address.email


def _unpack(packed: str | list[str]) -> Address:
    return Address(packed) if isinstance(packed, str) else Address(*packed)
