"""Estimators side by side on one task: the best of them, by how much and how surely.

    python launch.py --mode=compare --config=experiments/compare.py
    python launch.py --mode=compare --config=experiments/compare.py:task=binary,source=mnist
    python launch.py --mode=compare --config=experiments/compare.py:estimators=knn+svc+flax

Any list of experiments can take the place of these: each is what stands behind --config=, with the
flags that change single values.

    python launch.py --mode=compare --config=experiments/compare.py --config.compare.experiments="(
      'experiments/classify.py:estimator=knn',
      'experiments/classify.py:estimator=knn --config.estimator.parameters.n_neighbors=3')"
"""

from ml_collections import ConfigDict

from mnist3.config import base, parse_variants

TYPICAL = {
    "multiclass": "dummy+sgd+logistic_regression+knn+random_forest+extra_trees+svc+flax",
    "binary": "dummy+sgd+logistic_regression+knn+random_forest+svc+flax",
    "pair": "dummy+sgd+logistic_regression+knn+random_forest+svc+flax",
    "multilabel": "dummy+sgd+knn+random_forest+classifier_chain+flax",
    "denoise": "dummy+knn+extra_trees+flax",
}


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `task`, `source` (digits, mnist), `estimators` (joined by +), `by`."""
    variants = parse_variants(
        argument,
        task="multiclass",
        source="digits",
        estimators="",  # those that are typical of the task
        by="val",  # val | cross_validation
    )
    names = variants.estimators or TYPICAL.get(variants.task, "flax")
    # Cross-validation needs the same training images for all.
    limit = ",train_limit=10000" if variants.by == "cross_validation" else ""
    config = base()
    config.compare.by = variants.by
    config.compare.experiments = tuple(
        f"experiments/classify.py:task={variants.task},estimator={name},source={variants.source}"
        f"{limit}"
        for name in names.split("+")
    )
    return config
