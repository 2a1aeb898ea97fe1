import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mnist3 import config, models
from mnist3.errors import UserError
from mnist3.evaluation import inspection


@pytest.fixture(scope="module", params=["cnn", "logistic"])
def network(request):
    settings = config.numbers().model
    settings.update({"name": request.param, "stem": 3, "channels": (4, 5)})
    model = models.create(settings, digits=1, classes=10)
    images = jnp.asarray(np.random.default_rng(1).random((2, 28, 28), np.float32))
    random = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)["params"]
    params = jax.tree.map(lambda leaf: jnp.asarray(random.normal(0, 0.1, leaf.shape)), shapes)
    return request.param, model, params, images


def test_gradients_are_those_of_finite_differences(network):
    _, model, params, images = network

    @jax.jit
    def compute_logits(images):
        return model.apply({"params": params}, images)

    gradients = inspection.input_gradients(model, params, images)
    assert gradients.shape == images.shape
    winner = compute_logits(images)[0].max(axis=-1).sum()
    for row, column in [(14, 14), (7, 20)]:
        step = jnp.zeros_like(images).at[0, row, column].set(1e-2)
        moved = compute_logits(images + step)[0].max(axis=-1).sum()
        assert float(gradients[0, row, column]) == pytest.approx(
            float(moved - winner) / 1e-2, abs=2e-2
        )


def test_feature_maps_and_filters_are_those_of_the_convolutions(network):
    name, model, params, images = network
    if name == "logistic":
        assert inspection.create_feature_maps(model, params)(images[0]) == {}
        with pytest.raises(UserError, match="no convolution"):
            inspection.first_filters(params)
        return
    maps = inspection.create_feature_maps(model, params)(images[0])
    assert [path.split("/")[-1] for path in maps] == [
        "stem",
        *(f"stage{stage}_conv{depth}" for stage in range(2) for depth in range(2)),
    ]
    assert [each.shape[-1] for each in maps.values()] == [3, 4, 4, 5, 5]
    assert all((each >= 0).all() and each.any() for each in maps.values())
    filters = inspection.first_filters(params)
    assert filters.shape == (5, 5, 3)
    # The stem sees two pixels beyond the image, in steps of two.
    window = np.asarray(images[0])[15:20, 15:20]
    bias = params["trunk"]["stem"]["bias"]
    first = maps["trunk/stem"]
    corners = [np.abs(first - np.maximum((window[..., None] * filters).sum((0, 1)) + bias, 0))]
    assert corners[0].sum(axis=-1).min() == pytest.approx(0, abs=1e-4)
