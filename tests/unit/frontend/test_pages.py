from __future__ import annotations

import re
from html import unescape

import pytest

from services.frontend import pages
from services.frontend.problem_types import PROBLEM_TYPES, ProblemType


@pytest.mark.parametrize("kind", PROBLEM_TYPES.values(), ids=PROBLEM_TYPES)
def test_the_page_of_a_problem_tells_its_meaning_and_its_cure(kind: ProblemType) -> None:
    shown = unescape(re.sub(r"<[^>]+>", "", pages.problem_page(kind)))

    assert kind.meaning.replace("`", "") in shown
    assert kind.cure.replace("`", "") in shown


@pytest.mark.parametrize("kind", PROBLEM_TYPES.values(), ids=PROBLEM_TYPES)
def test_a_page_tells_to_wait_only_where_that_helps(kind: ProblemType) -> None:
    assert ("It may succeed later." in pages.problem_page(kind)) is kind.retryable


def test_every_problem_stands_in_the_list() -> None:
    page = pages.problems_page()

    assert [code for code, kind in PROBLEM_TYPES.items() if f'href="{kind.uri}"' not in page] == []


def test_a_text_with_marks_of_html_is_shown_as_it_is() -> None:
    page = pages.problem_page(ProblemType("x", 400, "<b>", "a & `<i>`", ""))

    assert "&lt;b&gt;" in page
    assert "a &amp; <code>&lt;i&gt;</code>" in page
