"""Numbers of candidates as arguments of a program, which does with each what it does alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnist3 import config as configs
from mnist3.config import with_values
from mnist3.data import dataset as datasets
from mnist3.training import loop, population, program
from mnist3.training.run import assemble, assemble_population
from tests.training.test_program import fixed, parts_of, tiny_config

EXACT = {"optimizer.learning_rate": 0.02, "optimizer.warmup": 0.4, "optimizer.momentum": 0.8}
ROUNDED = {
    "optimizer.weight_decay": 0.1,
    "optimizer.gradient_clip": 0.5,
    "training.label_smoothing": 0.2,
    "training.ema_decay": 0.9,
    "model.dropout": 0.3,
}
AUGMENTED = {
    "augmentation.shift": 2,
    "augmentation.rotation": 10.0,
    "augmentation.cutout": 5,
    "augmentation.stroke": 1.5,
    "augmentation.noise": 0.1,
}


def mlp():
    config = tiny_config()
    config.model.name, config.model.hidden = "mlp", (8,)
    config.training.ema_decay, config.optimizer.gradient_clip = 0.5, 1.0
    return config


def losses_of(run, dataset, composed):
    layout = dataset.composition if composed else None
    data = program.put_everywhere(
        dataset.stream if composed else run.task.network_examples(fixed(dataset)), run.mesh
    )
    states = [run.initial_state(place) for place in range(len(run.seeds))]
    state, keys = program.stack(states, run.mesh), loop.epoch_keys(run, 0)
    segments = loop.Segments(run, layout, data, state, keys)
    found = []
    for epoch in range(run.epochs):
        begun = segments.begin(loop.epoch_keys(run, epoch))
        state, part = segments.take(state, loop.Part.nothing(run), begun)
        found.append(np.asarray(part.measured.loss))
    return np.concatenate(found, axis=1)


@pytest.fixture(scope="module")
def dataset():
    return datasets.load(tiny_config().data, None, "unused")


@pytest.fixture(scope="module")
def alone(dataset):
    """From candidates to the losses of each alone; those of one that was trained are kept."""
    task, known = parts_of(mlp()).task, {}

    def losses(candidates, composed):
        for each in candidates:
            key = configs.to_json(each), composed, program._on_cpu  # which a test changes
            if key not in known:
                known[key] = losses_of(assemble(each, task, 32), dataset, composed)[0]
            yield known[key]

    return losses


def candidates_of(values):
    """A candidate, and one with other values."""
    return [mlp(), with_values(mlp(), values | {"seed": 3}, "the test")]


def together(candidates, dataset, composed):
    """The losses of candidates in one program."""
    run = assemble_population(candidates, parts_of(mlp()).task, 32)
    return losses_of(run, dataset, composed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "composed", "tolerance"),
    [
        (EXACT, False, 0),
        (ROUNDED, False, 1e-5),
        (AUGMENTED, False, 1e-5),
        (EXACT | AUGMENTED, True, 0),
    ],
)
def test_each_candidate_learns_as_it_does_alone(values, composed, tolerance, dataset, alone):
    candidates = candidates_of(values)
    found = together(candidates, dataset, composed)
    np.testing.assert_allclose(found, [*alone(candidates, composed)], rtol=tolerance)
    assert np.abs(found[0] - found[1]).max() > 1e-3


@pytest.mark.slow
def test_candidates_that_an_accelerator_computes_together_learn_as_alone(
    dataset, alone, monkeypatch
):
    candidates = candidates_of(EXACT | ROUNDED | AUGMENTED)
    monkeypatch.setattr(program, "_on_cpu", lambda mesh: False)
    found = together(candidates, dataset, False)
    np.testing.assert_allclose(found, [*alone(candidates, False)], rtol=1e-4)


def test_half_precision_takes_the_numbers_of_candidates(dataset):
    config = mlp()
    config.training.dtype = "bfloat16"
    candidates = [config, with_values(config, {"model.dropout": 0.3}, "the test")]
    run = assemble_population(candidates, parts_of(config).task, 32)
    numbers = jax.tree.map(lambda leaf: leaf[0], run.numbers)
    images = jnp.zeros((4, *run.size))

    def apply(params, numbers):
        own = run.own(numbers).model
        return own.apply(
            {"params": params}, images, train=True, rngs={"dropout": jax.random.key(0)}
        )

    params = run.state_shapes().params
    assert jax.eval_shape(apply, params, numbers).dtype == np.float32


def test_what_is_alike_differs_in_numbers_and_seeds_alone():
    like = population.likeness(configs.numbers())

    def likeness(**values):
        fields = {name.replace("__", "."): value for name, value in values.items()}
        return population.likeness(with_values(configs.numbers(), fields, "the test"))

    assert likeness(optimizer__learning_rate=1.0, seed=3, augmentation__shift=4) == like
    assert likeness(optimizer__momentum=0.0) == like  # of muon, which has its state anyway
    for other in (
        likeness(model__stem=4),
        likeness(training__epochs=2),
        likeness(training__ema_decay=0.9),
        likeness(optimizer__gradient_clip=1.0),
        likeness(data__train_examples=3),
    ):
        assert other != like


def with_rates(*rates):
    return [
        with_values(configs.numbers(), {"optimizer.learning_rate": rate}, "the test")
        for rate in rates
    ]


def test_other_values_of_as_many_candidates_have_the_same_program():
    one, other = (population.numbers_of(with_rates(*rates), 9) for rates in ((1, 2), (1.5, 1.6)))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    config = configs.numbers()
    assert population.about(config, one) == population.about(config, other)


def test_the_rates_of_candidates_are_an_argument():
    numbers = population.numbers_of(with_rates(0.1, 0.2), 100)
    assert set(numbers) == {"optimizer.learning_rate", population.RATES}
    assert numbers[population.RATES].shape == (2, 100)
    np.testing.assert_allclose(numbers[population.RATES].max(axis=1), [0.1, 0.2], rtol=0.01)
    assert population.numbers_of(with_rates(0.1), 100) == {}
