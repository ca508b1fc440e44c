"""What of a message a provider can never carry, and that routing knows it beforehand."""

from __future__ import annotations

import pytest

from shared.domain.message import Address, Attachment, Envelope
from shared.policy.abilities import Inside, looks_inside, obstacle_inside
from shared.policy.routing import choose, is_unable
from shared.policy.views import MessageView, ProviderView
from shared.providers.interface import Capabilities

HOME = frozenset({"example.com"})
FROM_HOME = MessageView(1_000, sender_domain="example.com")
FROM_ELSEWHERE = MessageView(1_000, sender_domain="other.test")


def with_files(*extensions: str) -> MessageView:
    return MessageView(1_000, extensions=frozenset(extensions))


def inside(
    sender: str = "a@example.com", to: tuple[str, ...] = ("b@example.org",), files: tuple[str, ...] = ()
) -> Inside:
    envelope = Envelope(
        sender=Address(sender),
        to=tuple(map(Address, to)),
        subject="",
        attachments=tuple(Attachment(name, "text/plain", 0) for name in files),
    )
    return Inside.of(envelope, range(len(to)))


# What is looked at


def test_the_sender_s_domain_travels_as_a_labels_in_lower_case() -> None:
    assert inside("a@Bücher.Example").sender_domain == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("filename", "extension"), [("a.PDF", "pdf"), ("a.tar.gz", "gz"), ("a", ""), (".profile", ""), ("a.", "")]
)
def test_an_extension_is_what_stands_behind_the_last_dot(filename: str, extension: str) -> None:
    assert inside(files=(filename,)).extensions == {extension}


@pytest.mark.parametrize(
    ("sender", "to", "is_ascii"),
    [
        ("a@example.com", ("b@bücher.example",), True),
        ("å@example.com", ("b@example.org",), False),
        ("a@example.com", ("b@example.org", "å@example.org"), False),
    ],
)
def test_only_what_stands_before_the_at_has_to_be_ascii(sender: str, to: tuple[str, ...], is_ascii: bool) -> None:
    assert inside(sender, to).is_ascii is is_ascii


def test_a_recipient_that_is_served_already_is_not_looked_at() -> None:
    envelope = Envelope(
        sender=Address("a@example.com"), to=(Address("å@example.org"), Address("b@example.org")), subject=""
    )

    assert Inside.of(envelope, [1]).is_ascii


@pytest.mark.parametrize(
    ("able", "looks"),
    [
        (Capabilities(max_bytes=1, max_recipients=1), False),
        (Capabilities(sender_domains=frozenset()), True),
        (Capabilities(is_ascii_only=True), True),
        (Capabilities(refused_extensions=frozenset({"exe"})), True),
        (Capabilities(known_extensions=frozenset()), True),
    ],
)
def test_a_provider_that_only_measures_does_not_look_inside(able: Capabilities, looks: bool) -> None:
    assert looks_inside(able) is looks


# What stands in the way

TAKEN = [
    (Capabilities(), FROM_ELSEWHERE),
    (Capabilities(sender_domains=HOME), FROM_HOME),
    (Capabilities(sender_domains=HOME), MessageView(1_000)),  # nobody knows its sender
    (Capabilities(is_ascii_only=True), FROM_HOME),
    (Capabilities(refused_extensions=frozenset({"exe"})), with_files("pdf", "")),
    (Capabilities(known_extensions=frozenset({"pdf"})), with_files("pdf")),
    (Capabilities(known_extensions=frozenset({"pdf"})), with_files()),
]
NOT_TAKEN = [
    (
        Capabilities(sender_domains=HOME),
        FROM_ELSEWHERE,
        (
            "sends only from example.com, the message is from other.test; "
            "verify the domain there and add it to sender_domains"
        ),
    ),
    (
        Capabilities(sender_domains=frozenset("abcdefg")),
        FROM_ELSEWHERE,
        (
            "sends only from a, b, c, d, e and 2 more, the message is from other.test; "
            "verify the domain there and add it to sender_domains"
        ),
    ),
    (
        Capabilities(is_ascii_only=True),
        MessageView(1_000, is_ascii=False),
        "takes only ASCII before the @ of an address; a provider of kind smtp may take it",
    ),
    (
        Capabilities(refused_extensions=frozenset({"exe", "js"})),
        with_files("exe", "pdf"),
        "takes no file that ends in exe; pack it, or link to it",
    ),
    (
        Capabilities(known_extensions=frozenset({"pdf"})),
        with_files("pdf", "xyz"),
        "does not know files that end in xyz; pack them, or link to them",
    ),
    (
        Capabilities(known_extensions=frozenset({"pdf"})),
        with_files(""),
        "does not know files that end in nothing; pack them, or link to them",
    ),
]


@pytest.mark.parametrize(("able", "message"), TAKEN)
def test_what_a_provider_takes_has_no_obstacle(able: Capabilities, message: MessageView) -> None:
    assert obstacle_inside(message, able) is None


@pytest.mark.parametrize(("able", "message", "words"), NOT_TAKEN)
def test_an_obstacle_says_what_it_is_and_what_helps(able: Capabilities, message: MessageView, words: str) -> None:
    assert obstacle_inside(message, able) == words


# Routing


@pytest.mark.parametrize(("able", "message", "words"), NOT_TAKEN)
def test_routing_passes_over_who_cannot_carry_it_and_says_why(
    able: Capabilities, message: MessageView, words: str
) -> None:
    particular, any_message = ProviderView("a", capabilities=able), ProviderView("b", tier=2)

    choice = choose(message, [particular, any_message], 100.0, 0.5, explain=True)

    assert (choice.provider, choice.steps[0].code, choice.steps[0].detail) == ("b", "unsupported", words)


def test_a_message_that_no_provider_sends_from_its_domain_is_impossible() -> None:
    only = ProviderView("a", capabilities=Capabilities(sender_domains=HOME))

    assert choose(FROM_ELSEWHERE, [only], 100.0, 0.5).is_impossible


def test_too_many_recipients_are_told_before_anything_inside() -> None:
    able = Capabilities(max_recipients=1, sender_domains=HOME)
    message = MessageView(1_000, recipients=2, sender_domain="other.test")

    (step,) = choose(message, [ProviderView("a", capabilities=able)], 100.0, 0.5, explain=True).steps

    assert step.detail == "takes 1 recipients, the message has 2"


@pytest.mark.parametrize(
    ("message", "unable"), [(FROM_ELSEWHERE, True), (FROM_HOME, False), (MessageView(1, refused=("a",)), True)]
)
def test_who_is_unable_is_so_for_ever(message: MessageView, unable: bool) -> None:
    assert is_unable(message, ProviderView("a", capabilities=Capabilities(sender_domains=HOME))) is unable
