"""Which kinds of provider there are: those that come with the service, and those that plug-ins bring.

A plug-in is a distribution with an entry point in the group `reliable_email.providers`, named
as its kind, that points to a class with the members of `Adapter`. Its `Options` is a frozen
dataclass whose fields are the kind's keys: none that all providers share, each with a text under
it, and with "Example: `key = value`" in the text where it has no default. Where keys contradict
each other, `Options` raises ConfigurationError with faults placed by the key's name. It extends
the `Options` of a built-in kind, which decides how the plug-in's requests travel.

A built-in kind cannot be replaced: mail would go another way because a package was installed.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from shared.domain.errors import ConfigurationError, Fault
from shared.providers.brevo import Brevo
from shared.providers.interface import Adapter
from shared.providers.mailersend import MailerSend
from shared.providers.mailgun import Mailgun
from shared.providers.mailjet import Mailjet
from shared.providers.mailtrap import Mailtrap
from shared.providers.outbox import Outbox
from shared.providers.postal import Postal
from shared.providers.postmark import Postmark
from shared.providers.resend import Resend
from shared.providers.sandbox import Sandbox
from shared.providers.sendgrid import Sendgrid
from shared.providers.ses import Ses
from shared.providers.smtp import Smtp
from shared.providers.sparkpost import Sparkpost

GROUP: Final = "reliable_email.providers"

#: In the order in which they are told of: what needs no account, what reaches any server, the services by name.
_BUILT_IN: Final[dict[str, Adapter]] = {
    adapter.kind: adapter
    for adapter in (
        *(Outbox(), Smtp(), Sandbox()),
        *(Brevo(), MailerSend(), Mailgun(), Mailjet(), Mailtrap(), Postal(), Postmark()),
        *(Resend(), Sendgrid(), Ses(), Sparkpost()),
    )
}


def kinds() -> tuple[str, ...]:
    """Return every kind that can be configured: the built-in ones, then those of plug-ins by name."""
    return (*_BUILT_IN, *sorted(_plug_ins().keys() - _BUILT_IN.keys()))


def adapter(kind: str) -> Adapter:
    """Return the adapter of a kind.

    Raises ConfigurationError for a kind that nobody brings, and for a plug-in that cannot be
    imported.
    """
    if kind in _BUILT_IN:
        return _BUILT_IN[kind]
    if kind in _plug_ins():
        return _load(_plug_ins()[kind])
    known = ", ".join(kinds())
    raise ConfigurationError((Fault("kind", "unknown_kind", f"There is no kind {kind!r}; there are {known}"),))


@cache
def _plug_ins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


@cache
def _load(entry: EntryPoint) -> Adapter:
    try:
        plug_in: Adapter = entry.load()()
    except (ImportError, AttributeError) as error:
        detail = f"The plug-in {entry.value} of kind {entry.name!r} cannot be imported: {error}"
        raise ConfigurationError((Fault("kind", "broken_plug_in", detail),)) from error
    return plug_in
