import re

import pytest

from mnist3.jobs import fit_figures
from mnist3.reporting import captions


@pytest.mark.parametrize("name", ["learning_curves", "position_accuracy", "misread", "importance"])
def test_a_figure_of_numbers_or_tables_has_a_caption(name):
    assert captions.caption(name)


@pytest.mark.parametrize("name", fit_figures.DRAWERS)
def test_a_figure_of_one_digit_has_a_caption(name):
    assert captions.caption(name)


@pytest.mark.parametrize("words", [captions.CAPTIONS, captions.FACT_WORDS])
def test_captions_are_a_few_plain_sentences(words):
    for text in words.values():
        assert text.endswith(".") and 1 <= len(re.findall(r"[.:;?] |\.$", text)) <= 6
        assert len(text) < 350


def test_what_has_no_caption_gets_none():
    assert captions.caption("a figure that somebody added") == ""
    assert "protocol" in captions.FACT_WORDS and "fingerprint" in captions.FACT_WORDS
