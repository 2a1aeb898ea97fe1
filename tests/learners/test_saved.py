import io
import json
import os
import pickle
import warnings
import zipfile

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import BallTree, KDTree, KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits

from mnist3 import config as configs
from mnist3 import tasks
from mnist3.config import NETWORK
from mnist3.data.sources import load_source
from mnist3.data.splits import Split
from mnist3.errors import UserError
from mnist3.estimators import registry, tabular
from mnist3.learners import saved

SMALL = {
    NETWORK: {"epochs": 1},
    "sgd": {"max_iter": 5},
    "logistic_regression": {"max_iter": 5},
    "linear_svc": {"max_iter": 5},
    "random_forest": {"n_estimators": 3},
    "extra_trees": {"n_estimators": 3},
    "gradient_boosting": {"max_iter": 2},
    "mlp": {"hidden_layer_sizes": (4,), "max_iter": 2},
}


def task_of(name):
    section = configs.digits("digits").task
    section.name = name
    return tasks.create(section)


PAIRS = [
    (name, task)
    for name in registry.names()
    for task in ("multiclass", "binary", "multilabel", "denoise")
    if registry.fits(name, task_of(task))
]
CLASSES = tasks.of_column("yes", ("no", "yes"))
KINDS = {"age": "numeric", "when": "date", "pen": "categorical"}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tiny fits wait longer for other processes and threads than they work."""
    with joblib.parallel_config("threading"), threadpool_limits(1, "openmp"):
        yield


def fitted(estimator, *examples):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        return estimator.fit(*examples)


@pytest.fixture(scope="module")
def examples():
    """Sixty images of 8x8 px, row by row, and their digits."""
    source = load_source("digits")
    return source.images[:60, 8:24:2, 8:24:2].reshape(60, 64), source.labels[:60]


@pytest.fixture(scope="module")
def numbers():
    """Rows of four features, and their classes."""
    features = np.random.default_rng(0).normal(size=(200, 4))
    return features, (features[:, 0] > features[:, 1]).astype(int)


def rows(n=60):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": random.normal(40, 10, n),
            "when": random.integers(0, 9_000, n).astype(float),
            "pen": np.array(["ink", "lead", "wax"], dtype=object)[random.integers(0, 3, n)],
        }
    )
    frame.loc[:3, ["age", "when", "pen"]] = np.nan
    return frame, random.integers(0, 2, n)


def saved_and_loaded(folder, content):
    saved.save_estimator(folder / "model.skops", content)
    return saved.load_estimator(folder / "model.skops")


def require_same_predictions(one, other, inputs):
    np.testing.assert_array_equal(one.predict(inputs), other.predict(inputs))
    if hasattr(one, "predict_proba"):
        both = (each.predict_proba(inputs) for each in (one, other))
        for a, b in zip(*both, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("name", "wanted"), PAIRS)
def test_every_estimator_predicts_the_same_after_it_was_saved(name, wanted, examples, tmp_path):
    images, digits = examples
    section = configs.ConfigDict({"name": name, "parameters": {}, "scale": False})
    section.parameters.update(SMALL.get(name, {}))
    if name == NETWORK:
        section.parameters.update(
            {"channels": (2,), "stem": 2, "convolutions": 1}
            if wanted == "denoise"
            else {"model": "mlp"}
        )
    task = task_of(wanted)
    split = Split(images.reshape(-1, 8, 8), digits[:, None])
    targets = images if wanted == "denoise" else task.examples(split, 0, 0).targets
    estimator = fitted(registry.create(section, task, seed=0), images, targets)
    loaded = saved_and_loaded(tmp_path, {"estimator": estimator})["estimator"]
    require_same_predictions(estimator, loaded, images[:20])


@pytest.mark.parametrize("name", registry.names_of_tables())
def test_every_pipeline_of_a_table_predicts_the_same_after_it_was_saved(name, tmp_path):
    frame, labels = rows()
    pipeline = fitted(
        tabular.create(name, KINDS, CLASSES, SMALL.get(name, {}), seed=0), frame, labels
    )
    content = {
        "pipeline": pipeline,
        "kinds": KINDS,
        "formats": {"age": ",.", "when": "%d.%m.%Y"},
        "classes": ("no", "yes"),
    }
    loaded = saved_and_loaded(tmp_path, content)
    assert {**loaded, "pipeline": None} == {**content, "pipeline": None}
    require_same_predictions(pipeline, loaded["pipeline"], frame)


@pytest.mark.parametrize(
    "estimator",
    [
        *(KNeighborsClassifier(algorithm=name) for name in ("auto", "kd_tree", "ball_tree")),
        *(KNeighborsClassifier(p=p) for p in (1, 3)),
        MLPClassifier((4,), solver="sgd", early_stopping=True, max_iter=20, random_state=0),
        HistGradientBoostingClassifier(max_iter=3, early_stopping=True),
        DecisionTreeClassifier(random_state=np.random.RandomState(0)),
    ],
    ids=lambda estimator: str(estimator).partition(" at 0x")[0],
)
def test_parameters_bring_nothing_that_cannot_be_saved(estimator, numbers, tmp_path):
    features, labels = numbers
    estimator = fitted(estimator, features, labels)
    loaded = saved_and_loaded(tmp_path, {"estimator": estimator})["estimator"]
    require_same_predictions(estimator, loaded, features)


def test_what_cannot_be_saved_is_said_and_leaves_no_file(numbers, tmp_path):
    by_score = HistGradientBoostingClassifier(max_iter=2, early_stopping=True, scoring="accuracy")
    features, labels = numbers
    categories = np.column_stack([features, np.arange(200) % 5])
    by_category = HistGradientBoostingClassifier(max_iter=2, categorical_features=[4])
    for content in (
        fitted(by_score, features, labels),
        fitted(by_category, categories, labels),
        json.JSONDecoder(),
        test_what_is_damaged,
    ):
        with pytest.raises(UserError, match=r"cannot be saved as .*; change the parameter"):
            saved.save_estimator(tmp_path / "model.skops", {"estimator": content})
    assert not list(tmp_path.iterdir())


def test_equal_models_make_equal_bytes(numbers, tmp_path):
    for name in ("one", "two"):
        forest = fitted(RandomForestClassifier(3, random_state=np.random.RandomState(0)), *numbers)
        saved.save_estimator(tmp_path / name, {"estimator": forest, "file": "b.npy", "mean": 0.5})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), PLAIN))
def test_plain_data_come_back_as_they_were(tmp_path_factory, content):
    assert saved_and_loaded(tmp_path_factory.mktemp("plain"), content) == content


class Evil:
    """What an attacker sends: reading it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_runs_nothing_unless_it_is_allowed(tmp_path):
    made = tmp_path / "made"
    joblib.dump(Evil(str(made)), tmp_path / "model.joblib")
    with pytest.raises(UserError, match=r"runs any code that it holds; .* --allow_pickle"):
        saved.load_estimator(tmp_path / "model.joblib")
    (tmp_path / "model.skops").write_bytes((tmp_path / "model.joblib").read_bytes())
    with pytest.raises(UserError, match="cannot be read"):
        saved.load_estimator(tmp_path / "model.skops", allow_pickle=True)
    assert not made.exists()
    joblib.dump({"kinds": KINDS}, tmp_path / "model.joblib")
    assert saved.load_estimator(tmp_path / "model.joblib", allow_pickle=True) == {"kinds": KINDS}


def rewritten(data, change):
    """A file of skops with its description changed."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            part = old.read(name)
            new.writestr(name, change(part.decode()).encode() if name == "schema.json" else part)
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "type_name"),
    [
        (os.path.join, "posixpath.join"),
        (Evil("made"), f"{Evil.__module__}.Evil"),
        (pickle.loads, "_pickle.loads"),
    ],
)
def test_a_file_with_a_type_that_is_not_trusted_is_refused_by_name(content, type_name, tmp_path):
    path = tmp_path / "model.skops"
    path.write_bytes(skops.io.dumps({"estimator": content}))
    with pytest.raises(UserError, match=f"holds a {type_name}, which no model of mnist3 has"):
        saved.load_estimator(path)


def test_a_file_whose_description_names_another_type_is_refused(tmp_path):
    data = skops.io.dumps({"estimator": DecisionTreeClassifier()})
    forged = rewritten(
        data,
        lambda text: text.replace("DecisionTreeClassifier", "Popen").replace(
            "sklearn.tree._classes", "subprocess"
        ),
    )
    (tmp_path / "model.skops").write_bytes(forged)
    with pytest.raises(UserError, match=r"holds a subprocess\.Popen"):
        saved.load_estimator(tmp_path / "model.skops")


def forged_trees():
    """Estimators whose trees lead out of their own arrays, for the memory behind them."""
    features = np.random.default_rng(0).normal(size=(200, 4))
    examples = features, (features[:, 0] > features[:, 1]).astype(int)

    def tree(**changes):
        estimator = DecisionTreeClassifier(random_state=0).fit(*examples)
        state = estimator.tree_.__getstate__()
        for name, value in changes.items():
            state["nodes"][name][0] = value
        estimator.tree_.__setstate__(state)
        return estimator

    def boosting(**changes):
        estimator = fitted(HistGradientBoostingClassifier(max_iter=2), *examples)
        for name, value in changes.items():
            estimator._predictors[1][0].nodes[name][0] = value
        return estimator

    forest = RandomForestClassifier(2, random_state=0).fit(*examples)
    forest.estimators_[1] = DecisionTreeClassifier().fit(np.tile(examples[0], 50), examples[1])
    neighbours = KNeighborsClassifier().fit(*examples)
    state = list(neighbours._tree.__getstate__())
    state[1] = np.where(np.arange(200) == 7, 10**9, np.asarray(state[1]))
    neighbours._tree.__setstate__(tuple(state))
    return {
        "a child behind the end": tree(left_child=10**9),
        "a loop": tree(right_child=0),
        "a feature that is not there": tree(feature=4),
        "a feature before the first": tree(feature=-3),
        "a boosted child behind the end": boosting(left=10**9),
        "a boosted feature that is not there": boosting(feature_idx=10**6),
        "a boosted category without its set": boosting(is_categorical=1),
        "a tree of more features than the forest": forest,
        "a neighbour that is not there": neighbours,
    }


@pytest.mark.parametrize(("name", "estimator"), forged_trees().items())
def test_trees_that_lead_astray_are_refused(name, estimator, tmp_path):
    (tmp_path / "model.skops").write_bytes(skops.io.dumps({"deep": [({"in": estimator},)]}))
    with pytest.raises(UserError, match=r"trees of its .* lead astray"):
        saved.load_estimator(tmp_path / "model.skops")


@pytest.mark.parametrize("kind", [KDTree, BallTree])
@pytest.mark.parametrize("n", [1, 3, 41, 500])
def test_search_trees_of_every_size_are_sound(kind, n):
    assert saved._is_sound_search_tree(kind(np.random.default_rng(0).normal(size=(n, 3))), 3)


@pytest.mark.parametrize("change", ["cut", "empty", "text", "zip", "list", "bits"])
def test_what_is_damaged(change, numbers, tmp_path):
    data = skops.io.dumps({"estimator": fitted(DecisionTreeClassifier(), *numbers)})
    empty = io.BytesIO()
    zipfile.ZipFile(empty, "w").close()
    damaged = {
        "cut": data[: len(data) // 2],
        "empty": b"",
        "text": b"not a model",
        "zip": empty.getvalue(),
        "list": skops.io.dumps([1, 2]),
        "bits": data[:200] + b"\xff" * 50 + data[250:],
    }[change]
    (tmp_path / "model.skops").write_bytes(damaged)
    with pytest.raises(UserError, match=r"model\.skops cannot be read.*train the run anew") as said:
        saved.load_estimator(tmp_path / "model.skops")
    assert "\n" not in str(said.value)


def test_a_model_of_another_scikit_learn_is_read_and_named(numbers, tmp_path, caplog):
    data = skops.io.dumps({"estimator": fitted(DecisionTreeClassifier(), *numbers)})
    import sklearn

    older = rewritten(data, lambda text: text.replace(sklearn.__version__, "1.0.0"))
    (tmp_path / "model.skops").write_bytes(older)
    assert saved.load_estimator(tmp_path / "model.skops")["estimator"].n_features_in_ == 4
    assert "from version 1.0.0" in caplog.text


def test_no_trusted_name_is_left_over():
    for name in saved.TRUSTED:
        module, _, attribute = name.rpartition(".")
        assert hasattr(__import__(module, fromlist=[attribute]), attribute), name


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path):
    for name in ("model.skops", "model.joblib"):
        with pytest.raises(FileNotFoundError):
            saved.load_estimator(tmp_path / name)
