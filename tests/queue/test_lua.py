"""The changes that `mutate.py` makes of the scripts are what they claim to be."""

from __future__ import annotations

import pytest

from shared.queue.script import source_of
from tests.queue.lua import changes
from tests.queue.mutate import files

SOURCE = """#!lua
-- told: a - b
local function greater(a, b)
  if not a or b.size >= 250 then
    return true -- never
  end
  return f('a and b', -a)
end
"""


def test_every_statement_condition_operand_sign_number_and_truth_value_is_changed_once() -> None:
    assert [change.name for change in changes(SOURCE)] == [
        "without if not a or b.size >= 250 then …",
        "not a -> a in if not a or b.size >= 250 then",
        "not a or b.size >= 250 -> b.size >= 250 in if not a or b.size >= 250 then",
        "not a or b.size >= 250 -> not (not a or b.size >= 250) in if not a or b.size >= 250 then",
        "not a or b.size >= 250 -> not a in if not a or b.size >= 250 then",
        ">= -> > in if not a or b.size >= 250 then",
        "250 -> 500 in if not a or b.size >= 250 then",
        "without return true",
        "true -> false in return true -- never",
        "without return f('a and b', -a)",
    ]


def test_a_change_changes_its_part_and_nothing_else() -> None:
    (change,) = (change for change in changes(SOURCE) if change.name.startswith("250"))
    assert (change.line, change.applied_to(SOURCE)) == (4, SOURCE.replace("250", "500"))


@pytest.mark.parametrize("file", files())
def test_every_file_is_understood_and_every_change_has_a_name_of_its_own(file: str) -> None:
    source = source_of(file)
    made = list(changes(source))
    assert len({change.name for change in made}) == len(made)
    assert all(change.applied_to(source) != source for change in made)
