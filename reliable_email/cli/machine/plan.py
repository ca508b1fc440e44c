"""What runs on this machine, decided before anything is started."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from reliable_email.cli.machine import ports
from reliable_email.cli.machine.data import Data, shown
from shared.domain.errors import ConfigurationError, Fault, ReliableEmailError
from shared.runtime.run_file import RUN_FILE_VARIABLE
from shared.settings.load import load
from shared.settings.model import Settings

_VARIABLE: Final = "RELIABLE_EMAIL_"
_OUTBOX: Final = "outbox"

#: What the command line asks for reaches the services as variables.
_OPTIONS: Final = {"--host": f"{_VARIABLE}FRONTEND__HOST", "--port": f"{_VARIABLE}FRONTEND__PORT"}


class PortTaken(ReliableEmailError):
    """Something listens on a port already; the text holds the command with another one."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line asks for."""

    config: str | None
    data: Path
    host: str | None
    port: int | None
    senders: int


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the service, with the port it shows itself on."""

    name: str
    role: str
    ops_port: int
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that `up` has to know; `environ` is what its services are started with."""

    wishes: Wishes
    settings: Settings
    data: Data
    environ: Mapping[str, str]
    services: tuple[Service, ...]

    @property
    def has_own_valkey(self) -> bool:
        """Whether the queue lies in a Valkey that `up` starts."""
        return not self.settings.redis.url

    def command(self, role: str) -> list[str]:
        """Return the command of a service: this very program, with the role as its first word."""
        program = sys.argv[0]
        start = [program] if os.path.basename(program) == "reliable-email" else ["-m", "reliable_email"]  # noqa: PTH119 - a text, not a path
        config = ["--config", self.wishes.config] if self.wishes.config else []
        return [sys.executable, *start, role, *config]

    def environ_of(self, service: Service, redis_url: str) -> dict[str, str]:
        """Return the variables of one service."""
        return {
            **self.environ,
            RUN_FILE_VARIABLE: str(self.data.run_file(service.name).absolute()),
            f"{_VARIABLE}REDIS__URL": redis_url,
            f"{_VARIABLE}OPS__PORT": str(service.ops_port),
        }

    def file_of(self, provider: str | None, message_id: str) -> str | None:
        """Return the file that a provider has made of a message, None where it makes none."""
        for known in self.settings.providers:
            if known.name == provider and known.kind == _OUTBOX:
                return str(Path(known.options.directory) / f"{message_id}.eml")
        return None

    @property
    def outbox(self) -> str | None:
        """The folder of the first provider that writes files."""
        folders = (Path(known.options.directory) for known in self.settings.providers if known.kind == _OUTBOX)
        return next((shown(folder) for folder in folders), None)

    def require_ports(self) -> None:
        """Raise PortTaken where a service could not listen."""
        frontend, ops = self.settings.frontend, self.settings.ops
        if ports.is_taken(frontend.host, frontend.port):
            free = ports.free_run(frontend.host, frontend.port + 1, 1)
            raise PortTaken(
                f"port {frontend.port} on {frontend.host} is taken; with another one:\n\n  {self._again(port=free)}"
            )
        for service in self.services:
            if ports.is_taken(ops.host, service.ops_port):
                free = ports.free_run(ops.host, ops.port + 1, len(self.services))
                raise PortTaken(
                    f"port {service.ops_port} on {ops.host}, where {service.name} would show its health, is taken; "
                    f"with others:\n\n  {_VARIABLE}OPS__PORT={free} {self._again()}"
                )

    def _again(self, port: int | None = None) -> str:
        wishes = self.wishes if port is None else replace(self.wishes, port=port)
        options = {
            "--config": wishes.config,
            "--data": str(wishes.data) if wishes.data != Path("data") else None,
            "--host": wishes.host,
            "--port": wishes.port,
            "--senders": wishes.senders if wishes.senders > 1 else None,
        }
        return " ".join(
            ["reliable-email up", *(f"{name} {value}" for name, value in options.items() if value is not None)]
        )


def make_plan(wishes: Wishes, environ: Mapping[str, str]) -> Plan:
    """Return the plan for these wishes. Raises ConfigurationError."""
    given = {"--host": wishes.host, "--port": None if wishes.port is None else str(wishes.port)}
    wished = {_OPTIONS[option]: value for option, value in given.items() if value is not None}
    variables = {**environ, f"{_VARIABLE}LOGGING__FORMAT": "json", **wished}
    data = Data(wishes.data)
    try:
        variables |= _outboxes(load(wishes.config, variables, secrets_of={"redis"}), data)
        settings = load(wishes.config, variables, secrets_of={"redis"})
    except ConfigurationError as error:
        options = {variable: option for option, variable in _OPTIONS.items() if variable in wished}
        faults = (replace(fault, where=options.get(fault.where, fault.where)) for fault in error.faults)
        raise ConfigurationError(tuple(faults)) from error
    if not settings.redis.url and settings.durability.replicas:
        detail = "The Valkey that `up` starts has no replicas; set redis.url to a server that has some, or this to 0"
        raise ConfigurationError((Fault("durability.replicas", "no_replicas", detail),))
    return Plan(wishes, settings, data, variables, _services(settings, wishes.senders))


def _outboxes(settings: Settings, data: Data) -> dict[str, str]:
    """Return the variables that put each outbox without a folder of its own into the data folder."""
    variables = {}
    for provider in settings.providers:
        if provider.kind == _OUTBOX and provider.options.directory == type(provider.options)().directory:
            name = provider.name.upper().replace("-", "_")
            variables[f"{_VARIABLE}PROVIDERS__{name}__DIRECTORY"] = str(data.outbox)
    return variables


def _services(settings: Settings, senders: int) -> tuple[Service, ...]:
    first = settings.ops.port
    names = ["sender"] if senders == 1 else [f"sender-{number}" for number in range(1, senders + 1)]
    roles = [
        ("frontend", "frontend", settings.frontend.grace_seconds),
        ("scheduler", "scheduler", settings.scheduler.grace_seconds),
        *((name, "sender", settings.sender.grace_seconds) for name in names),
    ]
    return tuple(
        Service(name, role, first + number if first else 0, grace_seconds)
        for number, (name, role, grace_seconds) in enumerate(roles)
    )
