import json
import pathlib
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import models, tasks
from mnist3.config import numbers
from mnist3.errors import UserError
from mnist3.models import fields, multihead
from mnist3.tasks.numbers import Number
from mnist3.training.optimizer import create_optimizer


def section(name, **changed):
    """The section `model` of a config, small."""
    config = numbers().model
    config.update({"stem": 4, "channels": (6, 8)} | changed | {"name": name})
    return config


def create(name, digits, classes=10, **changed):
    return models.create(section(name, **changed), digits, classes)


def init(model, images, seed=1):
    """Returns parameters of a model; one program is compiled sooner than each of its operations."""
    return jax.jit(model.init)(jax.random.key(seed), images)["params"]


def apply(model, params, images, train=False, **options):
    """Returns what a model computes, in one program."""
    program = jax.jit(model.apply, static_argnames="train")
    return program({"params": params}, images, train=train, **options)


READERS = sorted(name for name in models.REGISTRY if models.output(name) == "logits")
# Each model, and what is built in another way: windows around digits, and an ensemble.
CASES = {name: (name, {}) for name in models.REGISTRY} | {
    "cnn": ("cnn", {"hidden": (7,)}),
    "mlp": ("mlp", {"hidden": (9, 5)}),
    "multihead_cropped": ("multihead", {"crop_height": 28}),
    "multihead_of_two_members": ("multihead", {"members": 2}),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("digits", "size"), [(1, (28, 28)), (3, (84, 84)), (2, (40, 64))])
def test_logits_of_every_model_say_a_number(name, digits, size):
    model = create(name, digits)
    images = jax.random.uniform(jax.random.key(0), (2, *size))
    params = init(model, images)
    logits = apply(model, params, images)
    assert logits.shape == ((2, 10**digits) if name == "cnn" else (2, digits, 10))
    assert logits.dtype == jnp.float32
    assert Number("number", tasks.DIGITS, digits).predict(logits).values.shape == (2, digits)


def test_multihead_reads_a_digit_at_any_height():
    model = create("multihead", 3)
    image = jnp.zeros((1, 168, 84)).at[:, 64:84, 30:50].set(1.0)
    params = init(model, image)
    # The trunk's features move with the ink in steps of 8 px, far from the border.
    moved = jnp.roll(image, 16, axis=1)
    np.testing.assert_allclose(
        apply(model, params, image),
        apply(model, params, moved),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_stem_without_padding_sees_no_border():
    config = numbers().model
    config.name, config.stem, config.channels, config.hidden = "cnn", 4, (6,), (8,)
    image = jax.random.uniform(jax.random.key(0), (1, 28, 28))

    def features_and_change(padding):
        config.stem_padding = padding
        model = models.create(config, 1, 10)
        params = init(model, image)
        # Of 28 pixels a stride of 2 without padding reaches 27.
        logits = [apply(model, params, x) for x in (image, image.at[:, 27].set(1.0))]
        return params["hidden0"]["kernel"].shape[0], np.abs(logits[0] - logits[1]).max()

    assert features_and_change("VALID") == (3 * 3 * 6, 0)
    features, change = features_and_change("SAME")
    assert features == 3 * 3 * 6
    assert change > 0


def test_dropout_acts_in_training_alone():
    model = create("multihead", 3, dropout=0.5)
    images = jax.random.uniform(jax.random.key(0), (2, 84, 84))
    params = init(model, images)

    def logits(seed, train):
        rngs = {"dropout": jax.random.key(seed)}
        return apply(model, params, images, train=train, rngs=rngs)

    np.testing.assert_array_equal(logits(0, False), logits(1, False))
    assert not np.array_equal(logits(0, True), logits(1, True))


def test_parameter_count():
    assert models.parameter_count({"a": jnp.zeros((3, 4)), "b": {"c": jnp.zeros(5)}}) == 17


def drawn(tops, digits):
    """An image of 84x84 with 28x28 digit images side by side, each at its height."""
    image = np.zeros((84, 84), np.float32)
    for k, (top, digit) in enumerate(zip(tops, digits, strict=True)):
        image[top : top + 28, 28 * k : 28 * (k + 1)] = digit
    return jnp.asarray(image[None])


@given(st.lists(st.integers(0, 56), min_size=3, max_size=3), st.integers(0, 2**31))
def test_digits_are_cut_out_alike_wherever_they_stand(tops, seed):
    digits = np.zeros((3, 28, 28), np.float32)
    digits[:, 4:24, 4:24] = np.random.default_rng(seed).uniform(size=(3, 20, 20))
    windows = multihead.cut_digits(drawn(tops, digits), 3, 28)
    assert windows.shape == (1, 3, 28, 28)
    np.testing.assert_array_equal(windows, multihead.cut_digits(drawn((0, 28, 56), digits), 3, 28))
    # All ink is kept: the windows' middle is at most a pixel or two from that of the digits' boxes.
    np.testing.assert_allclose(windows.sum((0, 2, 3)), digits.sum((1, 2)), rtol=1e-5)


def test_a_blank_image_of_any_width_is_cut_to_blank_windows():
    windows = multihead.cut_digits(jnp.zeros((2, 40, 50)), 3, 20)
    assert windows.shape == (2, 3, 20, 17)
    assert not windows.any()


def test_a_model_that_crops_reads_each_digit_by_itself():
    config = numbers().model
    config.stem, config.channels, config.crop_height = 4, (6, 8), 28
    model = models.create(config, 3, 10)
    digits = np.random.default_rng(0).uniform(size=(3, 28, 28)).astype(np.float32)
    params = init(model, drawn((0, 0, 0), digits))
    before = apply(model, params, drawn((0, 0, 0), digits))
    digits[2] = 1 - digits[2]
    after = apply(model, params, drawn((0, 0, 0), digits))
    np.testing.assert_allclose(before[0, 0], after[0, 0], atol=1e-3)
    assert abs(before[0, 2] - after[0, 2]).max() > 1e-2


def test_a_model_that_crops_does_not_see_at_which_height_a_digit_stands():
    config = numbers().model
    config.stem, config.channels, config.crop_height = 4, (6, 8), 28
    model = models.create(config, 3, 10)
    digits = np.random.default_rng(0).uniform(size=(3, 28, 28)).astype(np.float32)
    params = init(model, drawn((0, 0, 0), digits))
    logits = [apply(model, params, drawn(tops, digits)) for tops in ((5, 9, 0), (0,) * 3)]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", READERS)
def test_classes_other_than_the_ten_digits(name):
    model = create(name, digits=1, classes=3)
    images = jax.random.uniform(jax.random.key(0), (2, 28, 28))
    params = init(model, images)
    assert apply(model, params, images).reshape(2, -1).shape == (2, 3)


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_feature_vectors(name):
    config = numbers().model
    config.name = name
    model = models.create(config, digits=1, classes=3)
    features = jax.random.normal(jax.random.key(0), (4, 5))
    params = init(model, features)
    assert apply(model, params, features).shape == (4, 1, 3)


@pytest.mark.parametrize("size", [(28, 28), (9, 7)])
def test_the_denoiser_keeps_the_size_and_the_place_of_pixels(size):
    config = numbers().model
    config.name, config.stem, config.channels, config.stem_stride = "denoiser", 4, (6,), 2
    model = models.create(config, 1, 10)
    images = jnp.zeros((2, *size)).at[1, 4, 3].set(1.0)
    params = init(model, images)
    cleaned = apply(model, params, images)
    assert cleaned.shape == images.shape
    assert cleaned.dtype == jnp.float32
    rows, columns = np.nonzero(np.asarray(cleaned[0] != cleaned[1]))
    # What a pixel may touch: 2 px of the stem, 2 x 2 px of each of the three convolutions.
    assert abs(rows - 4).max() <= 9
    assert abs(columns - 3).max() <= 9
    assert len(rows)


@pytest.mark.parametrize("name", ["cnn", "multihead"])
def test_an_ensemble_predicts_the_mean_and_deals_out_what_it_learns_from(name):
    alone = create(name, 2, crop_height=28)
    model = create(name, 2, crop_height=28, members=3)
    images = jax.random.uniform(jax.random.key(0), (6, 40, 56))
    params = init(model, images)
    of_members = [apply(alone, params[f"members_{member}"], images) for member in range(3)]
    assert np.ptp(of_members, axis=0).max() > 1e-3
    mean = np.mean(jax.nn.log_softmax(jnp.stack(of_members)), axis=0)
    np.testing.assert_allclose(apply(model, params, images), mean, rtol=1e-4, atol=1e-5)
    dealt = apply(model, params, images, train=True)
    shares = [logits[2 * member : 2 * member + 2] for member, logits in enumerate(of_members)]
    np.testing.assert_allclose(dealt, np.concatenate(shares), rtol=1e-4, atol=1e-5)
    first, its_params = models.first_member(model, params)
    np.testing.assert_array_equal(apply(first, its_params, images), of_members[0])
    assert models.first_member(alone, its_params) == (alone, its_params)


def flat(params):
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {"/".join(key.key for key in path): np.asarray(leaf) for path, leaf in leaves}


@pytest.mark.parametrize("case", CASES)
def test_initial_parameters_stay_what_they_have_been(case):
    """Keys of random numbers follow from the names of modules: a seed keeps its parameters."""
    name, changed = CASES[case]
    recorded = json.loads(pathlib.Path(__file__).with_name("initial_parameters.json").read_text())
    params = init(create(name, 2, **changed), jnp.ones((2, 40, 56)))
    found = flat(params)
    assert found.keys() == recorded[case].keys()
    for path, (shape, first, total) in recorded[case].items():
        assert found[path].shape == tuple(shape)
        assert found[path].flat[0] == pytest.approx(first, rel=1e-5)
        assert found[path].sum(dtype=np.float64) == pytest.approx(total, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_every_model_is_an_nnx_module_too(case):
    name, changed = CASES[case]
    model = create(name, 2, **changed)
    images = jax.random.uniform(jax.random.key(0), (2, 40, 56))
    bridged = nnx.bridge.ToNNX(model, rngs=nnx.Rngs(0)).lazy_init(images)
    params = nnx.to_pure_dict(nnx.state(bridged, nnx.Param))
    assert flat(params).keys() == flat(init(model, images, seed=0)).keys()
    np.testing.assert_array_equal(bridged(images), model.apply({"params": params}, images))


def with_old_names(params):
    """Parameters as checkpoints had them when the heads' attention was called gaze."""
    if "members_0" in params:
        return {name: with_old_names(inner) for name, inner in params.items()}
    heads = {{"attention": "gaze"}.get(name, name): leaf for name, leaf in params["heads"].items()}
    return {**params, "heads": heads}


@pytest.mark.parametrize("members", [1, 2])
@pytest.mark.parametrize("name", ["adam", "muon"])
def test_parameters_of_old_checkpoints_get_their_new_names(name, members):
    params = init(create("multihead", 2, members=members), jnp.ones((1, 40, 56)), seed=0)
    config = numbers().optimizer
    config.update(name=name, gradient_clip=1.0)
    optimizer = create_optimizer(config, 10)

    def saved(params):
        return {"params": params, "opt_state": optimizer.init(params)}

    today, old = saved(params), saved(with_old_names(params))
    assert "gaze" in str(jax.tree.structure(old["opt_state"]))
    renamed = models.rename_parameters(old)
    jax.tree.map(np.testing.assert_array_equal, renamed, today)
    assert type(renamed["opt_state"]) is type(today["opt_state"])
    jax.tree.map(np.testing.assert_array_equal, models.rename_parameters(today), today)
    back = {new: old for old, new in models.RENAMED_PARAMETERS.items()}
    jax.tree.map(np.testing.assert_array_equal, models.rename_parameters(today, back), old)
    updates, _ = jax.jit(optimizer.update)(renamed["params"], renamed["opt_state"], params)
    assert optax.tree.norm(updates) > 0


trees = st.recursive(
    st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.sampled_from(["heads", "kernel", "a", "gaze"]), inner, max_size=4)
    ),
)


@given(trees)
def test_renaming_and_renaming_back_changes_nothing(tree):
    renamed = models.rename_parameters(tree)
    assert sorted(jax.tree.leaves(renamed)) == sorted(jax.tree.leaves(tree))
    assert models.rename_parameters(renamed, {"heads/attention": "heads/gaze"}) == tree


def test_the_config_fields_of_all_models():
    assert models.config_fields() == {
        "stem": 16,
        "stem_stride": 2,
        "stem_padding": "SAME",
        "channels": (32, 64),
        "convolutions": 2,
        "attention": 4,
        "crop_height": 0,
        "dropout": 0.0,
        "hidden": (),
        "line_channels": (24, 48, 80, 96),
        "line_context": 2,
    }


class Pooled(nn.Module):
    """A model as somebody would add it, with config fields of its own."""

    digits: int
    classes: int
    windows: tuple[int, ...] = fields.field((4, 2), at_least=1)
    sharpness: float = 1.5
    dropout: float = fields.field(0.0, at_least=0, below=1)
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, images, train=False):
        features = self.sharpness * images[..., None].astype(self.dtype)
        for side in self.windows:
            features = nn.avg_pool(features, (side, side), strides=(side, side))
        features = features.reshape(len(images), -1)
        features = nn.Dropout(self.dropout, deterministic=not train)(features)
        logits = nn.Dense(self.classes * self.digits, dtype=self.dtype)(features)
        return logits.reshape(-1, self.digits, self.classes).astype(jnp.float32)


def test_a_new_model_with_fields_of_its_own_is_one_line_in_the_registry(monkeypatch):
    monkeypatch.setitem(models.REGISTRY, "pooled", Pooled)
    declared = models.config_fields()
    assert (declared["windows"], declared["sharpness"]) == ((4, 2), 1.5)
    config = numbers().model
    with config.unlocked():
        config.update(declared, name="pooled", windows=(2, 2, 7), sharpness=2)
    models.check(config, 28, 56, digits=2, classes=26)
    model = models.create(config, digits=2, classes=26)
    assert (model.windows, model.sharpness, model.classes) == ((2, 2, 7), 2, 26)
    images = jnp.ones((3, 28, 56))
    params = init(model, images, seed=0)
    assert params["Dense_0"]["kernel"].shape == (1 * 2, 2 * 26)
    assert apply(model, params, images).shape == (3, 2, 26)
    for name, value, said in [
        ("windows", (2, 0), "items of 1 or above"),
        ("windows", (2, "b"), "a tuple of int"),
        ("sharpness", "high", "one of type float"),
    ]:
        wrong = config.copy_and_resolve_references()
        wrong._fields[name] = value
        with pytest.raises(UserError, match=f"config.model.{name} is .*{said}"):
            models.check(wrong, 28, 56, digits=2, classes=26)


def test_models_that_disagree_on_a_default_are_named(monkeypatch):
    class Wide(nn.Module):
        stem: int = 64

    class Bare(nn.Module):
        width: int

    monkeypatch.setitem(models.REGISTRY, "wide", Wide)
    with pytest.raises(ValueError, match="stem is 16 in Trunk and 64 in Wide"):
        models.config_fields()
    monkeypatch.setitem(models.REGISTRY, "wide", Bare)
    with pytest.raises(ValueError, match=r"Bare\.width has no default"):
        models.config_fields()


def test_a_module_says_what_it_computes(monkeypatch):
    class Cleaner(nn.Module):
        output: ClassVar[str] = "images"

    monkeypatch.setitem(models.REGISTRY, "cleaner", Cleaner)
    assert {name for name in models.REGISTRY if models.output(name) == "images"} == {
        "denoiser",
        "cleaner",
    }
    assert "output" not in models.config_fields()


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        ("multihead", "stem", 0, "of 1 or above"),
        ("multihead", "stem", True, "one of type int"),
        ("denoiser", "stem_stride", 0, "of 1 or above"),
        ("multihead", "attention", 0, "of 1 or above"),
        ("multihead", "crop_height", -1, "of 0 or above"),
        ("mlp", "dropout", 1.0, "from 0 to below 1"),
        ("cnn", "dropout", -0.1, "from 0 to below 1"),
        ("cnn", "hidden", (0,), "items of 1 or above"),
        ("cnn", "hidden", ("a",), "a tuple of int"),
        ("cnn", "channels", (8, 0), "items of 1 or above"),
        ("cnn", "channels", 8, "a tuple of int"),
        ("cnn", "stem_padding", "SAM", "did you mean 'SAME'"),
        ("logistic", "members", 0, "of 1 or above"),
    ],
)
def test_a_field_that_a_model_cannot_use_is_named(name, field, value, said):
    config = section("cnn")
    config.name = name
    config._fields[field] = value
    with pytest.raises(UserError, match=said) as raised:
        models.check(config, 84, 84, digits=3, classes=10)
    assert f"config.model.{field}" in str(raised.value)


@pytest.mark.parametrize(("digits", "classes"), [(4, 10), (2, 26), (1, 10_000)])
def test_the_cnn_takes_as_many_numbers_as_it_has_outputs_for(digits, classes):
    models.check(section("cnn"), 84, 84, digits, classes)
    with pytest.raises(UserError, match=r"config.model.name=cnn .* use multihead for more"):
        models.check(section("cnn"), 84, 84, digits + 1, classes + 1)


def test_rows_are_cut_by_products_of_full_precision_on_every_platform():
    """At the default precision of an accelerator sums of rows lose what tells rows apart."""
    images = jax.ShapeDtypeStruct((2, 84, 84), np.float32)
    for platform in ("cuda", "tpu"):
        exported = jax.export.export(
            jax.jit(lambda images: multihead.cut_digits(images, 3, 28)), platforms=[platform]
        )(images)
        products = [
            line for line in exported.mlir_module().splitlines() if "stablehlo.dot_general" in line
        ]
        assert len(products) == 1
        assert "HIGHEST" in products[0]
