import re

import pytest

from mnist3 import tasks
from mnist3.reporting import captions, pictures

NAMES = {name for task in tasks.REGISTRY.values() for name in task.pictures}

SWEPT = ("optimisation_history", "parameter_importance", "parallel_coordinates")


@pytest.mark.parametrize(
    "name", sorted({*NAMES, *pictures.OF_LEARNERS, "importance", "search", *SWEPT})
)
def test_a_picture_has_a_caption(name):
    assert captions.caption(name)


def test_a_task_names_pictures_that_there_are():
    for task in tasks.REGISTRY.values():
        assert {*task.pictures.values()} <= pictures.PICTURES.keys()


@pytest.mark.parametrize("words", [captions.CAPTIONS, captions.FACT_WORDS])
def test_captions_are_a_few_plain_sentences(words):
    for text in words.values():
        assert text.endswith(".") and 1 <= len(re.findall(r"[.:;?] |\.$", text)) <= 6
        assert len(text) < 350


def test_what_has_no_caption_gets_none():
    assert captions.caption("a figure that somebody added") == ""
    assert "protocol" in captions.FACT_WORDS and "fingerprint" in captions.FACT_WORDS
