"""Candidates side by side on one task: the best of them, by how much and how surely.

Estimators for the tasks of one digit, and for the task number the models, each trained by the
recipe of quickstart, with `source=mnist` by that of composed. The splits share numbers, since cnn
reads none that it never saw; `numbers=disjoint` gives the splits of those experiments.

    python launch.py --mode=compare --config=experiments/compare.py
    python launch.py --mode=compare --config=experiments/compare.py:task=binary,source=mnist
    python launch.py --mode=compare --config=experiments/compare.py:task=pair,pair=3+8
    python launch.py --mode=compare --config=experiments/compare.py:estimators=knn+svc+flax
    python launch.py --mode=compare --config=experiments/compare.py:estimators=all,train_limit=5000
    python launch.py --mode=compare \
      --config=experiments/compare.py:source=mnist,estimators=random_forest+flax,seeds=3
    python launch.py --mode=compare --config=experiments/compare.py:task=number

Any list of experiments can take the place of these: each is what stands behind --config=, with the
flags that change single values.

    python launch.py --mode=compare --config=experiments/compare.py --config.compare.experiments="(
      'experiments/classify.py:estimator=knn',
      'experiments/classify.py:estimator=knn --config.estimator.parameters.n_neighbors=3')"

    python launch.py --mode=compare --config=experiments/compare.py --config.compare.experiments="(
      'experiments/composed.py', 'experiments/composed.py --config.optimizer.learning_rate=0.002')"
"""

from ml_collections import ConfigDict

from mnist3.config import base, parse_variants
from mnist3.estimators import fits, names, train_limit
from mnist3.tasks import create
from mnist3.validation import require_choices

TYPICAL = {
    "number": "logistic+cnn+multihead",
    "multiclass": "dummy+sgd+logistic_regression+knn+random_forest+extra_trees+svc+flax",
    "binary": "dummy+sgd+logistic_regression+knn+random_forest+svc+flax",
    "pair": "dummy+sgd+logistic_regression+knn+random_forest+svc+flax",
    "multilabel": "dummy+sgd+knn+random_forest+classifier_chain+flax",
    "denoise": "dummy+knn+extra_trees+flax",
}
NUMBERS = {"digits": "experiments/quickstart.py", "mnist": "experiments/composed.py"}  # by source


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
        numbers="shared",  # of the task number: shared | disjoint, which cnn cannot read
        estimators="typical",  # typical of the task | all that fit it | names joined by +
        by="val",  # val | cross_validation
        train_limit=-1,  # most training images, of numbers an epoch; 0 = all, -1 = as many as able
        seeds=1,  # fits of each candidate, in turns; of those that draw at random
    )
    config = base()
    config.data.source = variants.source
    config.task.name = variants.task
    require_choices(config)
    variants.kind = create(config.task).kind
    experiment = _numbers if variants.kind == "number" else _one_digit
    experiments = [
        experiment(variants, name, seed)
        for seed in range(variants.seeds)
        for name in _entered(variants).split("+")
    ]
    config = base()
    config.compare.by = variants.by
    config.compare.experiments = tuple(experiments)
    return config


def _entered(variants: ConfigDict) -> str:
    """Returns the names of the candidates, joined by +."""
    if variants.estimators == "all" and variants.kind != "number":
        return "+".join(name for name in names() if fits(name, variants.kind))
    if variants.estimators in ("typical", "all"):
        return TYPICAL[variants.task]
    return variants.estimators


def _numbers(variants: ConfigDict, name: str, seed: int) -> str:
    """Returns the experiment that trains a model to read numbers."""
    text = f"{NUMBERS[variants.source]}:model={name},numbers={variants.numbers}"
    if variants.train_limit > 0:
        text += f" --config.data.train_examples={variants.train_limit}"
    return f"{text} --config.seed={seed}" if variants.seeds > 1 else text


def _one_digit(variants: ConfigDict, name: str, seed: int) -> str:
    """Returns the experiment that fits an estimator to a task of one digit."""
    own = {  # what each task looks at besides the digit
        "binary": f",digit={variants.digit}",
        "pair": f",pair={'+'.join(map(str, variants.pair))}",
        "multilabel": f",large={variants.large}",
        "denoise": f",noise={variants.noise}",
    }.get(variants.task, "")
    text = f"experiments/classify.py:task={variants.task},estimator={name}"
    text += f"{own},source={variants.source},train_limit={_train_limit(variants, name)}"
    if variants.seeds > 1:
        text += f" --config.estimator.parameters.random_state={seed}"
    return text


def _train_limit(variants: ConfigDict, name: str) -> int:
    """Returns the most training images of an estimator, 0 for all."""
    able, limit = train_limit(name, variants.kind), variants.train_limit
    if variants.by == "cross_validation":
        return 10_000 if limit < 0 else limit  # the same training images for all
    return able if limit < 0 else min(filter(None, (limit, able)), default=0)
