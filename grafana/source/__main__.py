"""`python -m grafana.source` writes `grafana/dashboards` anew."""

from __future__ import annotations

from grafana.source.boards import FOLDER, written

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in written().items():
        (FOLDER / name).write_text(text)
