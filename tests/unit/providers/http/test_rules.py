from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.outcome import Outcome, Scope, Verdict
from shared.providers.http.rules import (
    Fault,
    Rule,
    accepted,
    classify,
    retry_after_seconds,
    seconds_until,
    seconds_until_unix,
)
from shared.providers.interface import Phase, Reply
from tests.unit.providers.answers import answer, replies

RULES = (
    Rule(Outcome.MISCONFIGURED, (400,), "sender"),
    Rule(Outcome.THROTTLED, (400,), words="quota", pause_seconds=600.0),
    Rule(Outcome.THROTTLED, (429,), "slow", pause_seconds=5.0),
    Rule(Outcome.REJECTED, code="a|b", scope=Scope.PROVIDER),
    Rule(Outcome.TEMPORARY, (500, 503)),
)


def accept(_: Reply, document: Any) -> Verdict:
    return accepted(document["id"])


def complain(_: Reply, document: Any) -> Fault:
    return Fault(document["code"], document["words"])


def judged(reply: Reply) -> Verdict:
    return classify(reply, accept, complain, RULES)


def said(status: int, code: str = "", words: str = "", **headers: str) -> Verdict:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return judged(answer(status, {"code": code, "words": words}, names))


class TestUnanswered:
    @pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.SENDING])
    @pytest.mark.parametrize("kind", ["refused", "timeout", "reset", "tls", "dns", "io"])
    def test_what_was_not_written_whole_was_not_taken(self, phase: Phase, kind: str) -> None:
        assert judged(Reply(phase, "it broke", kind)) == Verdict(Outcome.PROVIDER_DOWN, "it broke")

    def test_a_server_that_cannot_prove_itself_is_misconfigured(self) -> None:
        assert judged(Reply(Phase.CONNECT, "expired", "certificate")).outcome is Outcome.MISCONFIGURED

    @pytest.mark.parametrize("kind", ["timeout", "reset", "io"])
    def test_after_the_request_nobody_knows(self, kind: str) -> None:
        assert judged(Reply(Phase.SENT, "it broke", kind)) == Verdict(Outcome.AMBIGUOUS, "it broke")


class TestAcceptance:
    @pytest.mark.parametrize("status", [200, 201, 202])
    def test_an_id_makes_it_accepted(self, status: int) -> None:
        assert judged(answer(status, {"id": "x-1"})) == Verdict(
            Outcome.ACCEPTED, "accepted as x-1", provider_message_id="x-1"
        )

    @pytest.mark.parametrize("body", [{}, {"id": ""}, {"id": "  "}, {"id": None}, {"id": 7}, {"id": ["x"]}, [], b""])
    def test_without_an_id_nobody_has_said_that_it_was_taken(self, body: Any) -> None:
        assert judged(answer(200, body)).outcome is Outcome.AMBIGUOUS

    @pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"Mailgun Magnificent API", b'{"id": "x'])
    def test_a_page_of_somebody_else_shows_a_wrong_address(self, body: bytes) -> None:
        assert judged(answer(200, body)).outcome is Outcome.MISCONFIGURED

    def test_an_id_is_kept_on_one_line_of_unicode(self) -> None:
        assert accepted("a\r\nb\udcff").provider_message_id == "a b?"


class TestRules:
    def test_the_first_row_that_matches_decides(self) -> None:
        assert said(400, "sender", "quota").outcome is Outcome.MISCONFIGURED

    def test_a_code_is_matched_whole(self) -> None:
        assert [said(409, code).outcome for code in ("a", "ab")] == [Outcome.REJECTED, Outcome.MISCONFIGURED]

    def test_words_are_found_anywhere_and_in_any_case(self) -> None:
        assert said(400, words="Daily QUOTA is used up").outcome is Outcome.THROTTLED

    def test_the_verdict_holds_code_and_words_on_one_line(self) -> None:
        assert said(409, "a", "too\r\n  bad\udcff".encode("utf-8", "replace").decode()).detail == "409 a: too bad?"

    def test_without_a_code_the_words_stand_alone(self) -> None:
        assert said(403, "", "no").detail == "403 no"

    def test_without_words_the_code_stands_alone(self) -> None:
        assert said(403, "no", "").detail == "403 no"

    def test_long_words_are_cut(self) -> None:
        assert len(said(403, "", "x" * 9_000).detail) == 500

    @pytest.mark.parametrize(
        ("status", "is_generic"),
        [(400, True), (422, True), (413, False)],
    )
    def test_a_rejection_by_a_bad_request_may_blame_the_account(self, status: int, is_generic: bool) -> None:
        verdict = said(status, "?", "?")

        assert (verdict.outcome, verdict.is_generic) == (Outcome.REJECTED, is_generic)


class TestWhatHoldsForAll:
    @pytest.mark.parametrize("status", [408, 502, 504, 520, 521, 522, 523, 524])
    @pytest.mark.parametrize("body", [b"<html>", {"code": "x", "words": "y"}])
    def test_an_edge_does_not_know_what_its_origin_did(self, status: int, body: Any) -> None:
        assert judged(answer(status, body)).outcome is Outcome.AMBIGUOUS

    @pytest.mark.parametrize("status", [500, 503, 507, 599])
    def test_a_failure_that_is_not_in_the_services_own_format_is_ambiguous(self, status: int) -> None:
        assert judged(answer(status, b"<html>oops</html>")).outcome is Outcome.AMBIGUOUS

    @pytest.mark.parametrize("status", [500, 503, 507])
    def test_a_failure_in_the_services_own_format_is_temporary(self, status: int) -> None:
        assert said(status, "x", "y").outcome is Outcome.TEMPORARY

    @pytest.mark.parametrize("status", [301, 302, 401, 402, 403, 404, 405, 406, 410, 415, 451])
    @pytest.mark.parametrize("body", [b"Forbidden", {"code": "x", "words": "y"}])
    def test_of_anything_else_the_account_is_the_cause(self, status: int, body: Any) -> None:
        assert judged(answer(status, body)).outcome is Outcome.MISCONFIGURED

    @pytest.mark.parametrize("body", [b"", {"code": "x", "words": "y"}])
    def test_what_is_too_large_here_may_go_elsewhere(self, body: Any) -> None:
        verdict = judged(answer(413, body))

        assert (verdict.outcome, verdict.scope) == (Outcome.REJECTED, Scope.PROVIDER)

    def test_too_early_is_temporary(self) -> None:
        assert judged(answer(425, b"")).outcome is Outcome.TEMPORARY

    def test_an_edge_may_throttle_too(self) -> None:
        verdict = judged(answer(429, b"<html>", {"retry-after": "3"}))

        assert (verdict.outcome, verdict.retry_after_seconds) == (Outcome.THROTTLED, 3.0)

    def test_an_answer_that_is_not_the_services_is_shown_in_its_own_words(self) -> None:
        assert judged(answer(403, b"<html>\n no </html>")).detail == "HTTP 403: <html> no </html>"


class TestPause:
    def test_what_the_answer_names_wins(self) -> None:
        assert said(429, "slow", retry_after="2").retry_after_seconds == 2.0

    def test_the_row_stands_in_where_nothing_is_named(self) -> None:
        assert said(429, "slow").retry_after_seconds == 5.0

    def test_without_either_nothing_is_said(self) -> None:
        assert said(429, "?").retry_after_seconds is None

    def test_only_who_is_throttled_is_told_to_wait(self) -> None:
        assert said(503, "x", "y", retry_after="2").retry_after_seconds is None

    def test_a_time_in_the_providers_own_terms_wins_over_the_header(self) -> None:
        verdict = classify(
            answer(429, {}, {"retry-after": "2"}), accept, lambda *_: Fault("slow", pause_seconds=7.0), RULES
        )

        assert verdict.retry_after_seconds == 7.0

    @pytest.mark.parametrize(
        ("named", "pause"), [("1", 60.0), ("59", 60.0), ("61", 61.0), ("86400", 86_400.0), ("", 600)]
    )
    def test_no_quota_comes_back_within_a_minute(self, named: str, pause: float) -> None:
        assert said(400, "", "quota", retry_after=named).retry_after_seconds == pause

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("0", 0.0),
            ("120", 120.0),
            (" 1.5 ", 1.5),
            ("Tue, 24 Nov 2026 12:01:00 GMT", 60.0),
            ("Tue, 24 Nov 2026 12:01:00 -0000", 60.0),
            ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("1e9", None),
            ("inf", None),
            ("9" * 5_000, None),
            ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ],
    )
    def test_retry_after_is_seconds_or_a_date(self, value: str, seconds: float | None) -> None:
        assert retry_after_seconds(answer(429, headers={"retry-after": value})) == seconds

    def test_a_date_without_a_zone_is_not_of_this_machines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", "XXX-5")
            time.tzset()
            seconds = seconds_until("Tue, 24 Nov 2026 12:01:00 -0000", answer(429))
        time.tzset()

        assert seconds == 60.0

    def test_there_may_be_no_retry_after(self) -> None:
        assert retry_after_seconds(answer(429)) is None

    @pytest.mark.parametrize(
        ("value", "seconds"), [("1795521630", 30.0), ("1795521630.5", 30.5), ("1", 0.0), ("", None), ("1e999", None)]
    )
    def test_an_instant_may_be_in_seconds_since_the_epoch(self, value: str, seconds: float | None) -> None:
        assert seconds_until_unix(value, answer(429)) == seconds

    @given(st.text())
    def test_no_text_in_the_place_of_a_date_is_an_error(self, text: str) -> None:
        seconds = seconds_until(text, answer(429))

        assert seconds is None or seconds >= 0


class TestFaults:
    @pytest.mark.parametrize(
        "parts",
        [
            {"code": 7},
            {"words": None},
            {"pause_seconds": -1.0},
            {"pause_seconds": float("inf")},
            {"pause_seconds": float("nan")},
        ],
    )
    def test_what_no_refusal_can_hold_is_another_format(self, parts: dict[str, Any]) -> None:
        verdict = classify(answer(503, {}), accept, lambda *_: Fault(**parts), RULES)

        assert verdict.outcome is Outcome.AMBIGUOUS


@given(replies("id", "code", "words"))
def test_any_reply_has_a_verdict(reply: Reply) -> None:
    verdict = judged(reply)

    assert verdict.outcome in Outcome
    verdict.detail.encode()
    assert verdict.retry_after_seconds is None or 0 <= verdict.retry_after_seconds < 10**12


@given(replies("id", "code", "words"))
def test_nobody_is_accepted_without_a_yes_that_names_an_id(reply: Reply) -> None:
    verdict = judged(reply)

    if verdict.outcome is Outcome.ACCEPTED:
        assert reply.phase is Phase.ANSWERED
        assert 200 <= reply.status < 300
        assert verdict.provider_message_id
