"""Requests made from the contract alone, against a real frontend with a real Valkey.

Every check of schemathesis holds: no defect, no answer that is not described, what is wrong is
refused, what is right is not, keys are asked for. `make contract` makes 20,000 of them.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Final

import pytest

from services.frontend import auth
from shared.domain.message import Address
from shared.settings.model import ProviderSettings, default_providers
from tests.services.frontend.running import Start

_HERE: Final = Path(__file__).parent
_KEY: Final = "the-key-of-the-contract-test"
#: Every value at the edge of what is allowed, and a few at random, but always the same.
_EVERY_RUN: Final = ("--max-examples", "5", "--generation-deterministic", "--seed", "1")
#: Others each time. More at once take longer each: its engine then searches for what is accepted more often.
_BY_HAND: Final = ("--max-examples", "50", "--phases", "fuzzing,stateful")
_NEWS: Final = ProviderSettings(name="sandbox", kind="sandbox", pools=("news",))


@pytest.mark.timeout(3_600)
async def test_no_request_finds_a_defect_or_an_answer_that_is_not_described(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    # Whoever shows no key is told so each time: how many may try is a matter of its own.
    monkeypatch.setattr(auth, "FAILURES", 1_000_000)
    frontend = await start(
        keys=[_KEY], default_from=Address("shop@example.com"), providers=(_NEWS, *default_providers())
    )
    url, wanted = f"http://127.0.0.1:{frontend.port}", pytestconfig.getoption("cases")

    code, made, told = await _schemathesis(url, tmp_path, *_EVERY_RUN)
    while code == 0 and made < wanted:
        code, more, told = await _schemathesis(url, tmp_path, *_BY_HAND)
        made += more

    print(told, f"{made:,} requests in all.")  # noqa: T201 - seen where it failed, and by whoever asks with -s
    assert code == 0, told


async def _schemathesis(url: str, folder: Path, *effort: str) -> tuple[int | None, int, str]:
    """Return the exit code, how many requests were made, and what was printed."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(_HERE / "schemathesis.toml")),
        *("run", f"{url}/openapi.json", "--url", url, "--header", f"Authorization: Bearer {_KEY}"),
        *("--warnings", "off", "--no-color", *effort),
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.contract.formats", "PYTHONPATH": str(_HERE.parents[1])},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    told = output.decode()
    return process.returncode, sum(map(int, re.findall(r"^ *(\d+) generated", told, re.MULTILINE))), told
