"""Augmentation: what each field does, its limits, and that a key decides all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict, FrozenConfigDict

from mnist3.config import numbers
from mnist3.data import augmentation
from mnist3.data.augmentation import augment, fields, geometry
from mnist3.data.noise import pixel_noise
from mnist3.errors import UserError

OFF = augmentation.defaults()
ALL = {
    "shift": 2,
    "rotation": 15.0,
    "scale": 0.1,
    "shear": 10.0,
    "elastic": 1.5,
    "noise": 0.1,
    "cutout": 6,
    "stroke": 1.5,
}


WARP = jax.jit(geometry.warp)
RUN = jax.jit(augment, static_argnums=2)
DRAW = jax.jit(geometry._draw_coordinates, static_argnums=(1, 2))


def config(**changes):
    return ConfigDict(OFF | changes)


def random_images(batch=4, height=28, width=28, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (batch, height, width))
    return jnp.asarray(images / 255, jnp.float32)


def grid(images):
    return jnp.indices(images.shape, dtype=jnp.float32)[1:]


def assert_same_pixels(images, expected):
    """To the rounding of a float32."""
    np.testing.assert_allclose(images, expected, rtol=2e-7, atol=0)


def run(images, chosen, seed=0):
    """Augments in one program, compiled once for a config."""
    return RUN(jax.random.key(seed), images, FrozenConfigDict(chosen))


def test_all_off_is_the_identity_and_costs_nothing():
    images = random_images()
    assert augment(jax.random.key(0), images, config()) is images


def test_unmoved_pixels_are_read_exactly():
    images = random_images(4, 28, 35)
    assert_same_pixels(WARP(images, *grid(images)), images)


@given(down=st.integers(-40, 40), right=st.integers(-40, 40))
def test_whole_pixels_are_moved_exactly_and_nothing_enters(down, right):
    images = random_images(2, 28, 35)
    rows, columns = grid(images)
    moved = WARP(images, rows - down, columns - right)
    padded = np.pad(images, ((0, 0), (40, 40), (40, 40)))
    expected = padded[:, 40 - down : 68 - down, 40 - right : 75 - right]
    assert_same_pixels(moved, expected)


def test_a_quarter_turn_is_exact():
    images = random_images()
    rows, columns = grid(images)
    assert_same_pixels(WARP(images, columns, 27 - rows), np.rot90(images, axes=(1, 2)))


def test_between_pixels_the_warp_is_bilinear():
    images = random_images(1, 2, 2)
    (a, b), (c, d) = np.asarray(images[0], float)
    read = WARP(images, jnp.full((1, 2, 2), 0.25), jnp.full((1, 2, 2), 0.5))
    expected = 0.75 * (a + b) / 2 + 0.25 * (c + d) / 2
    np.testing.assert_allclose(read, np.full((1, 2, 2), expected), atol=1e-5)
    edge = WARP(images, jnp.full((1, 2, 2), -0.75), jnp.zeros((1, 2, 2)))
    np.testing.assert_allclose(edge, np.full((1, 2, 2), 0.25 * a), atol=1e-5)


def test_a_shift_moves_whole_pixels_to_every_place():
    images = random_images(1, 12, 9).repeat(300, axis=0)
    moved = np.asarray(run(images, config(shift=2)))
    padded = np.pad(images[0], 2)
    places = {
        padded[2 - down : 14 - down, 2 - right : 11 - right].tobytes(): (down, right)
        for down in range(-2, 3)
        for right in range(-2, 3)
    }
    assert {places[image.tobytes()] for image in moved} == set(places.values())


def recovered_maps(changes, size=29, batch=200):
    """The affine maps from pixel to source, [batch, row and column, (row, column, offset)]."""
    settings = FrozenConfigDict(config(**changes))
    coordinates = DRAW(jax.random.key(0), (batch, size, size), settings)
    row, column = np.indices((size, size)).reshape(2, -1) - size // 2
    pixels = np.stack([row, column, np.ones_like(row)], axis=1).astype(float)
    source = np.asarray(coordinates, float).reshape(2, batch, -1) - size // 2
    maps, errors, *_ = np.linalg.lstsq(pixels, source.reshape(2 * batch, -1).T, rcond=None)
    assert errors.max() < 1e-5
    return maps.T.reshape(2, batch, 3).swapaxes(0, 1)


def test_rotation_is_uniform_in_its_range_and_keeps_lengths():
    maps = recovered_maps({"rotation": 30.0})
    np.testing.assert_allclose(np.linalg.det(maps[:, :, :2]), 1, atol=1e-5)
    np.testing.assert_allclose((maps[:, :, :2] ** 2).sum(axis=1), 1, atol=1e-5)
    degrees = np.rad2deg(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    assert -30 <= degrees.min() < -28 and 28 < degrees.max() <= 30
    np.testing.assert_allclose(maps[:, :, 2], 0, atol=1e-4)


def test_scale_is_uniform_in_its_range():
    maps = recovered_maps({"scale": 0.2})
    factors = 1 / maps[:, 0, 0]
    np.testing.assert_allclose(maps[:, 1, 1], maps[:, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(maps[:, [0, 1], [1, 0]], 0, atol=1e-6)
    assert 0.8 <= factors.min() < 0.81 and 1.19 < factors.max() <= 1.2 + 1e-6


def test_shear_slants_columns_within_its_range():
    maps = recovered_maps({"shear": 20.0})
    np.testing.assert_allclose(maps[:, 0], np.tile([1.0, 0, 0], (200, 1)), atol=1e-5)
    np.testing.assert_allclose(maps[:, 1, 1], 1, atol=1e-5)
    degrees = np.rad2deg(np.arctan(maps[:, 1, 0]))
    assert -20 <= degrees.min() < -19 and 19 < degrees.max() <= 20


def test_the_whole_map_undoes_scale_then_shear_then_rotation_then_shift():
    maps = recovered_maps({"rotation": 30.0, "scale": 0.2, "shear": 20.0, "shift": 3})
    forward = np.linalg.inv(maps[:, :, :2])
    rotation = np.arctan2(forward[:, 0, 1], forward[:, 1, 1])
    turned_back = np.stack(
        [
            np.stack([np.cos(rotation), -np.sin(rotation)], axis=1),
            np.stack([np.sin(rotation), np.cos(rotation)], axis=1),
        ],
        axis=1,
    )
    slanted = turned_back @ forward
    np.testing.assert_allclose(slanted[:, 0, 1], 0, atol=1e-5)
    np.testing.assert_allclose(slanted[:, 0, 0], slanted[:, 1, 1], rtol=1e-5)
    assert np.ptp(slanted[:, 0, 0]) > 0.3 and np.ptp(slanted[:, 1, 0]) > 0.5
    shift = -np.einsum("bij,bj->bi", forward, maps[:, :, 2])
    np.testing.assert_allclose(shift, np.round(shift), atol=1e-4)
    assert set(np.round(shift).astype(int).ravel()) == set(range(-3, 4))


def test_elastic_displacement_is_smooth_and_of_its_standard_deviation():
    shape = (400, 28, 40)
    coordinates = DRAW(jax.random.key(0), shape, FrozenConfigDict(config(elastic=1.5)))
    displacement = np.asarray(coordinates) - np.indices(shape)[1:]
    np.testing.assert_allclose(displacement.std(axis=1), 1.5, rtol=0.25)
    assert displacement.std() == pytest.approx(1.5, rel=0.02)
    steps = np.diff(displacement, axis=3)
    assert steps.std() < 0.25 * displacement.std()
    assert abs(np.corrcoef(*displacement.reshape(2, -1))[0, 1]) < 0.05


def test_noise_is_close_to_normal():
    noise = np.asarray(pixel_noise(jax.random.key(0), (500, 1000)))
    assert noise.mean() == pytest.approx(0, abs=0.01) and noise.std() == pytest.approx(1, abs=0.01)
    normal = {-2: 0.0228, -1: 0.1587, 0: 0.5, 1: 0.8413, 2: 0.9772}
    for threshold, share in normal.items():
        assert (noise < threshold).mean() == pytest.approx(share, abs=0.01)


def test_noise_has_its_standard_deviation():
    images = jnp.full((20, 28, 28), 0.5)
    noisy = np.asarray(run(images, config(noise=0.1)))
    assert (noisy - 0.5).std() == pytest.approx(0.1, rel=0.03)


def test_cutout_blanks_one_square_inside_the_image():
    images = jnp.ones((500, 28, 35))
    hidden = np.asarray(run(images, config(cutout=9))) == 0
    assert (hidden.sum(axis=(1, 2)) == 81).all()
    assert (hidden.any(axis=1).sum(axis=1) == 9).all()
    assert set(hidden.any(axis=2).argmax(axis=1)) == set(range(20))
    assert set(hidden.any(axis=1).argmax(axis=1)) == set(range(27))


@given(seed=st.integers(0, 2**31))
def test_the_range_is_kept(seed):
    images = random_images(8, seed=seed)
    changed = run(images, config(**ALL), seed)
    assert changed.min() >= 0 and changed.max() <= 1


@pytest.mark.parametrize("field", [*ALL, "all"])
def test_every_image_has_values_of_its_own_and_the_key_decides(field):
    chosen = config(**(ALL if field == "all" else {field: ALL[field]}))
    images = random_images(1).repeat(8, axis=0)
    first, again, other = (np.asarray(run(images, chosen, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == images.shape and first.dtype == images.dtype
    assert len({image.tobytes() for image in first}) > 4


def test_half_precision_and_other_shapes_are_kept():
    images = random_images(2, 30, 41).astype(jnp.bfloat16)
    changed = run(images, config(**ALL))
    assert changed.shape == images.shape and changed.dtype == jnp.bfloat16
    assert (changed != images).any()


def test_copies_to_look_at_differ_from_each_other_and_stay_in_order():
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 10:18, 10:18] = 255
    config = ConfigDict(OFF | {"rotation": 20.0})
    copies = augmentation.augmented_copies(images, config, 3)
    assert copies.shape == (2, 3, 28, 28) and copies.dtype == np.uint8
    assert copies[0].any() and not copies[1].any()
    assert (copies[0, 0] != copies[0, 1]).any()
    assert (augmentation.augmented_copies(images, ConfigDict(OFF), 1)[:, 0] == images).all()


def test_the_section_of_the_config_has_the_declared_fields_and_all_is_off():
    assert list(ALL) == list(OFF) == list(augmentation.declared())
    assert dict(numbers().augmentation) == OFF
    assert not augmentation.is_on(config()) and not augmentation.is_on(config(scale=0))
    for name, value in ALL.items():
        assert type(value) is type(OFF[name])
        assert augmentation.is_on(config(**{name: value}))


@pytest.mark.parametrize(
    ("field", "value", "enough"),
    [
        ("shift", 28, 27),
        ("scale", 1.0, 0.9),
        ("shear", 90.0, 80.0),
        ("elastic", 28.0, 5.0),
        ("noise", 10.5, 10.0),
        ("cutout", 35, 27),
        ("cutout", 34, 27),
    ],
)
def test_what_leaves_nothing_to_learn_from_is_refused(field, value, enough):
    augmentation.require_learnable(config(**{field: enough}), (28, 35))
    with pytest.raises(UserError, match=rf"config\.augmentation\.{field} is {value}"):
        augmentation.require_learnable(config(**{field: value}), (28, 35))


def test_another_augmentation_is_an_entry_and_leaves_the_draws_of_the_others(monkeypatch):
    def invert(key, images, config):
        chosen = jax.random.bernoulli(key, config.invert, (len(images), 1, 1))
        return jnp.where(chosen, 1 - images, images)

    images = random_images(40)
    before = run(images, config(**ALL))
    declared = {"invert": fields.Field(0.0, "probability", lambda value, size: "")}
    entry = fields.Augmentation(declared, invert)
    monkeypatch.setitem(augmentation.REGISTRY, "invert", entry)
    assert augmentation.defaults() == OFF | {"invert": 0.0}
    key = jax.random.key(0)
    settings = ConfigDict(augmentation.defaults() | ALL)
    # Compiled alone, as the program of the other fields was.
    after = jax.jit(lambda images: augment(key, images, settings))(images)
    np.testing.assert_allclose(after, before, atol=1e-6)
    settings.invert = 0.5
    inverted = jax.jit(lambda images: augment(key, images, settings))(images)
    chosen = np.abs(inverted - (1 - after)).max(axis=(1, 2)) < 1e-5
    assert 5 < chosen.sum() < 35
    np.testing.assert_allclose(
        np.where(chosen[:, None, None], 1 - inverted, inverted), after, atol=1e-5
    )
