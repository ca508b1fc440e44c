from __future__ import annotations

from dataclasses import replace

import pytest

from shared.domain.message import Address
from shared.domain.outcome import Scope
from shared.providers.http.abilities import (
    is_inline,
    media_type,
    only_reply_to,
    recipients_with_to,
    require_ascii,
    require_no_header,
    text_of,
)
from shared.providers.http.fields import Recipients
from shared.providers.interface import Unsendable
from tests.unit.providers.envelopes import LOGO, REPORT, full_envelope, full_parcel

A, B, C = Address("a@x.example"), Address("b@x.example"), Address("c@x.example")


class TestRecipientsWithTo:
    def test_recipients_stay_where_they_are(self) -> None:
        assert recipients_with_to(full_parcel(to=(A,), cc=(B,), bcc=(C,))) == Recipients((A,), (B,), (C,))

    def test_copies_take_the_place_of_a_missing_to(self) -> None:
        assert recipients_with_to(full_parcel(to=(), cc=(A, B), bcc=(C,))) == Recipients((A, B), (), (C,))

    def test_a_single_blind_recipient_sees_only_themselves(self) -> None:
        assert recipients_with_to(full_parcel(to=(), cc=(), bcc=(A,))) == Recipients((A,))

    def test_blind_recipients_never_see_each_other(self) -> None:
        with pytest.raises(Unsendable) as refused:
            recipients_with_to(full_parcel(to=(), cc=(), bcc=(A, B)))
        assert refused.value.scope is Scope.PROVIDER


class TestOnlyReplyTo:
    def test_one_address_travels_with_a_labels(self) -> None:
        assert only_reply_to(full_envelope(reply_to=(Address("a@bücher.example", "A"),))) == Address(
            "a@xn--bcher-kva.example", "A"
        )

    def test_none_is_none(self) -> None:
        assert only_reply_to(full_envelope(reply_to=())) is None

    def test_two_are_for_another_provider(self) -> None:
        with pytest.raises(Unsendable):
            only_reply_to(full_envelope(reply_to=(A, B)))


class TestRequireNoHeader:
    def test_a_start_is_found_whatever_its_case(self) -> None:
        with pytest.raises(Unsendable, match="List-Unsubscribe"):
            require_no_header(full_envelope(), ("list-",))

    def test_a_name_that_only_holds_it_passes(self) -> None:
        require_no_header(full_envelope(), ("unsubscribe",))


class TestText:
    @pytest.mark.parametrize(
        ("text", "html", "sent"),
        [("t", "h", "t"), ("t", None, "t"), (None, "h", None), ("", "h", None), (None, None, " "), ("", "", " ")],
    )
    def test_a_message_of_files_alone_has_a_blank(self, text: str | None, html: str | None, sent: str | None) -> None:
        assert text_of(full_envelope(text=text, html=html)) == sent


class TestRequireAscii:
    def test_a_domain_beyond_ascii_passes(self) -> None:
        require_ascii(full_parcel())

    @pytest.mark.parametrize("field", ["to", "reply_to"])
    def test_a_local_part_beyond_ascii_does_not(self, field: str) -> None:
        with pytest.raises(Unsendable):
            require_ascii(full_parcel((0,), **{field: (Address("jürgen@x.example"),)}))

    def test_a_sender_beyond_ascii_does_not(self) -> None:
        with pytest.raises(Unsendable):
            require_ascii(full_parcel(sender=Address("jürgen@x.example")))

    def test_who_is_not_written_to_any_more_does_not_count(self) -> None:
        require_ascii(full_parcel((0,), to=(A, Address("jürgen@x.example"))))


class TestFiles:
    def test_an_image_of_the_html_is_inline(self) -> None:
        assert is_inline(full_envelope(), LOGO)

    def test_a_file_or_an_image_without_html_or_without_an_id_is_not(self) -> None:
        assert not is_inline(full_envelope(), REPORT)
        assert not is_inline(full_envelope(html=None), LOGO)
        assert not is_inline(full_envelope(), replace(LOGO, content_id=None))
        assert not is_inline(full_envelope(), replace(LOGO, disposition="attachment"))

    @pytest.mark.parametrize(
        ("declared", "sent"),
        [("text/calendar; method=REQUEST", "text/calendar; method=REQUEST"), ("pdf", "application/octet-stream")],
    )
    def test_what_is_no_media_type_is_the_most_general_one(self, declared: str, sent: str) -> None:
        assert media_type(replace(REPORT, content_type=declared)) == sent
