"""One task of digit images with one estimator: any pair of the two tables.

    python launch.py --config=experiments/classify.py:task=binary,estimator=sgd
    python launch.py --config=experiments/classify.py:task=multiclass,estimator=knn,source=mnist \
      --config.estimator.parameters.n_neighbors=4
    python launch.py --config=experiments/classify.py:estimator=svc,search=grid \
      --config.search.grid.C="(1.0, 10.0)"

Without files it takes the embedded digits. Estimators that do not scale get part of the training
images, unless `train_limit` says otherwise.
"""

from ml_collections import ConfigDict, config_dict

from mnist3.config import one_digit, parse_variants
from mnist3.estimators import defaults, fits, train_limit
from mnist3.tasks import create
from mnist3.validation import require_choices

GRIDS = {
    "flax": {"learning_rate": (0.003, 0.006, 0.012)},
    "sgd": {"alpha": (1e-4, 1e-3, 1e-2)},
    "logistic_regression": {"C": (0.01, 0.1, 1.0)},
    "svc": {"C": (1.0, 10.0), "gamma": ("scale", "auto")},
    "linear_svc": {"C": (1e-4, 1e-3, 1e-2)},
    "knn": {"n_neighbors": (3, 4, 5, 6), "weights": ("uniform", "distance")},
    "decision_tree": {"max_depth": (8, 12, None), "min_samples_leaf": (1, 4)},
    "random_forest": {"max_features": ("sqrt", 0.1), "min_samples_leaf": (1, 2)},
    "extra_trees": {"max_features": ("sqrt", 0.1), "min_samples_leaf": (1, 2)},
    "gradient_boosting": {"learning_rate": (0.1, 0.3)},
    "mlp": {"alpha": (1e-4, 1e-2), "hidden_layer_sizes": ((100,), (200,))},
}


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `task`, `estimator`, `source` and those below."""
    variants = parse_variants(
        argument,
        task="multiclass",
        estimator="flax",
        source="digits",  # digits | mnist
        digit=5,  # of the task binary
        pair=(3, 5),  # of the task pair, as in pair=3+8
        large=7,  # of the task multilabel: the smallest digit that counts as large
        noise=99,  # of the task denoise: the largest integer added to a pixel of 0-255
        search="none",  # none | grid | random | halving
        scale=0,  # 1 = StandardScaler first
        train_limit=-1,  # training images, 0 = all; -1 = as many as the estimator can do
        shifted=0,  # 1 = also train on copies moved by a pixel, five times the images
        val_fraction=1 / 12,  # of the images that are not test: 5,000 of MNIST
    )
    config = one_digit(variants.source)
    config.data.val_fraction = variants.val_fraction
    config.data.shifted_copies = bool(variants.shifted)
    config.task.name = variants.task
    for name in ("digit", "pair", "large", "noise"):
        config.task[name] = variants[name]
    config.estimator.name = variants.estimator
    config.estimator.scale = bool(variants.scale)
    config.search.method = variants.search
    require_choices(config)
    kind = create(config.task).kind
    limit = variants.train_limit
    config.data.train_limit = train_limit(variants.estimator, kind) if limit < 0 else limit
    if fits(variants.estimator, kind):
        for name, value in defaults(variants.estimator, kind).items():
            open_value = config_dict.placeholder(object) if value is None else value
            config.estimator.parameters[name] = open_value
            config.search.grid[name] = GRIDS.get(variants.estimator, {}).get(name, ())
    return config
