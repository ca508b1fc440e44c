"""The pages that a person reads in a browser: what a problem means, and the viewer of the contract. No I/O, no clock.

Each is whole in itself: its policy lets nothing come from elsewhere, and no script stand in it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from services.frontend.problem_types import PROBLEM_TYPES, ProblemType

_STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 3rem auto; max-width: 42rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: 0 0 .5rem; }
code { font: .9em ui-monospace, monospace; }
dt { margin-top: .75rem; }
dd { margin: 0; }
footer { border-top: 1px solid; margin-top: 2.5rem; opacity: .7; padding-top: .5rem; }
"""
_STYLE_HASH: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
_ALONE: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

#: What a page of text may load: its own style, and its empty icon.
TEXT_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; {_ALONE}"

#: What the viewer may load: files of this service, and the pictures that stand in its style.
VIEWER_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; {_ALONE}"
)

VIEWER: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>reliable-email: the interface</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/swagger-ui.css">
</head>
<body>
<main id="viewer"></main>
<noscript>The contract itself: <a href="/openapi.json">/openapi.json</a></noscript>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""

_CODE: Final = re.compile(r"`([^`]+)`")


def problem_page(kind: ProblemType) -> str:
    """Return the page to which the `type` of a problem leads."""
    again = _again(kind)
    return _page(
        f"{kind.code}: {kind.title}",
        f"<h1>{_marked(kind.title)}</h1>",
        f"<p><code>{kind.code}</code>, status {kind.status}</p>",
        "<h2>What it means</h2>",
        f"<p>{_marked(kind.meaning)}</p>",
        "<h2>What helps</h2>",
        f"<p>{_marked(kind.cure)}</p>",
        "<h2>The same request again</h2>",
        f"<p>{_marked(again)}</p>",
        '<footer><a href="/problems">All problems</a> · <a href="/docs">The interface</a></footer>',
    )


def problems_page() -> str:
    """Return the page that lists every problem."""
    entries = [
        f'<dt><a href="{kind.uri}"><code>{code}</code></a>, status {kind.status}</dt><dd>{_marked(kind.title)}</dd>'
        for code, kind in PROBLEM_TYPES.items()
    ]
    return _page(
        "Problems",
        "<h1>Problems</h1>",
        "<p>What the interface answers where it does not do what was asked. New ones may be added.</p>",
        "<dl>",
        *entries,
        "</dl>",
        '<footer><a href="/docs">The interface</a></footer>',
    )


def _again(kind: ProblemType) -> str:
    if not kind.retryable:
        return "It would be answered in the same way, as long as nothing else changes."
    wait = "" if kind.retry_after_seconds is None else " Wait as long as the header `Retry-After` says."
    return f"It may succeed later.{wait}"


def _marked(text: str) -> str:
    """Return a sentence as HTML; what stands in backticks is code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _page(title: str, *body: str) -> str:
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            *body,
            "</body>",
            "</html>",
            "",
        )
    )
