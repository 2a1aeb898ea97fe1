"""A network's settings from its config to the estimator of folds, and back from a search."""

from unittest import mock

import joblib
import numpy as np
import pytest

from mnist3 import config as configs
from mnist3.errors import UserError
from mnist3.jobs import parts
from mnist3.learners import estimator, tuning
from mnist3.tasks import Examples

DENOISER = {"task.name": "denoise", "model.name": "denoiser"}


def config_of(changes):
    model = changes.get("model.name", "cnn")
    config = configs.small_network(configs.digits("digits"), model)
    config.update_from_flattened_dict(changes)
    return config


def tuned(config):
    task = parts.task_of(config)
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
    targets = images if config.task.name == "denoise" else np.arange(12, dtype=np.int32) % 2
    examples = {"train": Examples(images, targets)}
    return tuning.tune(config, task, examples, joblib.Memory(None))


def test_the_noise_of_a_denoiser_is_that_of_the_task():
    config = config_of({**DENOISER, "task.noise": 40})
    assert tuning.as_estimator(config, parts.task_of(config)).noise == 40


def test_noise_that_a_denoiser_of_folds_does_not_add_is_refused():
    config = config_of({**DENOISER, "augmentation.noise": 0.1})
    with pytest.raises(UserError, match=r"config\.augmentation\.noise is 0\.1, .*; leave it at 0"):
        tuning.as_estimator(config, parts.task_of(config))


def test_noise_that_a_classifier_of_folds_adds_is_its_own():
    config = config_of({"augmentation.noise": 0.1})
    assert tuning.as_estimator(config, parts.task_of(config)).noise == 0.1


@pytest.mark.parametrize(
    ("changes", "name", "values"),
    [
        (DENOISER, "noise", (10, 20)),  # which the task says
        (DENOISER, "random_state", (0, 1)),  # which stands in no section
        (DENOISER, "model", ("denoiser",)),
        ({}, "random_state", (0, 1)),
        ({}, "members", (1, 2)),
    ],
)
def test_what_a_search_cannot_write_into_the_config_is_refused_before_it(
    changes, name, values, monkeypatch
):
    monkeypatch.setattr(estimator, "search", lambda *_: pytest.fail("it searched"))
    config = config_of({**changes, "search.method": "grid"})
    config.search.grid[name] = values
    with pytest.raises(UserError, match=rf"config\.search\.grid\.{name} is no setting .*did you"):
        tuned(config)


def test_what_a_search_finds_is_logged_and_stands_where_the_config_says_it(monkeypatch, caplog):
    best = {"optimizer": "adam", "learning_rate": 0.02, "model": "mlp", "noise": 0.2}

    def found(*_):
        results = {"params": [best]}
        return mock.Mock(best_params_=best, best_score_=0.5, cv_results_=results)

    monkeypatch.setattr(estimator, "search", found)
    config = config_of({"search.method": "grid"})
    config.search.grid.update({name: (value,) for name, value in best.items()})
    caplog.set_level("INFO", logger="absl")
    chosen = tuned(config).config
    assert "network: accuracy 0.5000 in 3 folds with " in caplog.text
    changed = dict(configs.fields(chosen)).items() - dict(configs.fields(config)).items()
    assert dict(changed) == {
        "optimizer.name": "adam",
        "optimizer.learning_rate": 0.02,
        "model.name": "mlp",
        "augmentation.noise": 0.2,
    }
