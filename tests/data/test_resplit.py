import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mnist3.data.numbers import DIGITS
from mnist3.data.resplit import choose_rows, take
from mnist3.data.splits import Split
from mnist3.errors import UserError

Made = tuple[dict[str, Split], dict[str, np.ndarray]]


def make(sizes: dict[str, int], digit_images: int, seed: int) -> Made:
    """Returns splits of disjoint numbers whose images hold a serial number, and digit images."""
    random = np.random.default_rng(seed)
    numbers = random.permutation(1000)
    splits, indices, start = {}, {}, 0
    for position, (name, count) in enumerate(sizes.items()):
        drawn = numbers[position::3][random.integers(0, 40, count)]
        serial = np.arange(start, start + count)
        images = np.stack([serial >> 8, serial & 255], axis=1).astype(np.uint8)[:, None]
        labels = (drawn[:, None] // [100, 10, 1] % 10).astype(np.int32)
        splits[name] = Split(images, labels)
        indices[name] = random.integers(0, digit_images, (count, 3)).astype(np.int32)
        start += count
    return splits, indices


def serials(split: Split) -> np.ndarray:
    return split.images[:, 0].astype(int) @ [256, 1]


def numbers_of(split: Split) -> set[int]:
    return set((split.labels @ [100, 10, 1]).tolist())


def check_moved_only(before: dict[str, Split], after: dict[str, Split]) -> None:
    """Every image is there once at most, in order, with its label."""
    labels = np.concatenate([split.labels for split in before.values()])
    seen = [serials(split) for split in after.values()]
    for split, rows in zip(after.values(), seen, strict=True):
        np.testing.assert_array_equal(split.labels, labels[rows])
        assert split.labels.dtype == np.int32
        assert (np.diff(rows) > 0).all()
    together = np.concatenate(seen)
    assert len(np.unique(together)) == len(together)


def check_digit_images_disjoint(indices: dict[str, np.ndarray], after: dict[str, Split]) -> None:
    held = np.concatenate(list(indices.values()))
    owner = {}
    for name, split in after.items():
        for digit_image in np.unique(held[serials(split)]).tolist():
            assert owner.setdefault(digit_image, name) == name


made = st.builds(
    make,
    st.fixed_dictionaries(
        {"train": st.integers(20, 300), "val": st.integers(10, 100)},
        optional={"test": st.integers(10, 100)},
    ),
    digit_images=st.integers(30, 600),
    seed=st.integers(0, 9),
)


def resplit(splits, *protocol) -> dict[str, Split]:
    return {name: take(splits, rows) for name, rows in choose_rows(splits, *protocol).items()}


def resplit_or_reject(splits, numbers, indices, seed) -> dict[str, Split]:
    """Makes digit images disjoint; where hardly any exist there may be no way."""
    try:
        return resplit(splits, numbers, "disjoint", indices, seed, DIGITS)
    except UserError as error:
        assert "leaves no number image" in str(error)
        assume(False)


@given(made, st.integers(0, 5))
def test_numbers_and_digit_images_disjoint(made, seed):
    splits, indices = made
    after = resplit_or_reject(splits, "disjoint", indices, seed)
    assert after.keys() == splits.keys()
    check_moved_only(splits, after)
    check_digit_images_disjoint(indices, after)
    for name, split in after.items():
        assert set(serials(split)) <= set(serials(splits[name]))
        assert numbers_of(split) <= numbers_of(splits[name])


@given(made, st.integers(0, 5))
def test_numbers_shared_and_digit_images_disjoint(made, seed):
    splits, indices = made
    after = resplit_or_reject(splits, "shared", indices, seed)
    assert list(after) == ["train", "val", "test"]
    check_moved_only(splits, after)
    check_digit_images_disjoint(indices, after)


@given(made, st.integers(0, 5))
def test_numbers_and_digit_images_shared(made, seed):
    splits, indices = made
    after = resplit(splits, "shared", "shared", indices, seed, DIGITS)
    check_moved_only(splits, after)
    total = sum(map(len, splits.values()))
    assert sum(map(len, after.values())) == total
    for name, share in {"train": 0.64, "val": 0.16, "test": 0.2}.items():
        assert abs(len(after[name]) - share * total) < 1


def test_as_published_nothing_changes():
    splits, indices = make({"train": 30, "val": 10}, 50, 0)
    after = resplit(splits, "disjoint", "shared", indices, 0, DIGITS)
    assert after.keys() == splits.keys()
    assert all(after[name] is splits[name] for name in splits)


@pytest.mark.parametrize("digit_images", ["shared", "disjoint"])
def test_shared_numbers_are_shared_and_drawn_by_the_seed(digit_images):
    splits, indices = make({"train": 2000, "val": 500, "test": 500}, 6000, 0)
    first, again, other = (
        resplit(splits, "shared", digit_images, indices, seed, DIGITS) for seed in (1, 1, 2)
    )
    for name in first:
        np.testing.assert_array_equal(serials(first[name]), serials(again[name]))
    assert set(serials(first["val"])) != set(serials(other["val"]))
    assert len(numbers_of(first["val"]) & numbers_of(first["train"])) > 60


def test_nothing_is_dropped_without_need():
    splits, _ = make({"train": 300, "val": 100}, 1, 0)
    own = np.arange(1200, dtype=np.int32).reshape(400, 3)
    after = resplit(
        splits, "disjoint", "disjoint", {"train": own[:300], "val": own[300:]}, 0, DIGITS
    )
    assert {name: len(split) for name, split in after.items()} == {"train": 300, "val": 100}
    after = resplit(splits, "shared", "disjoint", {"train": own[:300], "val": own[300:]}, 0, DIGITS)
    assert sum(map(len, after.values())) == 400


def test_all_splits_keep_about_the_same_share_and_more_than_by_chance():
    # As many digit images for an image as the published set has.
    splits, indices = make({"train": 6400, "val": 1600, "test": 2000}, 7000, 0)
    after = resplit(splits, "disjoint", "disjoint", indices, 0, DIGITS)
    shares = [len(after[name]) / len(splits[name]) for name in splits]
    # Dividing digit images at random in the ratio 64 : 16 : 20 keeps 0.26, 0.004 and 0.008.
    assert min(shares) > 0.3
    assert max(shares) - min(shares) < 0.05


def test_numbers_in_two_splits_are_an_error():
    splits, indices = make({"train": 30, "val": 10}, 50, 0)
    splits["val"].labels[4] = splits["train"].labels[7]
    number = "".join(map(str, splits["train"].labels[7]))
    for digit_images in ("shared", "disjoint"):
        with pytest.raises(UserError, match=f"train and val both hold images.*{number}"):
            resplit(splits, "disjoint", digit_images, indices, 0, DIGITS)


def test_unknown_digit_images_are_an_error():
    splits, indices = make({"train": 30, "val": 10}, 50, 0)
    indices["val"][3, 1] = -1
    with pytest.raises(UserError, match="1 of 40 number images"):
        resplit(splits, "disjoint", "disjoint", indices, 0, DIGITS)


def test_no_image_left_is_an_error():
    splits, indices = make({"train": 30, "val": 10}, 1, 0)
    with pytest.raises(UserError, match=r"leaves no number image for (train|val)"):
        resplit(splits, "disjoint", "disjoint", indices, 0, DIGITS)
