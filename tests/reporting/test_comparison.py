"""The sentence that a comparison answers in."""

import pytest

from mnist3.reporting import comparison


def metrics_of(behind, ends, p_value, seeds, others=0, chosen_by="val"):
    """Returns what metrics.json has of a winner b, of a behind it, and of others that are worse."""
    chosen = {"behind": behind, "behind_ci95": ends, "p_value": p_value, "tied": p_value >= 0.05}
    lines = {"b": {}, "a": {"chosen_by": chosen}, **{f"c{other}": {} for other in range(others)}}
    for name, count in zip(("b", "a"), seeds, strict=True):
        lines[name] |= {"seeds": [*range(count)]} if count > 1 else {}
    return {"candidates": lines, "metric": "exact_match", "chosen_by": chosen_by}


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (
            metrics_of(0.0123, (0.0045, 0.0201), 0.0021, (5, 5)),
            "b is better than a by 0.0123 (interval 0.0045 to 0.0201) in exact match on val, 5 "
            "seeds each, p = 0.0021.",
        ),
        (
            metrics_of(0.001, (-0.02, 0.022), 0.4, (5, 4)),
            "b and a cannot be told apart: they differ by 0.0010 (interval -0.0200 to 0.0220) in "
            "exact match on val, 5 and 4 seeds, p = 0.4.",
        ),
        (
            metrics_of(0.5, (0.4, 0.6), 0.0, (1, 1), others=2, chosen_by="cross_validation"),
            "b is better than a, the next best, by 0.5000 (interval 0.4000 to 0.6000) in exact "
            "match by cross-validation on train, one fit each, p < 0.0001.",
        ),
        ({"candidates": {"b": {}}}, ""),
    ],
)
def test_the_winner_is_better_than_the_next_best_or_cannot_be_told_apart_from_it(metrics, said):
    assert comparison.answer_text(metrics) == said
