"""A few hundred damaged files of every format; `python -m tests.fuzz` reads ten thousand."""

import random

import pytest

from tests.fuzz import fuzzing, mutations
from tests.fuzz.targets import TARGETS

FIRST = 100_000  # beyond those of the long form


@pytest.mark.parametrize(
    "name",
    [name for name in TARGETS if name != "small files of much"],  # half a minute each
)
def test_a_damaged_file_is_read_or_refused(name):
    found = fuzzing.fuzz(name, max(5, TARGETS[name].inputs // 50), first=FIRST)
    assert not found.failures
    assert found.outcomes.total() == found.inputs


@pytest.mark.parametrize(
    ("mutate", "data"),
    [
        (mutations.bytes_of, b"some bytes"),
        (mutations.json_of, b'{"a": [1, {"b": 2}]}'),
        (mutations.lines_of_json, b'{"a": 1}\n{"a": 2}\n'),
        (mutations.csv_of, b"a,b\n1,2\n"),
    ],
)
def test_damage_follows_from_a_seed(mutate, data):
    made = [mutate(random.Random(seed), data) for seed in range(50)]
    assert made == [mutate(random.Random(seed), data) for seed in range(50)]
    assert sum(each != data for each in made) > 40
