"""The pages that describe the interface: open to everybody, whole in themselves, and silent towards others."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib import resources

import pytest

from services.frontend.problem_types import PROBLEM_TYPES
from tests.contract.present import served
from tests.services.frontend.running import Answer, Running, Start

TEXTS = ["/problems", *(kind.uri for kind in PROBLEM_TYPES.values())]
PAGES = ["/docs", *TEXTS]
FILES = {
    "/docs/swagger-ui-bundle.js": "text/javascript",
    "/docs/swagger-ui.css": "text/css",
    "/docs/start.js": "text/javascript",
}


def policy_of(answer: Answer) -> dict[str, str]:
    """Return the sources that a page allows, by what is loaded."""
    rules = answer.headers["Content-Security-Policy"].split("; ")
    return dict(rule.split(" ", 1) for rule in rules)


async def test_it_is_shown_without_a_key(start: Start) -> None:
    frontend = await start(keys=["secret"])

    assert [path for path in ("/openapi.json", *PAGES, *FILES) if (await frontend.get(path)).status != 200] == []


async def test_it_is_shown_before_redis_is_there(start: Start) -> None:
    frontend = await start(url="redis://127.0.0.1:1/0", ready=False)

    assert [(await frontend.get(path)).status for path in ("/openapi.json", "/docs", "/problems")] == [200] * 3
    assert (await frontend.get("/v1")).status == 503


async def test_nothing_else_is_shown_without_a_key(start: Start) -> None:
    frontend = await start(keys=["secret"])

    for path in ("/v1", "/v1/docs", "/docsx", "/problem", "/openapi.jsonx"):
        assert (await frontend.get(path)).status in {401, 429}


async def test_the_contract_is_that_of_the_code(frontend: Running) -> None:
    answer = await frontend.get("/openapi.json")

    assert answer.headers["Content-Type"] == "application/json"
    assert {(method.upper(), path) for path, methods in answer.body["paths"].items() for method in methods} == served()


async def test_a_page_names_no_other_place_and_leads_nowhere_in_vain(frontend: Running) -> None:
    for path in PAGES:
        page = (await frontend.get(path)).body.decode()
        links = re.findall(r"""(?:src|href|action)=["']?([^"' >]+)""", page)
        assert "//" not in page
        assert all(link.startswith("/") or link == "data:," for link in links)
        assert [link for link in links if link != "data:," and (await frontend.get(link)).status != 200] == []


async def test_a_page_may_load_nothing_from_elsewhere(frontend: Running) -> None:
    for path in PAGES:
        policy = policy_of(await frontend.get(path))
        sources = {source for each in policy.values() for source in each.split()}
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert {source for source in sources if not source.startswith("'sha256-")} <= {"'none'", "'self'", "data:"}


async def test_a_page_of_text_may_have_its_style_and_no_script(frontend: Running) -> None:
    for path in TEXTS:
        answer = await frontend.get(path)
        (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
        assert policy_of(answer)["style-src"] == f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'"
        assert "script-src" not in policy_of(answer)


async def test_no_script_and_no_style_stands_in_the_page_of_the_viewer(frontend: Running) -> None:
    page = (await frontend.get("/docs")).body.decode()

    assert re.findall(r"<script[^>]*>([^<]+)", page) == []
    assert not re.search(r"<style|\sstyle=|\son\w+=", page)


async def test_a_file_of_the_viewer_is_what_its_header_says(frontend: Running) -> None:
    for path, media_type in FILES.items():
        answer = await frontend.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Type"].partition(";")[0] == media_type


@pytest.mark.parametrize(
    "path", ["/docs/x.js", "/docs/..%2fpages.py", "/docs/swagger_ui", "/docs/", "/problems/x", "/docs/a/b"]
)
async def test_what_is_not_there_is_a_problem(frontend: Running, path: str) -> None:
    answer = await frontend.get(path)

    assert (answer.status, answer.code) == (404, "not_found")


async def test_parameters_are_refused_here_too(frontend: Running) -> None:
    assert (await frontend.get("/docs?configUrl=x")).code == "bad_parameter"


def test_the_viewer_is_the_one_that_was_released_and_brings_its_licence() -> None:
    folder = resources.files("services.frontend") / "viewer" / "swagger_ui"
    hashes = {file.name: sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}

    assert hashes["swagger-ui-bundle.js"] == "e6a898692f2d768e807c3ba4626068a69a2c5dd960dd6c76f3e4d3a3de180af2"
    assert hashes["swagger-ui.css"] == "5ed08757e53da3e026d6cbecc61fe5d43585c9560b302d534ad56692519a273d"
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js.LICENSE.txt"} <= hashes.keys()
