"""Which pool a message goes to when it names none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from shared.domain.message import DEFAULT_POOL, Envelope, Priority
from shared.mime.addresses import mail_domain


@dataclass(frozen=True, slots=True)
class Route:
    """A rule of the configuration: messages that meet all its conditions go to `pool`.

    An empty condition is met by every message. Domains are as `mail_domain` returns them;
    `recipient_domains` must hold the domain of every recipient, of `tags` the message needs one.
    """

    pool: str
    recipient_domains: frozenset[str] = frozenset()
    sender_domains: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    priorities: frozenset[Priority] = frozenset()
    larger_than_bytes: int | None = None


def pool_for(envelope: Envelope, priority: Priority, routes: Iterable[Route]) -> str:
    """Return the pool of the first route that the message meets, or the default pool.

    The envelope's addresses must have been accepted by `check_email`.
    """
    route = route_for(envelope, priority, routes)
    return DEFAULT_POOL if route is None else route[1].pool


def route_for(envelope: Envelope, priority: Priority, routes: Iterable[Route]) -> tuple[int, Route] | None:
    """Return the first route that the message meets, with its position, or None."""
    return next((each for each in enumerate(routes) if _meets(envelope, priority, each[1])), None)


def _meets(envelope: Envelope, priority: Priority, route: Route) -> bool:
    return (
        (not route.priorities or priority in route.priorities)
        and (route.larger_than_bytes is None or envelope.size_bytes > route.larger_than_bytes)
        and (not route.tags or not route.tags.isdisjoint(envelope.tags))
        and (not route.sender_domains or mail_domain(envelope.sender.email) in route.sender_domains)
        and (
            not route.recipient_domains
            or all(mail_domain(recipient.email) in route.recipient_domains for recipient in envelope.recipients)
        )
    )
