import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import limits, models, validation
from mnist3.errors import UserError
from mnist3.jobs import parts

BASES = {
    "numbers": configs.numbers,
    "one digit": lambda: configs.one_digit("digits"),
    "strings": lambda: configs.strings("digits"),
    "digits": lambda: configs.digits("digits"),
    "knn": lambda: configs.digits("digits", "knn"),
    "table": configs.table,
    "comparison": configs.comparison,
}


@pytest.fixture
def base(request):
    config = BASES[request.param]()
    if config.kind == "digits" and "model" in config:
        config.model.name = "cnn"
    return config


@pytest.mark.parametrize("base", BASES, indirect=True)
def test_every_base_is_valid_and_survives_json(base):
    validation.validate(base)
    assert configs.from_json(configs.to_json(base)) == base


@pytest.mark.parametrize(
    ("base", "field", "value", "said"),
    [
        ("numbers", "model.name", "multihed", "did you mean 'multihead'"),
        ("numbers", "data.source", "mnsit", "did you mean 'mnist'"),
        ("numbers", "training.batch_size", 0, "above 0"),
        ("numbers", "training.ema_decay", 1.0, "from 0 to below 1"),
        ("numbers", "optimizer.warmup", 1.0, "from 0 to below 1"),
        ("numbers", "model.channels", ("a",), "give a tuple"),
        ("numbers", "model.channels", (8, 8, 8, 8, 8, 8), "nothing of"),
        ("table", "compare.learners", ("random_forrest",), "did you mean 'random_forest'"),
        ("table", "compare.learners", (), "is empty"),
        ("numbers", "wandb.tags", ("a", 1), "give a tuple"),
        ("numbers", "augmentation.noise", -0.5, "0 or above"),
        ("numbers", "augmentation.noise", float("nan"), "finite"),
        ("numbers", "augmentation.rotation", float("inf"), "finite"),
        ("numbers", "optimizer.weight_decay", float("nan"), "finite"),
        ("digits", "optimizer.gradient_clip", float("inf"), "finite"),
        ("strings", "data.composition.size", (float("nan"), 20.0), "finite"),
        ("numbers", "training.epochs", True, "of type bool"),
        ("table", "search.folds", True, "of type bool"),
        ("numbers", "seed", 2**32, "another seed; give one from 0 to 4294967295"),
        ("digits", "seed", 2**40, "another seed"),
        ("table", "data.seed", 2**32, "another seed"),
        ("numbers", "seed", -1, "0 or above"),
        ("digits", "task.name", "multiclas", "did you mean 'multiclass'"),
        ("numbers", "task.name", "binary", "It is one of number"),
        ("digits", "learner.name", "random_forrest", "did you mean 'random_forest'"),
        ("numbers", "learner.name", "knn", "does not fit the task number"),
        ("strings", "learner.name", "knn", "does not fit the task string"),
        ("numbers", "model.name", "denoiser", "does not fit the task number"),
        ("digits", "search.method", "rndom", "did you mean 'random'"),
        ("numbers", "kind", "number", "did you mean 'numbers'"),
    ],
    indirect=["base"],
)
def test_a_value_out_of_range_is_named(base, field, value, said):
    base.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=said) as raised:
        validation.validate(base)
    assert f"config.{field}" in str(raised.value)


def test_the_largest_seed_is_one():
    config = configs.numbers()
    config.seed = config.data.seed = limits.LARGEST_SEED
    validation.validate(config)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("task.digit", 10, "from 0 to 9"),
        ("task.pair", (3, 3), "two different digits"),
        ("task.noise", 0, "from 1 to 255"),
    ],
)
def test_a_field_of_a_task_is_checked_against_the_classes(field, value, said):
    config = configs.digits("digits", "knn")
    names = {"task.digit": "binary", "task.pair": "pair", "task.noise": "denoise"}
    config.task.name = names[field]
    config.update_from_flattened_dict({field: value})
    validation.validate(config)
    with pytest.raises(UserError, match=said) as raised:
        parts.task_of(config)
    assert f"config.{field}" in str(raised.value)


@pytest.mark.parametrize(
    ("base", "field", "value"),
    [
        ("numbers", "data.shifted_copies", True),
        ("numbers", "learner.parameters.n_jobs", 2),
        ("numbers", "compare.by", "val"),
        ("one digit", "search.method", "grid"),
        ("digits", "data.composition.spacing", 14),
        ("knn", "model.name", "cnn"),
        ("knn", "training.epochs", 3),
        ("comparison", "seed", 1),
        ("comparison", "task.digit", 3),
        ("comparison", "task.name", "binary"),
        ("comparison", "learner.name", "knn"),
        ("comparison", "learner.parameters.n_neighbors", 3),
        ("comparison", "data.train_limit", 100),
        ("comparison", "search.method", "grid"),
        ("table", "learner.name", "knn"),
        ("table", "learner.scale", True),
        ("table", "task.name", "binary"),
        ("table", "task.digit", 3),
        ("table", "augmentation.shift", 1),
    ],
    indirect=["base"],
)
def test_what_a_kind_of_run_does_not_read_its_config_does_not_have(base, field, value):
    base.wandb.group = "a"
    validation.validate(base)
    *sections, name = field.split(".")
    inner = base
    for section in sections:
        if section not in inner:
            inner[section] = ConfigDict()
        inner = inner[section]
    inner[name] = value
    with pytest.raises(UserError, match=f"unknown config key config.{field}; did you mean"):
        validation.validate(base)


def test_what_a_kind_of_run_reads_is_there():
    config = configs.numbers()
    del config.training.patience
    with pytest.raises(UserError, match=r"config.training.patience is missing.*numbers\(\)"):
        validation.validate(config)


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
    config = configs.numbers()
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
    config = configs.numbers()
    config.model.name, config.data.digits = "cnn", 5
    with pytest.raises(UserError, match="multihead"):
        validation.validate(config)


@pytest.mark.parametrize("base", ["knn", "table"], indirect=True)
def test_parameters_of_an_estimator_are_open(base):
    base.learner.parameters.n_jobs = -1
    validation.validate(base)
    assert configs.from_json(configs.to_json(base)) == base


def test_copies_of_one_image_do_not_meet_in_several_folds():
    config = configs.digits("digits", "knn")
    config.task.name, config.data.shifted_copies = "binary", True
    validation.validate(config)
    config.search.method = "grid"
    with pytest.raises(UserError, match="several folds"):
        validation.validate(config)
