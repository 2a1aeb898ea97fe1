import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist3 import models, tasks
from mnist3.config import CHOICES, base
from mnist3.models import multihead


def create(name, digits):
    config = base().model
    config.name, config.stem, config.channels = name, 4, (6, 8)
    return models.create(config, digits)


READERS = sorted(models.REGISTRY.keys() - {"denoiser"})


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("digits", "size"), [(1, (28, 28)), (3, (84, 84)), (2, (40, 64))])
def test_logits_of_every_model_say_a_number(name, digits, size):
    model = create(name, digits)
    images = jax.random.uniform(jax.random.key(0), (2, *size))
    params = model.init(jax.random.key(1), images)["params"]
    logits = model.apply({"params": params}, images)
    assert logits.shape == ((2, 10**digits) if name == "cnn" else (2, digits, 10))
    assert logits.dtype == jnp.float32
    assert tasks.decode(logits, digits).digits.shape == (2, digits)


def test_multihead_reads_a_digit_at_any_height():
    model = create("multihead", 3)
    image = jnp.zeros((1, 168, 84)).at[:, 64:84, 30:50].set(1.0)
    params = model.init(jax.random.key(1), image)["params"]
    # The trunk's features move with the ink in steps of 8 px, far from the border.
    moved = jnp.roll(image, 16, axis=1)
    np.testing.assert_allclose(
        model.apply({"params": params}, image),
        model.apply({"params": params}, moved),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_stem_without_padding_sees_no_border():
    config = base().model
    config.name, config.stem, config.channels, config.hidden = "cnn", 4, (6,), (8,)
    image = jax.random.uniform(jax.random.key(0), (1, 28, 28))

    def features_and_change(padding):
        config.stem_padding = padding
        model = models.create(config, 1)
        params = model.init(jax.random.key(1), image)["params"]
        # Of 28 pixels a stride of 2 without padding reaches 27.
        logits = [model.apply({"params": params}, x) for x in (image, image.at[:, 27].set(1.0))]
        return params["hidden0"]["kernel"].shape[0], np.abs(logits[0] - logits[1]).max()

    assert features_and_change("VALID") == (3 * 3 * 6, 0)
    features, change = features_and_change("SAME")
    assert features == 3 * 3 * 6
    assert change > 0


def test_dropout_acts_in_training_alone():
    config = base().model
    config.dropout = 0.5
    model = models.create(config, 3)
    images = jax.random.uniform(jax.random.key(0), (2, 84, 84))
    params = model.init(jax.random.key(1), images)["params"]

    def logits(seed, train):
        rngs = {"dropout": jax.random.key(seed)}
        return model.apply({"params": params}, images, train=train, rngs=rngs)

    np.testing.assert_array_equal(logits(0, False), logits(1, False))
    assert not np.array_equal(logits(0, True), logits(1, True))


def test_the_config_knows_every_model():
    assert set(CHOICES["model.name"]) == set(models.REGISTRY)


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
    config = base().model
    config.stem, config.channels, config.crop_height = 4, (6, 8), 28
    model = models.create(config, 3)
    digits = np.random.default_rng(0).uniform(size=(3, 28, 28)).astype(np.float32)
    params = model.init(jax.random.key(1), drawn((0, 0, 0), digits))["params"]
    before = model.apply({"params": params}, drawn((0, 0, 0), digits))
    digits[2] = 1 - digits[2]
    after = model.apply({"params": params}, drawn((0, 0, 0), digits))
    np.testing.assert_allclose(before[0, 0], after[0, 0], atol=1e-3)
    assert abs(before[0, 2] - after[0, 2]).max() > 1e-2


def test_a_model_that_crops_does_not_see_at_which_height_a_digit_stands():
    config = base().model
    config.stem, config.channels, config.crop_height = 4, (6, 8), 28
    model = models.create(config, 3)
    digits = np.random.default_rng(0).uniform(size=(3, 28, 28)).astype(np.float32)
    params = model.init(jax.random.key(1), drawn((0, 0, 0), digits))["params"]
    logits = [
        model.apply({"params": params}, drawn(tops, digits)) for tops in ((5, 9, 0), (0,) * 3)
    ]
    np.testing.assert_array_equal(*logits)


@pytest.mark.parametrize("name", READERS)
def test_classes_other_than_the_ten_digits(name):
    config = base().model
    config.name, config.stem, config.channels = name, 4, (6, 8)
    model = models.create(config, digits=1, classes=3)
    images = jax.random.uniform(jax.random.key(0), (2, 28, 28))
    params = model.init(jax.random.key(1), images)["params"]
    assert model.apply({"params": params}, images).reshape(2, -1).shape == (2, 3)


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_feature_vectors(name):
    config = base().model
    config.name = name
    model = models.create(config, digits=1, classes=3)
    features = jax.random.normal(jax.random.key(0), (4, 5))
    params = model.init(jax.random.key(1), features)["params"]
    assert model.apply({"params": params}, features).shape == (4, 1, 3)


@pytest.mark.parametrize("size", [(28, 28), (9, 7)])
def test_the_denoiser_keeps_the_size_and_the_place_of_pixels(size):
    config = base().model
    config.name, config.stem, config.channels, config.stem_stride = "denoiser", 4, (6,), 2
    model = models.create(config, digits=1)
    images = jnp.zeros((2, *size)).at[1, 4, 3].set(1.0)
    params = model.init(jax.random.key(1), images)["params"]
    cleaned = model.apply({"params": params}, images)
    assert cleaned.shape == images.shape
    assert cleaned.dtype == jnp.float32
    rows, columns = np.nonzero(np.asarray(cleaned[0] != cleaned[1]))
    # What a pixel may touch: 2 px of the stem, 2 x 2 px of each of the three convolutions.
    assert abs(rows - 4).max() <= 9
    assert abs(columns - 3).max() <= 9
    assert len(rows)


@pytest.mark.parametrize("name", ["cnn", "multihead"])
def test_a_committee_answers_with_the_mean_and_deals_out_what_it_learns_from(name):
    config = base().model
    config.name, config.stem, config.channels, config.crop_height = name, 4, (6, 8), 28
    alone = models.create(config, 2)
    config.members = 3
    model = models.create(config, 2)
    images = jax.random.uniform(jax.random.key(0), (6, 40, 56))
    params = model.init(jax.random.key(1), images)["params"]
    of_members = [
        alone.apply({"params": params[f"members_{member}"]}, images) for member in range(3)
    ]
    assert np.ptp(of_members, axis=0).max() > 1e-3
    mean = np.mean(jax.nn.log_softmax(jnp.stack(of_members)), axis=0)
    np.testing.assert_allclose(model.apply({"params": params}, images), mean, rtol=1e-4, atol=1e-5)
    dealt = model.apply({"params": params}, images, train=True)
    shares = [logits[2 * member : 2 * member + 2] for member, logits in enumerate(of_members)]
    np.testing.assert_allclose(dealt, np.concatenate(shares), rtol=1e-4, atol=1e-5)
