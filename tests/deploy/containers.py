"""The services as containers would run them, and Valkey as the manifests set it: real processes on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import redis

from reliable_email.embedded import find_server
from tests.deploy.image import USER, Image
from tests.deploy.manifests import Rendered

SECONDS = 30.0


@contextlib.contextmanager
def folder_for_anybody() -> Iterator[Path]:
    """A temporary folder whose way leads through no folder of root alone, as those of pytest do."""
    folder = Path(tempfile.mkdtemp(prefix="reliable-email-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        subprocess.run(["/bin/chmod", "-R", "u+w", folder], check=False)
        shutil.rmtree(folder)


def until(holds: Callable[[], Any], what: str) -> Any:
    """Wait until something outside of this process holds, and return it."""
    deadline = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def asked(url: str, body: object = None, **headers: str) -> tuple[int, Any]:
    """Return status and JSON of an answer; 0 where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, None


class Running:
    """One process of the service."""

    def __init__(self, role: str, ops_port: int, process: subprocess.Popen[str]) -> None:
        self.role = role
        self.ops = f"http://127.0.0.1:{ops_port}"
        self.process = process

    def answers(self, path: str) -> Any:
        """Wait for 200 on the operations port and return what it says."""

        def look() -> Any:
            assert self.process.poll() is None, self.end()
            status, said = asked(self.ops + path)
            return said if status == 200 else None

        return until(look, f"{self.role} does not answer {path}")

    def end(self) -> tuple[int, str]:
        """End the process as a container is ended, and return its exit code and what it wrote."""
        if self.process.poll() is None:
            self.process.terminate()
        written, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, written


@contextlib.contextmanager
def valkey(overlay: Rendered, folder: Path, port: int) -> Iterator[redis.Redis]:
    """Run the overlay's Valkey with its own files and command line; yields a client that is nobody yet."""
    (work,) = [work for work in overlay.workloads if work.name == "valkey"]
    unpack(overlay.files(work), folder, {"dir /data": f"dir {folder}/data", "port 6379": f"port {port}"})
    (folder / "data").mkdir()
    program, config = work.container["command"]
    assert program == "valkey-server"
    log = (folder / "valkey.log").open("wb")
    process = subprocess.Popen(
        [find_server(), folder / config.removeprefix("/")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    client = redis.Redis(port=port, username="probe", password="probe")

    def answers() -> bool:
        assert process.poll() is None, (folder / "valkey.log").read_text()
        with contextlib.suppress(redis.ConnectionError):
            return bool(client.ping())
        return False

    try:
        until(answers, "valkey does not answer")
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(SECONDS)
        log.close()


def unpack(files: Iterator[tuple[str, bytes]], folder: Path, changes: Mapping[str, str]) -> None:
    """Write files below `folder` as a kubelet does, readable for the group; paths in them then lead there, too."""
    for path, content in files:
        target = folder / path.removeprefix("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        text = content.decode()
        for old, new in changes.items():
            text = text.replace(old, new)
        target.write_text(re.sub(r'(?<=[" ])/run/', f"{folder}/run/", text))
        target.chmod(0o440)
        if os.geteuid() == 0:
            os.chown(target, 0, USER)


def start(image: Image, role: str, arguments: list[str], variables: Mapping[str, str], ops_port: int) -> Running:
    """Start a container's process; its operations port is one that is free here."""
    here = {"RELIABLE_EMAIL_OPS__PORT": str(ops_port)}
    return Running(role, ops_port, image.start(arguments, {**variables, **here}))
