import numpy as np
import pytest

from mnist3.config import numbers, strings
from mnist3.data import dataset as datasets
from mnist3.data import draws, protocols
from mnist3.data.splits import fingerprint
from mnist3.errors import UserError


def data_config(**fields):
    config = numbers().data
    config.val_examples = config.test_examples = 300
    config.update(fields)
    return config


def single_digit_config(**fields):
    size = {"digits": 1, "height": 28, "width": 28, "numbers": "shared"}
    return data_config(name="single_digit", **(size | fields))


def load(config):
    return datasets.load(config, None, "unused")


def text(labels):
    return {"".join(map(str, label)) for label in labels}


def test_disjoint_splits_share_neither_numbers_nor_digit_images():
    dataset = load(data_config())
    numbers = {name: text(labels) for name, labels in dataset.numbers.items()}
    assert len(numbers["train"]) == 640
    assert not numbers["train"] & numbers["val"]
    assert not (numbers["train"] | numbers["val"]) & numbers["test"]
    images = {name: set(rows.ravel().tolist()) for name, rows in dataset.digit_indices.items()}
    assert not images["train"] & images["val"]
    assert not (images["train"] | images["val"]) & images["test"]
    assert dataset.protocol == {"numbers": "disjoint", "digit_images": "disjoint"}


def test_shared_digit_images_are_those_of_every_split():
    dataset = load(data_config(digit_images="shared"))
    rows = dataset.digit_indices
    assert len(rows["train"]) == 1797
    assert set(rows["val"].ravel().tolist()) & set(rows["test"].ravel().tolist())


def test_the_fingerprint_follows_what_the_data_are():
    first, again = load(data_config()), load(data_config())
    assert first.fingerprint == again.fingerprint
    np.testing.assert_array_equal(first.splits["val"].images, again.splits["val"].images)
    for change in ({"seed": 1}, {"numbers": "shared"}, {"val_examples": 299}):
        assert load(data_config(**change)).fingerprint != first.fingerprint


def string_config():
    config = strings("digits").data
    config.digits, config.width = (1, 3), 128
    config.composition.nothing = 0.3
    config.val_examples, config.test_examples = 700, 20  # val of more than one batch
    return config


@pytest.mark.parametrize("config", [data_config(), string_config()], ids=["numbers", "strings"])
def test_what_is_shown_is_known_without_composing_it(config):
    known = datasets.load(config, None, "unused", images=False)
    whole = load(config)
    assert known.fingerprint == whole.fingerprint
    for name in ("val", "test"):
        np.testing.assert_array_equal(known.splits[name].labels, whole.splits[name].labels)
        np.testing.assert_array_equal(known.digit_indices[name], whole.digit_indices[name])
        assert known.splits[name].images.shape == whole.splits[name].images.shape
        assert whole.splits[name].images.any() and not known.splits[name].images.any()


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_one_other_row_of_any_split_is_another_fingerprint(split, monkeypatch):
    configs = (single_digit_config(), single_digit_config(train_limit=50), data_config())
    first = [load(config).fingerprint for config in configs]
    divide = protocols.split_digit_images

    def exchanged(source, *arguments):
        rows = {name: part.copy() for name, part in divide(source, *arguments).items()}
        threes, others = (
            np.flatnonzero(source.labels[rows[name]] == 3)
            for name in (split, "val" if split == "test" else "test")
        )
        rows[split][threes[-1]] = rows["val" if split == "test" else "test"][others[0]]
        return rows

    monkeypatch.setattr(protocols, "split_digit_images", exchanged)
    for config, before in zip(configs, first, strict=True):
        assert load(config).fingerprint != before


def test_the_rows_that_a_limit_keeps_are_in_the_fingerprint(monkeypatch):
    config = single_digit_config(train_limit=100)
    first = load(config)
    generator = draws.generator
    monkeypatch.setattr(
        draws, "generator", lambda seed, tag: generator(seed + 9 * tag.startswith("limit"), tag)
    )
    other = load(config)
    assert other.fingerprint != first.fingerprint
    np.testing.assert_array_equal(other.splits["val"].images, first.splits["val"].images)
    no_limit = load(single_digit_config(train_limit=10_000))
    assert no_limit.fingerprint == load(single_digit_config()).fingerprint


def test_fingerprints_tell_names_shapes_and_values_apart():
    rows = np.arange(6)
    parts = [
        {"train": rows},
        {"val": rows},
        {"train": rows[:5], "val": rows[5:]},
        {"train": rows[:4], "val": rows[4:]},
        {"train": rows.reshape(3, 2)},
        {"train": rows[::-1]},
        {"train": None},
    ]
    found = {fingerprint("", part) for part in parts} | {fingerprint("a", parts[0])}
    assert len(found) == len(parts) + 1
    assert fingerprint("", {"train": rows.astype(np.int32)}) == fingerprint("", parts[0])


def test_a_limit_keeps_some_of_the_fixed_training_images():
    whole, limited = load(single_digit_config()), load(single_digit_config(train_limit=100))
    assert len(limited.splits["train"]) == 100
    kept = {image.tobytes() for image in limited.splits["train"].images}
    assert kept < {image.tobytes() for image in whole.splits["train"].images}
    assert limited.fingerprint != whole.fingerprint
    np.testing.assert_array_equal(limited.splits["val"].images, whole.splits["val"].images)


def test_composed_images_have_no_end_to_limit():
    with pytest.raises(UserError, match="train_examples"):
        load(data_config(train_limit=100))


def test_more_digits_than_can_be_listed_are_composed_too():
    config = data_config(digits=8, width=8 * 28, numbers="shared", val_examples=5)
    assert load(config).splits["val"].labels.shape == (5, 8)


def test_single_digits_are_each_in_one_split():
    dataset = load(single_digit_config())
    assert sum(map(len, dataset.splits.values())) == 1797
    assert dataset.splits["train"].labels.shape == (len(dataset.splits["train"]), 1)
    assert dataset.stream is None


@pytest.mark.parametrize(
    "change", [{"numbers": "disjoint"}, {"digit_images": "shared"}, {"height": 32}]
)
def test_single_digits_refuse_what_they_cannot_be(change):
    with pytest.raises(UserError, match="single_digit"):
        load(single_digit_config(**change))


def test_triple_mnist_without_its_files_says_where_to_put_them():
    with pytest.raises(UserError, match="MNIST3_DATA_DIR"):
        load(data_config(name="triple_mnist"))


def test_mnist_keeps_its_official_test_images(data_dir):
    dataset = datasets.load(single_digit_config(source="mnist"), data_dir, "unused")
    assert len(dataset.splits["test"]) == 10_000
    assert np.bincount(dataset.splits["test"].labels[:, 0])[5] == 892
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 60_000
