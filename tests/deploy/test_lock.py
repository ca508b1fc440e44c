"""The lock of what these tests need beside the tools of all others."""

from __future__ import annotations

import re

import pytest

from tests.deploy.manifests import ROOT

pytestmark = pytest.mark.deploy


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_the_lock_names_versions_and_hashes_and_no_host() -> None:
    line = re.compile(r"[a-z0-9-]+==[^\s/]+( ; [^/\\]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?")

    assert [
        text for text in (ROOT / "requirements-deploy.lock").read_text().splitlines() if not line.fullmatch(text)
    ] == []


def test_what_it_shares_with_the_tools_has_one_version() -> None:
    tools = pins("requirements-dev.lock")

    assert {name: pin for name, pin in pins("requirements-deploy.lock").items() if tools.get(name, pin) != pin} == {}
