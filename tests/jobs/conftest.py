import pathlib

import pytest

from mnist3 import experiments

ROOT = pathlib.Path(__file__).parent.parent.parent


@pytest.fixture
def shared_cache(common_cache, monkeypatch):
    """A cache that all tests share, so that each pair is fitted once."""
    monkeypatch.setenv("MNIST3_CACHE_DIR", common_cache)
    monkeypatch.chdir(ROOT)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MNIST3_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(ROOT)


@pytest.fixture
def load():
    """From the text of an experiment and single values to a config that logs nowhere else."""

    def loaded(text, **changes):
        config = experiments.load(text)
        config.update_from_flattened_dict(
            {name.replace("__", "."): value for name, value in changes.items()}
        )
        config.wandb.mode = "disabled"
        return config

    return loaded
