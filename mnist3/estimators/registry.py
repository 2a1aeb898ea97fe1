"""Estimators by name: scikit-learn's own and the Flax models, for the tasks that each fits.

`multilabel` is native to dummy, knn, trees, forests, mlp and flax; the others but the two wrappers
get one estimator a label. `denoise` has an output a pixel: knn votes for its grey level, as
textbooks do it, and the others estimate it, for which dummy, trees, forests and mlp change to their
regressors. `svc_ovo` and `svc_ovr` are of several classes alone: of two they would be `svc`.
`classifier_chain` is a chain of SVCs over labels. `number` is of the main job.
"""

import contextlib
import difflib
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict
from sklearn import dummy, ensemble, linear_model, multiclass, multioutput, neighbors, svm, tree
from sklearn import neural_network as networks
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from mnist3.errors import UserError
from mnist3.estimators.flax_denoiser import FlaxDenoiser
from mnist3.estimators.flax_estimator import FlaxClassifier
from mnist3.tasks import Task

_CLASSES = ("multiclass", "binary")
_LABELS = (*_CLASSES, "multilabel")
_ALL = (*_LABELS, "denoise")

_CLASSIFIERS: dict[str, Callable[[], BaseEstimator]] = {
    "flax": FlaxClassifier,
    "dummy": dummy.DummyClassifier,
    "sgd": linear_model.SGDClassifier,
    "logistic_regression": linear_model.LogisticRegression,
    "svc": svm.SVC,
    "svc_ovo": lambda: multiclass.OneVsOneClassifier(svm.SVC()),
    "svc_ovr": lambda: multiclass.OneVsRestClassifier(svm.SVC()),
    "linear_svc": svm.LinearSVC,
    "knn": neighbors.KNeighborsClassifier,
    "decision_tree": tree.DecisionTreeClassifier,
    "random_forest": ensemble.RandomForestClassifier,
    "extra_trees": ensemble.ExtraTreesClassifier,
    "gradient_boosting": ensemble.HistGradientBoostingClassifier,
    "mlp": networks.MLPClassifier,
    "classifier_chain": lambda: multioutput.ClassifierChain(svm.SVC()),
}
_DENOISERS: dict[str, Callable[[], BaseEstimator]] = {
    "flax": FlaxDenoiser,
    "dummy": dummy.DummyRegressor,
    "knn": neighbors.KNeighborsClassifier,
    "decision_tree": tree.DecisionTreeRegressor,
    "random_forest": ensemble.RandomForestRegressor,
    "extra_trees": ensemble.ExtraTreesRegressor,
    "mlp": networks.MLPRegressor,
}
_KINDS = dict.fromkeys(_CLASSIFIERS, _LABELS) | {
    **dict.fromkeys(_DENOISERS, _ALL),
    "flax": (*_ALL, "number"),
    "svc_ovo": ("multiclass",),
    "svc_ovr": ("multiclass",),
    "classifier_chain": ("multilabel",),
}
_ONE_A_LABEL = ("sgd", "logistic_regression", "svc", "linear_svc", "gradient_boosting")
_WITHOUT_EFFECT = {"logistic_regression": ("n_jobs",)}  # deprecated there

# Training images beyond which a fit takes minutes on two cores.
_TRAIN_LIMITS = {
    "svc": 10_000,
    "svc_ovo": 10_000,
    "svc_ovr": 10_000,
    "classifier_chain": 10_000,
    "linear_svc": 10_000,
}
_DENOISE_TRAIN_LIMITS = {"decision_tree": 5_000, "random_forest": 500, "extra_trees": 2_000}


def names() -> tuple[str, ...]:
    """Returns the names of all estimators."""
    return tuple(_CLASSIFIERS)


def fits(name: str, kind: str) -> bool:
    """Tells whether an estimator can do tasks of a kind.

    Args:
        name: of the estimator, one of `names()`.
        kind: of the task, as `Task.kind`.
    """
    return kind in _KINDS[name]


def train_limit(name: str, kind: str) -> int:
    """Returns how many training images to give an estimator that does not scale; 0 for all."""
    limits = _DENOISE_TRAIN_LIMITS if kind == "denoise" else _TRAIN_LIMITS
    return limits.get(name, 0)


def defaults(name: str, kind: str = "multiclass") -> dict[str, Any]:
    """Returns the parameters that `config.estimator.parameters` may set, with their defaults.

    Of the wrappers and the chain, the SVC's parameters follow their own. Those that scikit-learn
    is about to drop are left out, and so is the noise of FlaxDenoiser, which the task says.

    Args:
        name: of the estimator, one of `names()`.
        kind: of the task; for denoise some names stand for a regressor.
    """
    estimator = (_DENOISERS if kind == "denoise" else _CLASSIFIERS)[name]()
    parameters = estimator.get_params(deep=False)
    inner = parameters.pop("estimator", None)
    parameters |= {} if inner is None else inner.get_params() | parameters
    noise = {"noise"} if kind == "denoise" else set()
    return {
        parameter: default
        for parameter, default in parameters.items()
        if parameter not in noise and not (isinstance(default, str) and default == "deprecated")
    }


def parameter_name(
    estimator: BaseEstimator, name: str, section: str = "config.estimator.parameters"
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
        nearest = difflib.get_close_matches(name, own, n=1, cutoff=0.0)[0]
        raise UserError(
            f"{section}.{name} is no parameter of this estimator; did you mean {nearest}?"
        )
    return min(found, key=lambda key: key.count("__"))


def create(config: ConfigDict, task: Task, seed: int) -> BaseEstimator:
    """Returns the estimator that a config's section `estimator` describes, not yet fitted.

    Every estimator that draws at random gets the seed, and one that can share its work among cores
    gets all of them, unless the parameters say otherwise; None there says nothing. A text that is a
    number is taken for it, since a parameter such as gamma may be either. The 45 pairwise scores of
    ten digits come from the `decision_function` of svc with `decision_function_shape="ovo"`, and
    from `scores.pairwise` for svc_ovo.

    Args:
        config: the section `estimator` of a config.
        task: which the estimator is for.
        seed: for `random_state`.

    Raises:
        UserError: if the estimator does not fit the task or does not have a parameter.
    """
    if not fits(config.name, task.kind) or task.kind == "number":
        fitting_names = [name for name in names() if fits(name, task.kind)]
        raise UserError(
            f"config.estimator.name={config.name} does not fit the task {task.name}; "
            f"those that do are {', '.join(fitting_names)}."
            if task.kind != "number"
            else "the task number is not for estimators; it is what --mode=train does with "
            "config.estimator.name=flax."
        )
    table = _DENOISERS if task.kind == "denoise" else _CLASSIFIERS
    estimator = table[config.name]()
    given = {
        parameter_name(estimator, name): _number(value) for name, value in config.parameters.items()
    }
    ours = {"random_state": seed, "n_jobs": -1}
    if config.name == "flax" and task.kind == "denoise":
        ours["noise"] = task.noise
    for path in estimator.get_params():
        name = path.rpartition("__")[2]
        if name in ours and name not in _WITHOUT_EFFECT.get(config.name, ()):
            given[path] = ours[name] if given.get(path) is None else given[path]
    try:
        estimator.set_params(**given)
    except ValueError as error:
        raise UserError(f"config.estimator.parameters cannot be used: {error}") from error
    if task.kind == "multilabel" and config.name in _ONE_A_LABEL:
        estimator = multioutput.MultiOutputClassifier(estimator, n_jobs=-1)
    if config.scale:
        estimator = Pipeline([("scale", StandardScaler()), ("estimator", estimator)])
    return estimator


def _number(value: Any) -> Any:
    """Returns the number that a text is, or else the value itself."""
    for kind in (int, float) if isinstance(value, str) else ():
        with contextlib.suppress(ValueError):
            return kind(value)
    return value
