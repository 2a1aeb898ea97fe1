"""Estimators side by side on one task: the best of them, by how much and how surely.

    python launch.py --mode=compare --config=experiments/compare.py
    python launch.py --mode=compare --config=experiments/compare.py:task=binary,source=mnist
    python launch.py --mode=compare --config=experiments/compare.py:task=pair,pair=3+8
    python launch.py --mode=compare --config=experiments/compare.py:estimators=knn+svc+flax
    python launch.py --mode=compare --config=experiments/compare.py:estimators=all,train_limit=5000
    python launch.py --mode=compare \
      --config=experiments/compare.py:source=mnist,estimators=random_forest+flax,seeds=3

Any list of experiments can take the place of these: each is what stands behind --config=, with the
flags that change single values.

    python launch.py --mode=compare --config=experiments/compare.py --config.compare.experiments="(
      'experiments/classify.py:estimator=knn',
      'experiments/classify.py:estimator=knn --config.estimator.parameters.n_neighbors=3')"
"""

from ml_collections import ConfigDict

from mnist3.config import base, parse_variants
from mnist3.estimators import fits, names, train_limit
from mnist3.tasks import create
from mnist3.validation import require_choices

TYPICAL = {
    "multiclass": "dummy+sgd+logistic_regression+knn+random_forest+extra_trees+svc+flax",
    "binary": "dummy+sgd+logistic_regression+knn+random_forest+svc+flax",
    "pair": "dummy+sgd+logistic_regression+knn+random_forest+svc+flax",
    "multilabel": "dummy+sgd+knn+random_forest+classifier_chain+flax",
    "denoise": "dummy+knn+extra_trees+flax",
}


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `task`, `source` (digits, mnist), `estimators` (joined by +) and those below."""
    variants = parse_variants(
        argument,
        task="multiclass",
        source="digits",
        digit=5,  # of the task binary
        pair=(3, 5),  # of the task pair, as in pair=3+8
        large=7,  # of the task multilabel: the smallest digit that counts as large
        noise=99,  # of the task denoise: the largest integer added to a pixel of 0-255
        estimators="typical",  # typical of the task | all that fit it | names joined by +
        by="val",  # val | cross_validation
        train_limit=-1,  # most training images, 0 = all; -1 = as many as each estimator can do
        seeds=1,  # fits of each estimator, in turns; of those that draw at random
    )
    config = base()
    config.task.name = variants.task
    require_choices(config)
    kind = create(config.task).kind
    entered = {
        "typical": TYPICAL.get(variants.task, "flax"),
        "all": "+".join(name for name in names() if fits(name, kind)),
    }.get(variants.estimators, variants.estimators)
    own = {  # what each task looks at besides the digit
        "binary": f",digit={variants.digit}",
        "pair": f",pair={'+'.join(map(str, variants.pair))}",
        "multilabel": f",large={variants.large}",
        "denoise": f",noise={variants.noise}",
    }.get(variants.task, "")
    limit = variants.train_limit
    if limit < 0 and variants.by == "cross_validation":
        limit = 10_000  # the same training images for all
    experiments = []
    for seed in range(variants.seeds):
        for name in entered.split("+"):
            able = train_limit(name, kind)
            if limit < 0:
                most = able
            elif variants.by == "cross_validation":
                most = limit
            else:
                most = min(filter(None, (limit, able)), default=0)
            text = f"experiments/classify.py:task={variants.task},estimator={name}"
            text += f"{own},source={variants.source},train_limit={most}"
            if variants.seeds > 1:
                text += f" --config.estimator.parameters.random_state={seed}"
            experiments.append(text)
    config = base()
    config.compare.by = variants.by
    config.compare.experiments = tuple(experiments)
    return config
