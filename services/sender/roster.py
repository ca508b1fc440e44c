"""Who works in a sender: one actor for each provider; which stay, come and go when the configuration changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from services.sender.account import Account
from services.sender.provider_actor import ProviderActor
from shared.domain.errors import ConfigurationError, Fault
from shared.settings.model import ProviderSettings

#: What only routing and limits look at. A change of any other key needs other connections.
_DECIDED_HERE: Final = ("tier", "weight", "rate_per_second", "burst", "quotas", "pools", "sender_domains")

#: Makes the state of a provider that is not known yet.
OpenAccount = Callable[[ProviderSettings], Account]
#: Makes an actor with connections of its own for an account, as the settings say. Raises ConfigurationError.
Hire = Callable[[Account, ProviderSettings], ProviderActor]


def is_same_account(one: ProviderSettings, other: ProviderSettings) -> bool:
    """Whether what was learned of one holds for the other.

    A change of what the kind itself asks for, of a key or a host, may be the cure of what went wrong so far.
    """
    before, after = ((it.name, it.kind, it.options, it.return_path) for it in (one, other))
    return before == after


def is_carried_alike(one: ProviderSettings, other: ProviderSettings) -> bool:
    """Whether the connections of one serve the other."""
    return replace(one, **{key: getattr(other, key) for key in _DECIDED_HERE}) == other


@dataclass(frozen=True, slots=True)
class Roster:
    """The actors at work, in the order of the configuration."""

    actors: tuple[ProviderActor, ...] = ()

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The state of every provider."""
        return tuple(actor.account for actor in self.actors)

    def successor(self, providers: Iterable[ProviderSettings], open_account: OpenAccount, hire: Hire) -> Roster:
        """Return who works for these providers: an actor at work wherever it can stay. Changes nothing yet.

        Raises ConfigurationError with the faults of all providers.
        """
        actors, faults = [], []
        for provider in providers:
            try:
                actors.append(self._actor_for(provider, open_account, hire))
            except ConfigurationError as error:
                faults += [_placed(fault, provider) for fault in error.faults]
        if faults:
            raise ConfigurationError(tuple(faults))
        return Roster(tuple(actors))

    def _actor_for(self, provider: ProviderSettings, open_account: OpenAccount, hire: Hire) -> ProviderActor:
        before = next((actor for actor in self.actors if actor.name == provider.name), None)
        if before is None or not is_same_account(before.account.settings, provider):
            return hire(open_account(provider), provider)
        if is_carried_alike(before.account.settings, provider):
            return before
        return hire(before.account, provider)

    def without(self, other: Roster) -> list[ProviderActor]:
        """Return the actors that do not work in the other roster."""
        return [actor for actor in self.actors if actor not in other.actors]


def _placed(fault: Fault, provider: ProviderSettings) -> Fault:
    return replace(fault, where=f"providers.{provider.name}.{fault.where}")
