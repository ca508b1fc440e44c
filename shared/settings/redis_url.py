"""The URL of Redis, read strictly: one server, a set of Sentinels, or the nodes of a cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from shared.domain.errors import ReliableEmailError

Kind = Literal["single", "sentinel", "cluster"]

_SCHEMES: Final[dict[str, Kind]] = {"": "single", "-sentinel": "sentinel", "-cluster": "cluster"}
_FORMS: Final = (
    "redis://host:6379/0, redis-sentinel://host:26379,host:26379/<master>/0 or redis-cluster://host:6379,host:6379; "
    "with rediss in front they speak TLS"
)

_SCHEME: Final = re.compile(r"redis(?P<tls>s?)(?P<kind>|-sentinel|-cluster)")
_HOST: Final = re.compile(r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_DATABASE: Final = re.compile(r"[0-9]{1,5}")
_VISIBLE: Final = re.compile(r"[!-~]+")

_LARGEST_PORT: Final = 65_535


class BadRedisUrl(ReliableEmailError):
    """A text is no URL of Redis. `detail` says what is wrong and never shows the text: a secret may stand in it."""

    def __init__(self, detail: str) -> None:
        self.detail = detail
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """What a URL says. `hosts` are names or addresses (IPv6 without brackets), each with its port.

    `master` is the name by which Sentinels know the primary, `user` that of Redis; both may be empty.
    """

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...]
    user: str = ""
    master: str = ""
    database: int = 0


def parse_redis_url(url: str) -> RedisUrl:
    """Read a URL. Raises BadRedisUrl.

    Nothing is guessed or ignored: a port of 65,536, a database called `main` or a parameter
    behind a `?` would otherwise be found out where mail is waiting.
    """
    if not _VISIBLE.fullmatch(url):
        raise BadRedisUrl("It is made of visible ASCII characters, without spaces")
    try:
        parts = urlsplit(url)
    except ValueError:  # brackets that do not close
        raise BadRedisUrl(f"Its hosts cannot be read; the forms are {_FORMS}") from None
    scheme = _SCHEME.fullmatch(parts.scheme)
    if scheme is None or not parts.netloc:
        raise BadRedisUrl(f"It must have one of the forms {_FORMS}")
    user, _, hosts = parts.netloc.rpartition("@")
    if ":" in user or "password" in parts.query:
        raise BadRedisUrl("A password does not stand in the URL: give it as redis.password")
    if "?" in url or "#" in url:
        raise BadRedisUrl("Nothing stands behind a ? or a # in it")
    kind = _SCHEMES[scheme["kind"]]
    master, database = _path(kind, parts.path)
    return RedisUrl(kind, bool(scheme["tls"]), _hosts(kind, hosts), unquote(user), master, database)


def _hosts(kind: Kind, text: str) -> tuple[tuple[str, int], ...]:
    hosts = tuple(_host(part, 26_379 if kind == "sentinel" else 6_379) for part in text.split(","))
    if kind == "single" and len(hosts) > 1:
        raise BadRedisUrl("One server is named; several are redis-sentinel:// or redis-cluster://")
    return hosts


def _host(text: str, usual_port: int) -> tuple[str, int]:
    match = _HOST.fullmatch(text)
    port = int(match["port"] or usual_port) if match else 0
    if match is None or not 1 <= port <= _LARGEST_PORT:
        raise BadRedisUrl("Each host is a name, an IPv4 address or an IPv6 address in [ ], with a port of 1 to 65535")
    return match["host"].strip("[]"), port


def _path(kind: Kind, path: str) -> tuple[str, int]:
    """Return the name of the master and the number of the database."""
    words = path.strip("/").split("/") if path.strip("/") else []
    if kind == "cluster" and words:
        raise BadRedisUrl("A cluster has no databases: nothing stands behind its hosts")
    master = ""
    if kind == "sentinel":
        if not words or not _NAME.fullmatch(words[0]):
            raise BadRedisUrl("Behind the Sentinels stands the name by which they know the primary: /<master>/0")
        master = words.pop(0)
    if len(words) > 1 or (words and not _DATABASE.fullmatch(words[0])):
        raise BadRedisUrl("The database is a number, as in redis://host:6379/0")
    return master, int(words[0]) if words else 0
