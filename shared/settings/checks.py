"""What must hold between keys: each rule that one value alone cannot break."""

from __future__ import annotations

import difflib
import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial

from shared.domain.errors import Fault
from shared.settings.model import ProviderSettings, Settings
from shared.settings.redis_url import BadRedisUrl, parse_redis_url
from shared.settings.variables import variable_part


@dataclass(frozen=True, slots=True)
class _Finding:
    """A rule that is broken at `where`; `also` are the other keys that it is judged by."""

    where: str
    detail: str
    also: tuple[str, ...] = ()
    code: str = "conflict"


def check(
    settings: Settings,
    faulty: Collection[str] = (),
    is_zone: Callable[[str], bool] = lambda _: True,
    zones: Callable[[], Collection[str]] = tuple,
) -> tuple[Fault, ...]:
    """Return a fault for each rule that is broken.

    A rule that would have to judge by one of the `faulty` keys is silent: such a key has its
    default in place of what was meant, and a table without one is missing. `is_zone` tells
    whether this machine knows a time zone, `zones` names them all.
    """
    calendars = partial(_zones, is_zone, zones)
    rules = (_frontend, _limits, _redis, _sender, _retry, _retention, _providers, calendars, _routes)
    return tuple(
        Fault(finding.where, finding.code, finding.detail)
        for rule in rules
        for finding in rule(settings)
        if not any(_touches(path, key) for path in faulty for key in (finding.where, *finding.also))
    )


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches an address; a name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _frontend(settings: Settings) -> Iterator[_Finding]:
    frontend = settings.frontend
    if not frontend.keys and not is_loopback(frontend.host):
        detail = f"'{frontend.host}' is reachable from elsewhere: add [[frontend.keys]], or listen on 127.0.0.1"
        yield _Finding("frontend.host", detail, ("frontend.keys",))
    yield from _repeated("frontend.keys", [key.name for key in frontend.keys])
    owners: dict[str, str] = {}
    for key in frontend.keys:
        # A secret that was not read is empty, and is no other key's.
        owner = owners.setdefault(key.secret.reveal() or key.name, key.name)
        if owner != key.name:
            detail = f"It is the secret of '{owner}' too: nobody could tell whose request it is"
            yield _Finding(f"frontend.keys.{key.name}.secret", detail)


def _limits(settings: Settings) -> Iterator[_Finding]:
    limits = settings.limits
    if limits.attachments_megabytes > limits.request_megabytes * 3 / 4:
        detail = f"{limits.attachments_megabytes:g} MiB in base64 exceed limits.request_megabytes"
        yield _Finding("limits.attachments_megabytes", detail, ("limits.request_megabytes",))


def _redis(settings: Settings) -> Iterator[_Finding]:
    try:
        parse_redis_url(settings.redis.server)
    except BadRedisUrl as error:
        yield _Finding("redis.url", error.detail, code="invalid_value")


def _sender(settings: Settings) -> Iterator[_Finding]:
    if settings.sender.buffer_megabytes < settings.limits.request_megabytes:
        detail = "It must hold the largest message: at least limits.request_megabytes"
        yield _Finding("sender.buffer_megabytes", detail, ("limits.request_megabytes",))


def _retry(settings: Settings) -> Iterator[_Finding]:
    if settings.retry.max_seconds < settings.retry.base_seconds:
        yield _Finding("retry.max_seconds", "It must be at least retry.base_seconds", ("retry.base_seconds",))


def _retention(settings: Settings) -> Iterator[_Finding]:
    hours = settings.limits.idempotency_hours
    kept = {"sent_days": settings.retention.sent_days, "failed_days": settings.retention.failed_days}
    for key, days in kept.items():
        if days * 24 < hours:
            detail = f"{days:g} days end before limits.idempotency_hours ({hours}): a replay would not find its message"
            yield _Finding(f"retention.{key}", detail, ("limits.idempotency_hours",))


def _providers(settings: Settings) -> Iterator[_Finding]:
    yield from _repeated("providers", [provider.name for provider in settings.providers])
    for provider in settings.providers:
        yield from _provider(provider, f"providers.{provider.name}")


def _provider(provider: ProviderSettings, path: str) -> Iterator[_Finding]:
    if provider.burst is not None and provider.rate_per_second is None:
        yield _Finding(f"{path}.burst", "It has no meaning without rate_per_second", (f"{path}.rate_per_second",))
    for position, quota in enumerate(provider.quotas):
        if quota.zone is not None and quota.window == "rolling":
            detail = 'It has no meaning without window = "calendar"'
            yield _Finding(f"{path}.quotas.{position}.zone", detail, (f"{path}.quotas",))


def _zones(
    is_zone: Callable[[str], bool], zones: Callable[[], Collection[str]], settings: Settings
) -> Iterator[_Finding]:
    for provider in settings.providers:
        path = f"providers.{provider.name}.quotas"
        for position, quota in enumerate(provider.quotas):
            if quota.zone is not None and not is_zone(quota.zone):
                detail = f"There is no time zone '{quota.zone}' on this machine{_like(quota.zone, zones())}"
                yield _Finding(f"{path}.{position}.zone", detail, (path,), "invalid_value")


def _like(zone: str, zones: Collection[str]) -> str:
    """Return a question for the zone that was probably meant; nothing where none is like it."""
    by_letters = {name.lower().replace("_", " "): name for name in zones}
    close = difflib.get_close_matches(zone.lower().replace("_", " "), by_letters, n=1)
    return f". Did you mean '{by_letters[close[0]]}'?" if close else ""


def _routes(settings: Settings) -> Iterator[_Finding]:
    for position, route in enumerate(settings.routes):
        if route.pool not in settings.pools:
            detail = f"No provider belongs to the pool '{route.pool}'; there are {', '.join(settings.pools)}"
            yield _Finding(f"routes.{position}.pool", detail, ("providers", "routes"), "unknown_pool")


def _repeated(path: str, names: list[str]) -> Iterator[_Finding]:
    """Find names that cannot be told apart in a variable, where `-` is written as `_`."""
    for part, count in Counter(variable_part(name) for name in names).items():
        if count > 1:
            same = sorted({name for name in names if variable_part(name) == part})
            detail = f"{count} have the name {' or '.join(map(repr, same))}, which a variable cannot tell apart"
            yield _Finding(f"{path}.{same[0]}.name", detail, code="duplicate_name")


def _touches(path: str, key: str) -> bool:
    """Return whether a fault at one of two paths makes the other unsure."""
    return path == key or path.startswith(f"{key}.") or key.startswith(f"{path}.")
