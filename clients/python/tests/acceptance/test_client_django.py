"""Django's mail arrives through the service as it arrives through Django's own SMTP backend."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from email.message import EmailMessage as Parsed
from email.mime.image import MIMEImage
from typing import Any

import django
import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.smtp import EmailBackend as SmtpBackend
from django.test.utils import override_settings
from up import Mail, Sink, running_service, running_sink, smtp_config

from reliable_email_client import Acceptance, InvalidMessage, Unreachable
from reliable_email_client.django import EmailBackend, UnsupportedByService

if not settings.configured:
    settings.configure(USE_TZ=True, DEFAULT_FROM_EMAIL="Shop <shop@example.com>", RELIABLE_EMAIL={})
    django.setup()

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")


class Ways:
    """The same message through both backends."""

    def __init__(self, sink: Sink, smtp: Any, service: EmailBackend) -> None:
        self.sink = sink
        self.smtp = smtp
        self.service = service

    def both(self, make: Callable[[], EmailMessage]) -> tuple[Mail, Mail]:
        """Return what arrived by SMTP and what arrived through the service."""
        assert self.smtp.send_messages([make()]) == 1
        return self.sink.last_direct(), self.through(make())

    def through(self, message: EmailMessage) -> Mail:
        """Return what arrived through the service."""
        assert self.service.send_messages([message]) == 1
        return self.arrived(message)

    def arrived(self, message: EmailMessage) -> Mail:
        """Return what became of a message that was sent."""
        assert isinstance(message.reliable_email, Acceptance)
        return self.sink.through_service(message.reliable_email.id)


@pytest.fixture(scope="module")
def ways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ways]:
    with (
        running_sink() as (sink, port),
        running_service(tmp_path_factory.mktemp("service"), smtp_config(port)) as url,
    ):
        smtp = SmtpBackend(host="127.0.0.1", port=port)
        yield Ways(sink, smtp, EmailBackend(url=url))


def simple() -> EmailMessage:
    return EmailMessage("Hello", "It works.\n", "shop@example.com", ["ada@example.org"])


def with_everything() -> EmailMessage:
    message = EmailMultiAlternatives(
        "Grüße aus Köln, und eine lange Zeile, die gefaltet werden muß, weil sie sonst nicht paßte",
        "Schöne Grüße\n.\n..\n" + "x" * 1_200 + "\n",
        '"Müller, Jörg" <joerg@example.com>',
        ["Ada Lovelace <ada@example.org>", "grace@example.net"],
        bcc=["archive@example.com"],
        cc=['"Linus @ home" <linus@example.net>'],
        reply_to=["Hilfe <help@example.com>", "more-help@example.com"],
        headers={"X-Order": "1042", "List-Unsubscribe": "<https://example.com/u>", "X-Name": "Jörg"},
    )
    message.attach_alternative('<p>Schöne Grüße</p><img src="cid:logo">', "text/html")
    message.attach("bericht-größe.pdf", b"%PDF-1.7\n\x00\xff", "application/pdf")
    message.attach("plain.txt", "Ein Text\nmit Umlauten: ü\n")
    message.attach("data.json", b'{"a": 1}')
    message.attach("broken.txt", b"\xff\xfe not UTF-8", "text/plain")
    return message


def only_html() -> EmailMessage:
    message = EmailMessage("Hello", "<p>It works.</p>", "shop@example.com", ["ada@example.org"])
    message.content_subtype = "html"
    return message


def html_without_text() -> EmailMessage:
    message = EmailMultiAlternatives("Hello", "", "shop@example.com", ["ada@example.org"])
    message.attach_alternative("<p>It works.</p>", "text/html")
    return message


def only_a_file() -> EmailMessage:
    message = EmailMessage("", "", "shop@example.com", bcc=["ada@example.org"])
    message.attach("a.bin", b"\x00\x01")
    return message


def other_sender_in_header() -> EmailMessage:
    return EmailMessage(
        "Hello",
        "It works.",
        "bounces@example.com",
        ["ada@example.org"],
        headers={"From": "Shop <shop@example.com>", "Reply-To": "help@example.com"},
    )


def inline_image() -> EmailMessage:
    message = EmailMultiAlternatives("Hello", "A picture.", "shop@example.com", ["ada@example.org"])
    message.attach_alternative('<img src="cid:logo">', "text/html")
    image = MIMEImage(PNG)
    image.add_header("Content-ID", "<logo>")
    image.add_header("Content-Disposition", "inline", filename="logo.png")
    message.attachments.append(image)
    return message


MAKERS = [simple, with_everything, only_html, html_without_text, only_a_file, other_sender_in_header, inline_image]
HEADERS = ("From", "To", "Cc", "Reply-To", "Subject", "X-Order", "X-Name", "List-Unsubscribe", "Bcc")


def header(mail_: Parsed, name: str) -> object:
    value: Any = mail_[name]
    if value is not None and hasattr(value, "addresses"):
        return [(address.display_name, address.addr_spec) for address in value.addresses] or None
    return value if value is None else " ".join(str(value).split())


def leaves(mail_: Parsed) -> list[tuple[object, ...]]:
    """Return every part that is no multipart: type, name, disposition, content id, content."""
    found: list[tuple[object, ...]] = []
    for part in mail_.walk():
        if part.is_multipart():
            continue
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        if part.get_content_maintype() == "text":
            content = content.decode(part.get_content_charset("utf-8")).replace("\r\n", "\n").rstrip("\n").encode()
        disposition = part.get_content_disposition()
        found.append((part.get_content_type(), part.get_filename(), disposition, part["Content-ID"], content))
    return found


@pytest.mark.parametrize("make", MAKERS)
def test_headers_that_matter_are_equal(ways: Ways, make: Callable[[], EmailMessage]) -> None:
    (_, direct), (_, through) = ways.both(make)
    # Where there is no visible recipient, the service says so, for filters hold its absence against a mail.
    names = [name for name in HEADERS if direct[name] is not None or name != "To"]

    assert {name: header(through, name) for name in names} == {name: header(direct, name) for name in names}


@pytest.mark.parametrize("make", MAKERS)
def test_bodies_and_attachments_are_equal(ways: Ways, make: Callable[[], EmailMessage]) -> None:
    (_, direct), (_, through) = ways.both(make)

    assert leaves(through) == leaves(direct)


@pytest.mark.parametrize("make", MAKERS)
def test_recipients_are_equal(ways: Ways, make: Callable[[], EmailMessage]) -> None:
    (direct, _), (through, _) = ways.both(make)

    assert sorted(through) == sorted(direct)


def test_a_mass_mail_goes_as_one_batch_and_is_counted(ways: Ways) -> None:
    messages = [EmailMessage(f"Mass {i}", "Hello", "shop@example.com", ["ada@example.org"]) for i in range(5)]

    assert ways.service.send_messages([*messages, EmailMessage("to nobody", "Hello")]) == 5
    assert [ways.arrived(message)[1]["Subject"] for message in messages] == [f"Mass {i}" for i in range(5)]


def test_attributes_of_a_message_go_with_it(ways: Ways) -> None:
    message = simple()
    message.priority, message.tags, message.metadata, message.delay = "bulk", ["a"], {"order": "1"}, 3_600
    ways.service.send_messages([message])

    assert (message.reliable_email.priority, message.reliable_email.state) == ("bulk", "scheduled")


def test_defaults_stand_where_a_message_says_nothing(ways: Ways) -> None:
    backend = EmailBackend(url=ways.service._connection["url"], defaults={"priority": "bulk", "delay": 3_600})
    one, other = simple(), simple()
    other.priority = "high"
    backend.send_messages([one, other])

    assert (one.reliable_email.priority, other.reliable_email.priority) == ("bulk", "high")


def test_an_attached_message_travels_as_a_file(ways: Ways) -> None:
    message = simple()
    message.attach("forwarded.eml", simple().message().as_bytes(), "message/rfc822")
    _, parsed = ways.through(message)

    assert [(kind, name) for kind, name, *_ in leaves(parsed)] == [
        ("text/plain", None),
        ("application/octet-stream", "forwarded.eml"),
    ]


def test_what_one_refuses_does_not_keep_the_others_back(ways: Ways) -> None:
    good, bad = simple(), EmailMessage("Hello", "It works.", "shop@example.com", ["grace@"])
    with pytest.raises(InvalidMessage):
        ways.service.send_messages([bad, good])

    assert ways.arrived(good)
    assert isinstance(bad.reliable_email, InvalidMessage)


def test_failing_silently_counts_only_what_was_accepted(ways: Ways) -> None:
    backend = EmailBackend(fail_silently=True, url=ways.service._connection["url"])

    bad = EmailMessage("Hello", "It works.", "shop@example.com", ["grace@"])

    assert backend.send_messages([bad, simple()]) == 1


def test_a_service_that_cannot_be_reached_is_an_error() -> None:
    with pytest.raises(Unreachable):
        EmailBackend(url="http://127.0.0.1:1", deadline_seconds=0.2).send_messages([simple()])


def test_a_service_that_cannot_be_reached_can_be_passed_over() -> None:
    backend = EmailBackend(fail_silently=True, url="http://127.0.0.1:1", deadline_seconds=0.2)

    assert backend.send_messages([simple()]) == 0


def test_a_line_break_in_a_header_is_refused_as_django_does() -> None:
    with pytest.raises(ValueError, match="newlines"):
        EmailBackend().send_messages(
            [EmailMessage("Hello\nBcc: all@example.org", "", "a@example.com", ["b@example.com"])]
        )


@pytest.mark.parametrize(
    "unsupported",
    [
        EmailMessage("Hello", "", "a@example.com", ["b@example.com"], headers={"Message-ID": "<1@example.com>"}),
        EmailMessage("Hello", "", "a@example.com", ["b@example.com"], headers={"To": "all@example.com"}),
    ],
)
def test_what_the_service_cannot_say_is_not_sent_silently_otherwise(unsupported: EmailMessage) -> None:
    with pytest.raises(UnsupportedByService):
        EmailBackend().send_messages([unsupported])


def test_an_alternative_that_no_request_can_carry_is_named() -> None:
    message = EmailMultiAlternatives("Hello", "", "a@example.com", ["b@example.com"])
    message.attach_alternative("BEGIN:VCALENDAR", "text/calendar")
    with pytest.raises(UnsupportedByService, match="text/calendar"):
        EmailBackend().send_messages([message])


def test_what_cannot_be_said_can_be_left_out(ways: Ways) -> None:
    message = EmailMessage("Hello", "x", "a@example.com", ["b@example.com"], headers={"Message-ID": "<1@example.com>"})
    backend = EmailBackend(url=ways.service._connection["url"], ignore_unsupported=True)

    assert backend.send_messages([message]) == 1


def test_an_unknown_option_is_named() -> None:
    with override_settings(RELIABLE_EMAIL={"uri": "http://mail.test"}), pytest.raises(ValueError, match="uri"):
        EmailBackend()


def test_one_setting_moves_send_mail_over(ways: Ways) -> None:
    moved = {
        "EMAIL_BACKEND": "reliable_email_client.django.EmailBackend",
        "RELIABLE_EMAIL": {"url": ways.service._connection["url"]},
    }
    with override_settings(**moved):
        message = EmailMessage("Hello", "It works.", None, ["ada@example.org"])
        assert message.send() == 1
        assert mail.send_mail("Hello", "It works.", None, ["ada@example.org"], html_message="<p>It works.</p>") == 1
    _, parsed = ways.arrived(message)

    assert header(parsed, "From") == [("Shop", "shop@example.com")]


@pytest.mark.skipif(django.VERSION < (6, 1), reason="MAILERS came with Django 6.1")
def test_it_is_a_mailer_with_options(ways: Ways) -> None:
    options = {"url": ways.service._connection["url"], "defaults": {"delay": 3_600}}
    backend = {"BACKEND": "reliable_email_client.django.EmailBackend", "OPTIONS": options}
    message = simple()
    with override_settings(MAILERS={"default": backend}):
        assert message.send() == 1

    assert message.reliable_email.state == "scheduled"
