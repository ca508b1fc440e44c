"""A life is read whole, and everything that is wrong with it is told at once, with the place and the cure."""

from __future__ import annotations

from importlib import resources

import pytest

from reliable_email.simulate.life import Change
from reliable_email.simulate.life_file import parse_life
from shared.domain.errors import ConfigurationError
from tests.unit.simulate.lives import OUTAGE, TWO, life

OWN = [file for file in (resources.files("reliable_email.simulate") / "lives").iterdir() if file.name.endswith(".toml")]


def faults(text: str) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        parse_life(text, "my.toml")
    return {fault.where: fault.detail for fault in caught.value.faults}


@pytest.mark.parametrize("file", OWN, ids=lambda file: file.name)
def test_every_life_that_comes_with_the_service_can_be_read(file: resources.abc.Traversable) -> None:
    read = parse_life(file.read_text("utf-8"), file.name)

    assert read.name == file.name.removesuffix(".toml")
    assert read.description


def test_twelve_lives_come_with_the_service() -> None:
    assert len(OWN) == 12


def test_what_is_left_out_has_its_usual_value() -> None:
    read = life()

    assert (read.senders, read.share_delay_seconds, read.deadline_seconds) == (4, (0.3, 1.0), (5, 30, 300, 3600))
    assert read.providers[0].burst == 100


def test_a_change_with_an_end_is_scored_and_one_without_is_not() -> None:
    ends, stays = life(OUTAGE).changes[0], life(OUTAGE.replace("until = 20\n", "")).changes[0]

    assert (ends.leave, ends.returns) == (True, True)
    assert (stays.leave, stays.returns) == (False, False)


def test_a_change_is_repeated() -> None:
    change = Change("a", at=10, until=15, sets={"error": 1.0}, every=20, times=3)

    assert change.spells() == ((10, 15), (30, 35), (50, 55))


def test_what_is_no_toml_is_told_so() -> None:
    assert faults("name = ") == {"my.toml": "this is not TOML: Invalid value (at end of document)"}


def test_all_faults_are_told_at_once() -> None:
    text = TWO.replace("seconds = 40", "seconds = -1", 1).replace("median_ms = 80", "")

    assert faults(text) == {
        "my.toml: seconds": "must be above 0, not -1",
        "my.toml: providers[0].median_ms": "is missing: add it",
    }


def test_a_misspelt_key_is_told_with_its_neighbour() -> None:
    assert faults(TWO.replace("median_ms = 80", "median_ms = 80\nerorr = 0.5")) == {
        "my.toml: providers[0].erorr": "there is no such key: did you mean error?"
    }


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("weight = 3", 'weight = "much"', "providers[0].weight"),
        ("weight = 3", "concurrency = 1.5", "providers[0].concurrency"),
        ('provider = "a"', 'provider = "z"', "changes[0].provider"),
        ("until = 20", "until = 10", "changes[0].until"),
        ("error = 1.0", "error = 1.1", "changes[0].error"),
        ("error = 1.0", "", "changes[0]."),
        ("error = 1.0", "error = 1.0\nsenders = [4]", "changes[0].senders"),
        ("error = 1.0", 'error = 1.0\njudge = "maybe"', "changes[0].judge"),
        ("error = 1.0", "error = 1.0\ntimes = 3", "changes[0].every"),
        ("seconds = 40", "seconds = 40\nshare_delay_seconds = [1.0, 0.3]", "share_delay_seconds"),
        ('name = "b"', 'name = "a"', "providers"),
        ("critical = 0.2, high = 0.2, normal = 0.3, bulk = 0.3", "", "arrivals[0].mix"),
    ],
)
def test_a_faulty_value_is_told_with_its_place(old: str, new: str, where: str) -> None:
    assert f"my.toml: {where}" in faults(OUTAGE.replace(old, new, 1))


def test_a_life_without_anything_is_told_what_it_needs() -> None:
    assert set(faults("")) == {f"my.toml: {key}" for key in ("name", "seconds", "providers", "arrivals")}


def test_stretching_moves_what_happens_and_leaves_what_was_promised() -> None:
    before, after = life(OUTAGE), life(OUTAGE).stretched(1.2)

    assert after.seconds == 48
    assert (after.changes[0].at, after.changes[0].until) == (12, 24)
    assert after.arrivals[0].per_second == 36
    assert after.providers[0].rate_per_second == 120
    assert after.deadline_seconds == before.deadline_seconds
