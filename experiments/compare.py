"""Candidates side by side on one task: the best of them, by how much and how surely.

Estimators for the tasks of one digit, and for the task number the models, each trained by the
recipe of quickstart, with `source=mnist` by that of composed. The splits share numbers, since cnn
reads none that it never saw; `numbers=disjoint` gives the splits of those experiments.

    python launch.py --mode=compare --config=experiments/compare.py
    python launch.py --mode=compare --config=experiments/compare.py:task=binary,source=mnist
    python launch.py --mode=compare --config=experiments/compare.py:task=pair,pair=3+8
    python launch.py --mode=compare --config=experiments/compare.py:learners=knn+svc+network
    python launch.py --mode=compare --config=experiments/compare.py:learners=all,train_limit=5000
    python launch.py --mode=compare \
      --config=experiments/compare.py:source=mnist,learners=random_forest+network,seeds=3
    python launch.py --mode=compare --config=experiments/compare.py:task=number

Any list of experiments can take the place of these: each is what stands behind --config=, with the
flags that change single values.

    python launch.py --mode=compare --config=experiments/compare.py --config.compare.experiments="(
      'experiments/classify.py:learner=knn',
      'experiments/classify.py:learner=knn --config.learner.parameters.n_neighbors=3')"

    python launch.py --mode=compare --config=experiments/compare.py --config.compare.experiments="(
      'experiments/composed.py', 'experiments/composed.py --config.optimizer.learning_rate=0.002')"
"""

from ml_collections import ConfigDict

from mnist3 import tasks
from mnist3.config import comparison, digits, parse_variants
from mnist3.data import sources
from mnist3.estimators import fits, names, train_limit
from mnist3.limits import require_known

TYPICAL = {
    "number": "logistic+cnn+multihead",
    "multiclass": "dummy+sgd+logistic_regression+knn+random_forest+extra_trees+svc+network",
    "binary": "dummy+sgd+logistic_regression+knn+random_forest+svc+network",
    "pair": "dummy+sgd+logistic_regression+knn+random_forest+svc+network",
    "multilabel": "dummy+sgd+knn+random_forest+classifier_chain+network",
    "denoise": "dummy+knn+extra_trees+network",
}
NUMBERS = {"digits": "experiments/quickstart.py", "mnist": "experiments/composed.py"}  # by source


def get_config(argument: str = "") -> ConfigDict:
    """Variants: `task`, `source` (digits, mnist), `learners` (joined by +) and those below."""
    variants = parse_variants(
        argument,
        task="multiclass",
        source="digits",
        digit=5,  # of the task binary
        pair=(3, 5),  # of the task pair, as in pair=3+8
        large=7,  # of the task multilabel: the smallest digit that counts as large
        noise=99,  # of the task denoise: the largest integer added to a pixel of 0-255
        numbers="shared",  # of the task number: shared | disjoint, which cnn cannot read
        learners="typical",  # typical of the task | all that fit it | names joined by +
        by="val",  # val | cross_validation
        # Most training images, of numbers an epoch; 0 = all, -1 = as many as each can do.
        train_limit=-1,
        seeds=1,  # fits of each candidate, in turns; of those that draw at random
    )
    config = comparison()
    config.compare.by = variants.by
    experiment = _numbers if variants.task == "number" else _one_digit
    config.compare.experiments = tuple(
        experiment(variants, name, seed)
        for seed in range(variants.seeds)
        for name in _candidates(variants).split("+")
    )
    return config


def _task(variants: ConfigDict) -> tasks.Task:
    section = digits(variants.source).task
    for name in ("digit", "pair", "large", "noise"):
        section[name] = variants[name]
    section.name = variants.task
    return tasks.create(section, sources.REGISTRY[variants.source].classes)


def _candidates(variants: ConfigDict) -> str:
    """Returns the names of the candidates, joined by +."""
    require_known("task.name", variants.task, tuple(TYPICAL))
    if variants.learners == "all" and variants.task != "number":
        task = _task(variants)
        return "+".join(name for name in names() if fits(name, task))
    if variants.learners in ("typical", "all"):
        return TYPICAL[variants.task]
    return variants.learners


def _numbers(variants: ConfigDict, name: str, seed: int) -> str:
    """Returns the experiment that trains a model to read numbers."""
    file = NUMBERS.get(variants.source, NUMBERS["digits"])
    text = f"{file}:model={name},numbers={variants.numbers}"
    if variants.source not in NUMBERS:
        text += f" --config.data.source={variants.source}"
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
    text = f"experiments/classify.py:task={variants.task},learner={name}"
    text += f"{own},source={variants.source},train_limit={_train_limit(variants, name)}"
    if variants.seeds > 1:
        text += f" --config.seed={seed}"
    return text


def _train_limit(variants: ConfigDict, name: str) -> int:
    """Returns the most training images of an estimator, 0 for all."""
    require_known("learner.name", name, names())
    able, limit = train_limit(name, _task(variants)), variants.train_limit
    if variants.by == "cross_validation":
        return 10_000 if limit < 0 else limit  # the same training images for all
    return able if limit < 0 else min(filter(None, (limit, able)), default=0)
