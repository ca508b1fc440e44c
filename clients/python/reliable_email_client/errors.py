"""What can go wrong, as one tree: the branch says whose fault it is and so what helps.

ReliableEmailError
├── CallerError            the same call will fail again: mend it
│   ├── InvalidRequest       every fault, each with its place
│   │   ├── InvalidMessage
│   │   ├── TooLarge
│   │   └── KeyReused          the idempotency key belongs to another message
│   ├── Unauthenticated
│   ├── Forbidden
│   ├── NotFound
│   ├── Conflict             the message's state does not allow it
│   └── Untrusted            the service's certificate does not convince
├── TemporaryError         nobody's fault: the same call may succeed later, and was retried as long as allowed
│   ├── RateLimited
│   │   └── QuotaExceeded
│   ├── QueueFull
│   ├── Unavailable          the service answered that it cannot do this now; nothing was done
│   ├── Unreachable          nobody answered; nothing was sent
│   ├── AnswerLost           the request may have had its effect
│   │   └── AcceptanceUnknown  the message may be accepted: send the same Message again, never a new one
│   └── StillWaiting         `wait` gave up; also a TimeoutError
└── ServiceError           a mistake of the service, or something else answers in its place
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reliable_email_client.answers import Answer, Fault, Record


@dataclass(frozen=True, kw_only=True)
class Problem(Answer):
    """What the service says is wrong (RFC 9457). Members that only some problems have stand in `raw`."""

    code: str
    type: str = ""
    title: str = ""
    status: int = 0
    detail: str = ""
    instance: str | None = None
    request_id: str | None = None
    retryable: bool = False
    errors: tuple[Fault, ...] = ()
    state: str | None = None
    message_id: str | None = None

    def words(self) -> str:
        """Return the problem for people: what it is, then every fault with its place."""
        lines = [f"{self.title}: {self.detail}" if self.title and self.detail else self.title or self.detail]
        lines += [f"  {fault.place}: {fault.detail}" for fault in self.errors]
        return "\n".join(lines)


class ReliableEmailError(Exception):
    """A call did not bring what it was made for.

    `problem` is what the service said, None where it did not answer. `attempts` says how often it
    was asked. `in_doubt`: at least one answer was lost on the way, so the call may have had its
    effect all the same. `idempotency_key` is the key of the message that was to be sent.
    """

    def __init__(
        self, detail: str, *, problem: Problem | None = None, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(detail)
        self.problem = problem
        #: What the service asked to wait.
        self.retry_after_seconds = retry_after_seconds
        self.attempts = 0
        self.in_doubt = False
        self.idempotency_key: str | None = None

    @property
    def code(self) -> str | None:
        """The code of the problem; an open set."""
        return self.problem.code if self.problem else None

    @property
    def request_id(self) -> str | None:
        """The name of the request in the service's log."""
        return self.problem.request_id if self.problem else None


class CallerError(ReliableEmailError):
    """The same call will fail again."""


class InvalidRequest(CallerError):
    """The request is not one that the service takes; nothing was done."""

    @property
    def errors(self) -> tuple[Fault, ...]:
        """Every fault with its place."""
        return self.problem.errors if self.problem else ()


class InvalidMessage(InvalidRequest):
    """The message is not valid; nothing was accepted. Its key may be used for the mended one."""


class TooLarge(InvalidRequest):
    """The request, a text, the attachments or the metadata have too many bytes."""


class KeyReused(InvalidRequest):
    """Another message was accepted under this idempotency key."""


class Unauthenticated(CallerError):
    """The service asks for a key, or does not know this one."""


class Forbidden(CallerError):
    """The key does not allow this."""


class NotFound(CallerError):
    """There is no such message: it never was, its retention has ended, or it is another's."""


class Conflict(CallerError):
    """The message's state does not allow this."""

    @property
    def state(self) -> str | None:
        """The state that stands in the way."""
        return self.problem.state if self.problem else None


class Untrusted(CallerError):
    """The other side could not prove that it is the service; nothing was sent."""


class TemporaryError(ReliableEmailError):
    """The same call may succeed later. It was repeated for as long as the client's `Retry` allows."""


class RateLimited(TemporaryError):
    """Requests come faster than they are taken."""


class QuotaExceeded(RateLimited):
    """More messages were submitted than this key may submit in its period."""


class QueueFull(TemporaryError):
    """So many messages wait that no more of this priority are taken."""


class Unavailable(TemporaryError):
    """The service cannot do this now; nothing was done."""


class Unreachable(TemporaryError):
    """Nobody answers at the address; nothing was sent."""


class AnswerLost(TemporaryError):
    """A request was sent and its answer did not arrive: it may have had its effect."""


class AcceptanceUnknown(AnswerLost):
    """The message may have been accepted.

    Sending the same Message again settles it, within the service's `idempotency_hours`; so does
    asking for `message_id` where it is known.
    """

    @property
    def message_id(self) -> str | None:
        """The id that the message has if it was accepted, where the service could say it."""
        return self.problem.message_id if self.problem else None


class StillWaiting(TemporaryError, TimeoutError):
    """The message has not come to a final state in time. `record` is what was last seen of it."""

    def __init__(self, detail: str, record: Record | None = None) -> None:
        super().__init__(detail)
        self.record = record


class ServiceError(ReliableEmailError):
    """The service made a mistake, or something else answers in its place; whether it had an effect is not known."""


#: Of codes that say more than their status.
BY_CODE: Mapping[str, type[ReliableEmailError]] = {
    "invalid_message": InvalidMessage,
    "idempotency_key_reused": KeyReused,
    "quota_exceeded": QuotaExceeded,
    "queue_full": QueueFull,
    "acceptance_unknown": AcceptanceUnknown,
}

BY_STATUS: Mapping[int, type[ReliableEmailError]] = {
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    408: Unavailable,
    409: Conflict,
    413: TooLarge,
    429: RateLimited,
    502: AnswerLost,
    503: Unavailable,
    504: AnswerLost,
}
