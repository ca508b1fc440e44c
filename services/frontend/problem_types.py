"""Every problem that the interface can answer with: status, meaning and cure, as data.

The answer to a problem is made from this table, and so is the page that its `type` leads to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One kind of problem (RFC 9457). `retryable`: the very same request may succeed later.

    `retry_after_seconds` stands where an answer always carries `Retry-After`: the least to wait
    where nothing better is known.
    """

    code: str
    status: int
    title: str
    meaning: str
    cure: str
    retryable: bool = False
    retry_after_seconds: int | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def uri(self) -> str:
        """The reference that identifies the type; the frontend serves its page there."""
        return f"/problems/{self.code}"


_ALL: Final = (
    ProblemType(
        "bad_request",
        400,
        "The request cannot be understood",
        "The bytes that came are no HTTP request that this service reads: a malformed line, header or length.",
        "Look at what the client or a proxy between really sends. Its headers have at most 8,190 bytes each.",
    ),
    ProblemType(
        "not_json",
        400,
        "The body is not JSON",
        "The body cannot be parsed as JSON in UTF-8. It may be cut off, hold NaN, or be nested too deeply.",
        "Send one JSON value, written by a JSON library, without a byte order mark.",
    ),
    ProblemType(
        "bad_parameter",
        400,
        "A query parameter is not valid",
        "A parameter in the query of the URL is unknown, given too often, or has a value it cannot have.",
        "Each entry of `errors` names its parameter and says what it takes.",
    ),
    ProblemType(
        "cursor_mismatch",
        400,
        "The cursor belongs to another list",
        "A cursor goes on where one list ended; it was used with other filters than it was made with.",
        "Repeat the filters of the first page with each cursor, or leave the cursor out and begin anew.",
    ),
    ProblemType(
        "unauthenticated",
        401,
        "A valid key is required",
        "The request carries no key, or one that this service does not know.",
        "Send `Authorization: Bearer` with a key from the configuration.",
        headers=(("WWW-Authenticate", "Bearer"),),
    ),
    ProblemType(
        "forbidden",
        403,
        "This is not allowed",
        "The key is known, but its scopes do not hold what was asked for. Or there are no keys, so that only this "
        "machine is served, and the header `Host` or `Origin` names another.",
        "Use a key with the scope that is needed. Without keys, use 127.0.0.1 or localhost, or configure a key.",
    ),
    ProblemType(
        "sender_not_allowed",
        403,
        "The key may not send from this address",
        "The key is bound to other sender addresses than the one in `from`.",
        "Send from an address that the key allows, or use another key.",
    ),
    ProblemType(
        "not_found",
        404,
        "There is nothing here",
        "No such path, or no message with this id: it never existed, its retention has ended, or it is not yours.",
        "Check the id. How long records are kept is configured under `[retention]`.",
    ),
    ProblemType(
        "method_not_allowed",
        405,
        "This path does not take this method",
        "The path exists and answers to other methods, which the header `Allow` names.",
        "Use one of those.",
    ),
    ProblemType(
        "request_timeout",
        408,
        "The request did not arrive in time",
        "The body stalled or came too slowly; nothing was accepted.",
        "Send it again, over a better connection or in smaller parts.",
        retryable=True,
    ),
    ProblemType(
        "not_cancellable",
        409,
        "The message can no longer be cancelled",
        "It has ended in the `state` that the answer names.",
        "Nothing can be done: what was sent cannot be called back.",
    ),
    ProblemType(
        "not_changeable",
        409,
        "The message can no longer be changed",
        "It has ended, or an attempt to send it has begun; `state` says which.",
        "Cancel it and submit another, as far as that is still possible.",
    ),
    ProblemType(
        "not_requeueable",
        409,
        "The message cannot be requeued",
        "None of its recipients has failed or expired, or its content was dropped when its retention ended.",
        "Submit it again as a new message.",
    ),
    ProblemType(
        "not_final",
        409,
        "The message has not ended",
        "Only a message whose state is final can be deleted.",
        "Cancel it first, or wait.",
    ),
    ProblemType(
        "too_large",
        413,
        "The request has too many bytes",
        "The body, a text, the attachments together or the metadata exceed a limit in bytes.",
        "`GET /v1` shows the limits. Put large files where recipients can fetch them, and send a link.",
    ),
    ProblemType(
        "unsupported_media_type",
        415,
        "The body must be plain JSON",
        "The Content-Type is not `application/json`, or the body is compressed (Content-Encoding).",
        "Send `Content-Type: application/json`, and the body as it is.",
    ),
    ProblemType(
        "invalid_message",
        422,
        "The message is not valid",
        "The body is JSON, but no message that can be taken. Nothing was accepted.",
        "`errors` names every fault at once, each with its place. Mend them; the idempotency key may stay.",
    ),
    ProblemType(
        "invalid_batch",
        422,
        "The batch is not valid",
        "The batch as a whole is malformed, or none of its messages could be taken. Nothing was accepted.",
        "`errors` names what is wrong with the batch, `results` what is wrong with each message.",
    ),
    ProblemType(
        "invalid_request",
        422,
        "The request is not valid",
        "The body is JSON, but does not say what is to be done. Nothing was done.",
        "`errors` names every fault at once, each with a pointer to its place.",
    ),
    ProblemType(
        "idempotency_key_reused",
        422,
        "The idempotency key belongs to another message",
        "A message with other content was accepted under this key, and the key is still remembered.",
        "Use one key for each message. To repeat a request, repeat its body without any change.",
    ),
    ProblemType(
        "rate_limited",
        429,
        "Too many requests",
        "Requests come faster than they are taken from this client.",
        "Wait as long as `Retry-After` says, then go on more slowly.",
        retryable=True,
        retry_after_seconds=1,
    ),
    ProblemType(
        "quota_exceeded",
        429,
        "The quota is used up",
        "More messages were submitted than this client may submit in its period.",
        "Wait as long as `Retry-After` says, or ask for a larger quota.",
        retryable=True,
        retry_after_seconds=60,
    ),
    ProblemType(
        "queue_full",
        429,
        "The queue is full for this priority",
        "So many messages wait that no more of this priority are taken; more urgent ones may still be.",
        "Wait as long as `Retry-After` says. If it persists, see why messages are not sent: `GET /v1/queue`.",
        retryable=True,
        retry_after_seconds=10,
    ),
    ProblemType(
        "internal",
        500,
        "The service made a mistake",
        "A defect of this service. It is not known whether the request had an effect.",
        "Report it with the `request_id`. Repeat a submission only under an idempotency key.",
    ),
    ProblemType(
        "unavailable",
        503,
        "The service cannot do this now",
        "The store of messages cannot be reached, is full or too slow, or too much is asked at once. "
        "Nothing was done; where that is not certain, `detail` says so.",
        "Wait as long as `Retry-After` says and send the same request again.",
        retryable=True,
        retry_after_seconds=2,
    ),
    ProblemType(
        "acceptance_unknown",
        503,
        "It is not known whether the message was accepted",
        "The message was written and the store's answer was lost: it may be sent, as `message_id`, or not.",
        "Send the same request under the same idempotency key: that settles it. Without a key, ask for `message_id`.",
        retryable=True,
        retry_after_seconds=2,
    ),
)

#: Every type by its code, in the order of their statuses.
PROBLEM_TYPES: Final = {kind.code: kind for kind in _ALL}
