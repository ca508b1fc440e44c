"""SIGHUP: the configuration is read anew, and taken over as a whole or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from shared.domain.errors import ConfigurationError
from shared.runtime import logs
from shared.runtime.metrics import SENDER
from shared.runtime.process import Lifetime, log_refusal
from shared.settings.changes import differences, taken_over
from shared.settings.model import Settings, config_revision

#: Reads the configuration again, from the same place. Raises ConfigurationError.
Load = Callable[[], Settings]

#: Makes a process work with other settings at once. Raises ConfigurationError before it has changed anything.
Apply = Callable[[Settings], None]

log = logs.get_logger()


async def obey_hangups(lifetime: Lifetime, settings: Settings, load: Load | None, apply: Apply) -> None:
    """Take over the configuration at every SIGHUP, until cancelled; without `load` there is none to be read."""
    while True:
        await lifetime.hangup.heard()
        try:
            # Files may lie on a disk that is slow or far away.
            loaded = await asyncio.to_thread(load) if load is not None else None
            if loaded is None or lifetime.draining.is_set():
                log.debug("signal_ignored", signal="SIGHUP")
                continue
            settings = _reload(lifetime.role, settings, loaded, apply)
        except ConfigurationError as error:
            log_refusal(error)


def _reload(role: str, running: Settings, loaded: Settings, apply: Apply) -> Settings:
    settings = taken_over(running, loaded)
    apply(settings)
    if settings.logging != running.logging:
        logs.reconfigure(role, settings.logging.level, settings.logging.format)
    # The providers' secrets are part of it, and only senders read them.
    revision = config_revision(settings) if role == SENDER else None
    log.info("configuration_reloaded", changes=differences(running, settings), config_revision=revision)
    left = differences(settings, loaded)
    if left:
        log.warning("configuration_ignored", keys=left)
    return settings
