"""One task of digit images with one learner: any pair of the two tables.

    python launch.py --config=experiments/classify.py:task=binary,learner=sgd
    python launch.py --config=experiments/classify.py:task=multiclass,learner=knn,source=mnist \
      --config.learner.parameters.n_neighbors=4
    python launch.py --config=experiments/classify.py:learner=svc,search=grid \
      --config.search.grid.C="(1.0, 10.0)"

Without files it takes the embedded digits. Estimators that do not scale get part of the training
images, unless `train_limit` says otherwise.
"""

from ml_collections import ConfigDict, config_dict

from mnist3 import tasks
from mnist3.config import NETWORK, digits, parse_variants, small_network
from mnist3.data import sources
from mnist3.estimators import defaults, fits, names, train_limit
from mnist3.limits import require_known
from mnist3.validation import require_choices

GRIDS = {
    NETWORK: {"learning_rate": (0.003, 0.006, 0.012)},
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
    """Variants: `task`, `learner`, `source` and those below."""
    variants = parse_variants(
        argument,
        task="multiclass",
        learner=NETWORK,
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
    require_known("learner.name", variants.learner, names())
    config = digits(variants.source, variants.learner)
    config.data.val_fraction = variants.val_fraction
    config.data.shifted_copies = bool(variants.shifted)
    config.task.name = variants.task
    for name in ("digit", "pair", "large", "noise"):
        config.task[name] = variants[name]
    config.search.method = variants.search
    require_choices(config)
    task = tasks.create(config.task, sources.REGISTRY[variants.source].classes)
    limit = variants.train_limit
    config.data.train_limit = train_limit(variants.learner, task) if limit < 0 else limit
    grid = GRIDS.get(variants.learner, {})
    if variants.learner == NETWORK:
        small_network(config, "denoiser" if task.model_output == "images" else "cnn")
        config.search.grid.update(grid)
        return config
    config.learner.scale = bool(variants.scale)
    if fits(variants.learner, task):
        for name, value in defaults(variants.learner, task).items():
            open_value = config_dict.placeholder(object) if value is None else value
            config.learner.parameters[name] = open_value
            config.search.grid[name] = grid.get(name, ())
    return config
