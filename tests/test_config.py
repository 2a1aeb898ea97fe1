import pytest
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3.errors import UserError


def test_base_is_valid_and_survives_json():
    config = configs.base()
    configs.validate(config)
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
        ("model.channels", (8, 8, 8, 8, 8, 8), "leave nothing"),
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
    ],
)
def test_a_value_out_of_range_is_named(field, value, said):
    config = configs.base()
    config.update_from_flattened_dict({field: value})
    with pytest.raises(UserError, match=said) as raised:
        configs.validate(config)
    assert f"config.{field}" in str(raised.value)


def test_the_cnn_refuses_numbers_it_cannot_enumerate():
    config = configs.base()
    config.model.name, config.data.digits = "cnn", 5
    with pytest.raises(UserError, match="multihead"):
        configs.validate(config)


def test_variants_take_the_type_of_their_default():
    variants = configs.parse_variants("spacing=14,model=cnn", spacing=28, model="logistic")
    assert variants == ConfigDict({"spacing": 14, "model": "cnn"})


@pytest.mark.parametrize(
    ("argument", "said"), [("modle=cnn", "did you mean model="), ("spacing=x", "of type int")]
)
def test_a_wrong_variant_is_named(argument, said):
    with pytest.raises(UserError, match=said):
        configs.parse_variants(argument, spacing=28, model="logistic")


def test_parameters_of_an_estimator_are_open():
    config = configs.base()
    config.estimator.parameters.n_jobs = -1
    configs.validate(config)
    assert configs.from_json(configs.to_json(config)) == config
