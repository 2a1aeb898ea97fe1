"""Estimators by name: scikit-learn's own and the networks, for the tasks that each fits.

Several labels are native to dummy, knn, trees, forests, mlp and network; the others but the two
wrappers get one estimator a label. Images without noise have an output a pixel: knn votes for its
grey level, as textbooks do it, and the others estimate it, for which dummy, trees, forests and mlp
change to their regressors. `svc_ovo` and `svc_ovr` are of several classes alone: of two they would
be `svc`. `classifier_chain` is a chain of SVCs over labels.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict
from sklearn import dummy, ensemble, linear_model, multiclass, multioutput, neighbors, svm, tree
from sklearn import neural_network as networks
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mnist3.config import NETWORK
from mnist3.errors import UserError, nearest
from mnist3.estimators.flax_denoiser import FlaxDenoiser
from mnist3.estimators.flax_estimator import FlaxClassifier
from mnist3.tasks import Task

Make = Callable[[], BaseEstimator]


@dataclasses.dataclass(frozen=True)
class Entry:
    """An estimator, and what it can learn.

    Attributes:
        classifier: makes one of classes; None if it has none.
        label_classifier: makes one of several labels.
        pixel_regressor: makes one of pixels.
        two_classes: whether the classifier is for two classes as well as for more.
        train_limit: training images beyond which a fit takes minutes on two cores; 0 for none.
        pixel_train_limit: the same where there is an output a pixel.
        of_tables: whether it is for tables too.
    """

    classifier: Make | None
    label_classifier: Make | None = None
    pixel_regressor: Make | None = None
    two_classes: bool = True
    train_limit: int = 0
    pixel_train_limit: int = 0
    of_tables: bool = False


def _native(classifier: Make, pixel_regressor: Make, **rest: Any) -> Entry:
    """Returns an estimator that learns several labels by itself, and pixels."""
    return Entry(classifier, classifier, pixel_regressor, **rest)


def _single(classifier: Make, **rest: Any) -> Entry:
    """Returns an estimator of which there is one a label, where there are several."""
    return Entry(classifier, functools.partial(_one_a_label, classifier), **rest)


def _one_a_label(classifier: Make) -> BaseEstimator:
    return multioutput.MultiOutputClassifier(classifier(), n_jobs=-1)


SLOW = 10_000  # training images of support vector machines

REGISTRY: dict[str, Entry] = {
    NETWORK: _native(FlaxClassifier, FlaxDenoiser, of_tables=True),
    "dummy": _native(dummy.DummyClassifier, dummy.DummyRegressor),
    "sgd": _single(linear_model.SGDClassifier),
    "logistic_regression": _single(linear_model.LogisticRegression, of_tables=True),
    "svc": _single(svm.SVC, train_limit=SLOW),
    "svc_ovo": Entry(
        lambda: multiclass.OneVsOneClassifier(svm.SVC()), two_classes=False, train_limit=SLOW
    ),
    "svc_ovr": Entry(
        lambda: multiclass.OneVsRestClassifier(svm.SVC()), two_classes=False, train_limit=SLOW
    ),
    "linear_svc": _single(svm.LinearSVC, train_limit=SLOW),
    "knn": _native(neighbors.KNeighborsClassifier, neighbors.KNeighborsClassifier),
    "decision_tree": _native(
        tree.DecisionTreeClassifier,
        tree.DecisionTreeRegressor,
        pixel_train_limit=5_000,
        of_tables=True,
    ),
    "random_forest": _native(
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        pixel_train_limit=500,
        of_tables=True,
    ),
    "extra_trees": _native(
        ensemble.ExtraTreesClassifier, ensemble.ExtraTreesRegressor, pixel_train_limit=2_000
    ),
    "gradient_boosting": _single(ensemble.HistGradientBoostingClassifier, of_tables=True),
    "mlp": _native(networks.MLPClassifier, networks.MLPRegressor),
    "classifier_chain": Entry(
        None, lambda: multioutput.ClassifierChain(svm.SVC()), train_limit=SLOW
    ),
}
_WITHOUT_EFFECT = {"logistic_regression": ("n_jobs",)}  # deprecated there


def names() -> tuple[str, ...]:
    """Returns the names of all learners."""
    return tuple(REGISTRY)


def names_of_tables() -> tuple[str, ...]:
    """Returns the names of the learners of tables."""
    return tuple(name for name, entry in REGISTRY.items() if entry.of_tables)


def fits(name: str, task: Task) -> bool:
    """Tells whether a learner can do a task."""
    return task.estimator(REGISTRY[name]) is not None


def train_limit(name: str, task: Task) -> int:
    """Returns how many training images to give a learner that does not scale; 0 for all."""
    return task.train_limit(REGISTRY[name])


def defaults(name: str, task: Task) -> dict[str, Any]:
    """Returns the parameters that `config.learner.parameters` may set, with their defaults.

    Of the wrappers and the chain, the SVC's parameters follow their own. Those that scikit-learn
    is about to drop are left out, and so are those that the task says.

    Args:
        name: of the estimator, one of `names()`.
        task: that it is for.
    """
    estimator = task.estimator(REGISTRY[name])
    if estimator is None:
        return {}
    if isinstance(estimator, multioutput.MultiOutputClassifier):
        estimator = estimator.estimator
    parameters = estimator.get_params(deep=False)
    inner = parameters.pop("estimator", None)
    parameters |= {} if inner is None else inner.get_params() | parameters
    return {
        parameter: default
        for parameter, default in parameters.items()
        if parameter not in task.estimator_parameters()
        and not (isinstance(default, str) and default == "deprecated")
    }


def parameter_name(
    estimator: BaseEstimator, name: str, section: str = "config.learner.parameters"
) -> str:
    """Returns what `set_params` of an estimator calls a parameter: C may be estimator__C.

    Args:
        estimator: what `create` returned.
        name: of a parameter, as in `defaults`.
        section: where the name stands in the config, for the error.

    Raises:
        UserError: if neither the estimator nor one within it has the parameter.
    """
    known = estimator.get_params()
    found = [key for key in known if key == name or key.endswith(f"__{name}")]
    if not found:
        own = sorted({key.rpartition("__")[2] for key in known})
        raise UserError(
            f"{section}.{name} is no parameter of this estimator; did you mean "
            f"{nearest(name, own)}?"
        )
    return min(found, key=lambda key: key.count("__"))


def create(config: ConfigDict, task: Task, seed: int) -> BaseEstimator:
    """Returns the estimator that a config's section `learner` describes, not yet fitted.

    Every estimator that draws at random gets the seed, and one that can share its work among cores
    gets all of them, unless the parameters say otherwise; None there says nothing. A text that is a
    number is taken for it, since a parameter such as gamma may be either. The 45 pairwise scores of
    ten digits come from the `decision_function` of svc with `decision_function_shape="ovo"`.

    Args:
        config: the section `learner` of a config: name, parameters and scale.
        task: which the estimator is for.
        seed: for `random_state`.

    Raises:
        UserError: if the estimator does not fit the task or does not have a parameter.
    """
    estimator = task.estimator(REGISTRY[config.name])
    if estimator is None:
        fitting_names = [name for name in names() if fits(name, task)]
        raise UserError(
            f"config.learner.name={config.name} does not fit the task {task.name}; "
            f"those that do are {', '.join(fitting_names)}."
        )
    given = {
        parameter_name(estimator, name): _number(value) for name, value in config.parameters.items()
    }
    ours = {"random_state": seed, "n_jobs": -1, **task.estimator_parameters()}
    for path in estimator.get_params():
        name = path.rpartition("__")[2]
        if name in ours and name not in _WITHOUT_EFFECT.get(config.name, ()):
            given[path] = ours[name] if given.get(path) is None else given[path]
    try:
        estimator.set_params(**given)
    except ValueError as error:
        raise UserError(f"config.learner.parameters cannot be used: {error}") from error
    if config.scale:
        estimator = Pipeline([("scaler", StandardScaler()), ("estimator", estimator)])
    return estimator


def _number(value: Any) -> Any:
    """Returns the number that a text is, or else the value itself."""
    for kind in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return kind(value)
    return value
