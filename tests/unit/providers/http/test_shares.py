from __future__ import annotations

from typing import Any

import pytest

from shared.domain.message import Address
from shared.domain.outcome import Outcome, RecipientVerdict, Scope, Verdict
from shared.providers.http.shares import MailRequest, addresses_of, of_all, of_each, parted, recipients_in
from shared.providers.interface import HttpRequest
from tests.unit.providers.answers import answer
from tests.unit.providers.envelopes import full_parcel

TAKEN = Verdict(Outcome.ACCEPTED, "accepted as 1", provider_message_id="1", account_fault="paused")
REFUSED = RecipientVerdict(0, Outcome.REJECTED, "inactive")


def test_addresses_stand_in_the_order_of_the_parcel_as_they_travel() -> None:
    assert addresses_of(full_parcel((3, 1))) == ("archive@example.com", "grace@xn--zrich-kva.example")


class TestRecipientsIn:
    REQUEST = MailRequest("POST", "/", recipients=(("a@x.example",), ("b@x.example",)))

    def test_a_message_has_its_own(self) -> None:
        assert recipients_in(self.REQUEST, 1) == ("b@x.example",)

    @pytest.mark.parametrize("request_", [REQUEST, HttpRequest("POST", "/")])
    def test_what_the_request_does_not_remember_is_empty(self, request_: HttpRequest) -> None:
        assert recipients_in(request_, 2) == ()


class TestParted:
    def test_a_message_that_all_got_keeps_its_verdict(self) -> None:
        assert parted(("a@x.example",), {"b@x.example": REFUSED}, TAKEN) is TAKEN

    def test_every_recipient_is_named_once_in_order(self) -> None:
        verdict = parted(("A@x.example", "b@x.example"), {"a@x.example": REFUSED}, TAKEN)

        assert verdict == Verdict(
            Outcome.PARTIAL,
            "1 accepted, 1 rejected",
            provider_message_id="1",
            account_fault="paused",
            recipients=(
                RecipientVerdict(0, Outcome.REJECTED, "inactive"),
                RecipientVerdict(1, Outcome.ACCEPTED, "accepted as 1"),
            ),
        )

    def test_an_address_that_stands_twice_is_refused_twice(self) -> None:
        verdict = parted(("a@x.example", "b@x.example", "a@x.example"), {"a@x.example": REFUSED}, TAKEN)

        assert [share.outcome for share in verdict.recipients] == [Outcome.REJECTED, Outcome.ACCEPTED, Outcome.REJECTED]

    def test_the_only_recipients_verdict_is_the_messages(self) -> None:
        verdict = parted(("a@x.example",), {"a@x.example": REFUSED}, TAKEN)

        assert verdict == Verdict(Outcome.REJECTED, "inactive", account_fault="paused")


class TestOfEach:
    @staticmethod
    def read(index: int, item: Any) -> Verdict:
        return Verdict(Outcome.ACCEPTED, f"{index} {item['id']}")

    def test_each_item_is_read_in_order(self) -> None:
        verdicts = of_each(answer(200), [{"id": "a"}, {"id": "b"}], 2, self.read)

        assert [verdict.detail for verdict in verdicts] == ["0 a", "1 b"]

    def test_an_item_that_cannot_be_read_is_in_doubt_alone(self) -> None:
        verdicts = of_each(answer(200), [None, {"id": "b"}], 2, self.read)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.AMBIGUOUS, Outcome.ACCEPTED]

    @pytest.mark.parametrize("count", [1, 3])
    def test_another_number_of_items_puts_all_in_doubt(self, count: int) -> None:
        verdicts = of_each(answer(200), [{"id": "a"}, {"id": "b"}], count, self.read)

        assert [verdict.outcome for verdict in verdicts] == [Outcome.AMBIGUOUS] * count


class TestOfAll:
    REFUSAL = Verdict(Outcome.REJECTED, "422 no", Scope.PROVIDER, is_generic=True)

    def test_a_lone_message_is_refused(self) -> None:
        assert of_all(self.REFUSAL, 1) == (self.REFUSAL,)

    def test_a_refused_batch_ends_none_of_its_messages(self) -> None:
        verdicts = of_all(self.REFUSAL, 2)

        assert verdicts == (Verdict(Outcome.TEMPORARY, "refused with others in one request: 422 no"),) * 2

    def test_any_other_verdict_is_everyones(self) -> None:
        verdict = Verdict(Outcome.THROTTLED, retry_after_seconds=3.0)

        assert of_all(verdict, 2) == (verdict, verdict)


def test_addresses_need_no_name() -> None:
    assert addresses_of(full_parcel((0,), to=(Address("a@x.example"),), cc=(), bcc=())) == ("a@x.example",)
