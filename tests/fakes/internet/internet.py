"""All providers together, each on its own port of loopback."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from types import TracebackType
from typing import Final, Self, TypeVar

from tests.fakes.internet.brevo import BrevoDesk
from tests.fakes.internet.desk import Complaint, Desk, Station
from tests.fakes.internet.listener import Listener
from tests.fakes.internet.mailersend import MailersendDesk
from tests.fakes.internet.mailgun import MailgunDesk
from tests.fakes.internet.mailjet import MailjetDesk
from tests.fakes.internet.mailtrap import MailtrapDesk
from tests.fakes.internet.postal import PostalDesk
from tests.fakes.internet.postmark import PostmarkDesk
from tests.fakes.internet.resend import ResendDesk
from tests.fakes.internet.sendgrid import SendgridDesk
from tests.fakes.internet.ses import SesDesk
from tests.fakes.internet.smtp import SmtpDesk, SmtpListener
from tests.fakes.internet.sparkpost import SparkpostDesk

HTTP_DESKS: Final[Mapping[str, type[Desk]]] = {
    desk.kind: desk
    for desk in (
        SesDesk,
        SendgridDesk,
        MailgunDesk,
        SparkpostDesk,
        PostmarkDesk,
        ResendDesk,
        BrevoDesk,
        MailjetDesk,
        MailersendDesk,
        MailtrapDesk,
        PostalDesk,
    )
}

KINDS: Final = (*HTTP_DESKS, SmtpDesk.kind)

_S = TypeVar("_S", bound=Station)


class Internet:
    """Providers on loopback, as a context manager.

    `names` are kinds, or a kind and what tells two of it apart: "postmark", "postmark:second";
    without any there is one of each. `ports` fixes the port of some. `seed` decides every share and
    latency. `is_light` drops bodies and files once they are read, for ledgers of many. Every request
    that a correct client would not have sent is in `complaints`, whether it was refused or not.
    """

    def __init__(
        self, *names: str, ports: Mapping[str, int] | None = None, seed: int = 1, is_light: bool = False
    ) -> None:
        self.complaints: list[Complaint] = []
        self._stations: dict[str, Station] = {}
        self._listeners: dict[str, Listener | SmtpListener] = {}
        for name in names or KINDS:
            kind = name.partition(":")[0]
            station_type = SmtpDesk if kind == SmtpDesk.kind else HTTP_DESKS[kind]
            random = Random(f"{seed} {name}")  # noqa: S311 - the same at every run
            self._stations[name] = station_type(name, random, self.complaints, is_light=is_light)
        self._ports = ports or {}

    def desk(self, name: str) -> Station:
        """Return a provider by its name."""
        return self._stations[name]

    def desk_of(self, kind: type[_S], name: str = "") -> _S:
        """Return a provider as what it is."""
        station = self._stations[name or kind.kind]
        assert isinstance(station, kind)
        return station

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all providers here."""
        return tuple(self._stations)

    def connections_made(self, name: str) -> int:
        """Return how many connections a provider has taken."""
        return self._listeners[name].connections_made

    async def __aenter__(self) -> Self:
        for name, station in self._stations.items():
            port = self._ports.get(name, 0)
            if isinstance(station, SmtpDesk):
                self._listeners[name] = relay = SmtpListener(station, port=port)
                station.url = f"smtp://127.0.0.1:{relay.port}"
            else:
                assert isinstance(station, Desk)
                self._listeners[name] = listener = Listener(station, port=port)
                station.url = f"http://127.0.0.1:{listener.port}"
            station.life.door = self._listeners[name]
            await self._listeners[name].start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for station in self._stations.values():
            station.life.let_go()
        for listener in self._listeners.values():
            await listener.stop()
