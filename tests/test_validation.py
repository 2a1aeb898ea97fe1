import jax
import jax.numpy as jnp
import pytest

from mnist3 import config as configs
from mnist3 import models, validation
from mnist3.errors import UserError


def test_base_is_valid_and_survives_json():
    config = configs.base()
    validation.validate(config)
    assert configs.from_json(configs.to_json(config)) == config


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("model.name", "multihed", "did you mean 'multihead'"),
        ("data.source", "mnsit", "did you mean 'mnist'"),
        ("training.batch_size", 0, "above 0"),
        ("training.ema_decay", 1.0, "from 0 to below 1"),
        ("optimizer.warmup", 1.0, "from 0 to below 1"),
        ("model.channels", ("a",), "give a tuple"),
        ("model.channels", (8, 8, 8, 8, 8, 8), "nothing of"),
        ("tabular.estimators", ("random_forrest",), "did you mean 'random_forest'"),
        ("tabular.estimators", (), "is empty"),
        ("wandb.tags", ("a", 1), "give a tuple"),
        ("augmentation.noise", -0.5, "0 or above"),
        ("task.name", "multiclas", "did you mean 'multiclass'"),
        ("task.name", "binary", "single_digit"),
        ("task.digit", 10, "from 0 to 9"),
        ("task.pair", (3, 3), "two different digits"),
        ("task.noise", 0, "from 1 to 255"),
        ("estimator.name", "random_forrest", "did you mean 'random_forest'"),
        ("estimator.name", "knn", "does not fit the task number"),
        ("model.name", "denoiser", "does not fit the task number"),
        ("data.shifted_copies", True, "config.augmentation.shift"),
        ("estimator.parameters.n_jobs", 2, "which the task number has not"),
    ],
)
def test_a_value_out_of_range_is_named(field, value, said):
    config = configs.base()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=said) as raised:
        validation.validate(config)
    assert f"config.{field}" in str(raised.value)


@pytest.mark.parametrize(
    ("model", "fits", "leaves_nothing"),
    [
        ({"name": "multihead"}, (31, 32), (30, 32)),  # a stride of 2 rounds up
        ({"name": "multihead", "crop_height": 31}, (1, 91), (84, 90)),  # a third of the columns
        ({"name": "cnn"}, (63, 63), (62, 63)),  # pools once more
        ({"name": "multihead", "stem_padding": "VALID"}, (35, 36), (34, 36)),
        ({"name": "cnn", "stem_padding": "VALID"}, (67, 67), (67, 66)),  # without a border
    ],
)
def test_the_smallest_images_are_those_that_leave_a_feature(model, fits, leaves_nothing):
    config = configs.base()
    config.model.update(model, channels=(4,) * 4, stem=4)
    config.data.digits = 3
    config.data.height, config.data.width = fits
    validation.validate(config)
    model = models.create(config.model, config.data.digits, 10, config.training.dtype)
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *fits)))
    config.data.height, config.data.width = leaves_nothing
    with pytest.raises(UserError, match=r"config.model.channels .* leave .* nothing of"):
        validation.validate(config)


def test_the_cnn_refuses_numbers_it_cannot_enumerate():
    config = configs.base()
    config.model.name, config.data.digits = "cnn", 5
    with pytest.raises(UserError, match="multihead"):
        validation.validate(config)


def test_parameters_of_an_estimator_are_open():
    config = configs.one_digit("digits")
    config.task.name = "binary"
    config.estimator.parameters.n_jobs = -1
    validation.validate(config)
    assert configs.from_json(configs.to_json(config)) == config


def test_copies_of_one_image_do_not_meet_in_several_folds():
    config = configs.one_digit("digits")
    config.task.name, config.data.shifted_copies = "binary", True
    validation.validate(config)
    config.search.method = "grid"
    with pytest.raises(UserError, match="several folds"):
        validation.validate(config)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("task.digit", 3),
        ("task.name", "binary"),
        ("estimator.name", "knn"),
        ("estimator.parameters.n_neighbors", 3),
        ("data.train_limit", 100),
        ("search.method", "grid"),
    ],
)
def test_a_comparison_refuses_what_its_experiments_say(field, value):
    config = configs.base()
    config.compare.experiments = ("experiments/classify.py",)
    config.update_from_flattened_dict(
        {"compare.by": "cross_validation", "search.folds": 2, "seed": 1, "wandb.group": "a"}
    )
    validation.validate(config)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=f"config.{field} is of the experiments"):
        validation.validate(config)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("estimator.name", "knn", "config.tabular.estimators"),
        ("estimator.scale", True, "scaled columns"),
        ("task.name", "binary", "config.data.target"),
        ("task.digit", 3, "config.data.target"),
    ],
)
def test_a_table_refuses_what_it_does_not_look_at(field, value, said):
    config = configs.base()
    config.data.name = "tabular"
    config.estimator.parameters.random_state = 1
    validation.validate(config)
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=f"config.{field} is not for tables.*{said}"):
        validation.validate(config)
