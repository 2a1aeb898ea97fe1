"""What a config may hold: types, choices, ranges, and what goes with what."""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3 import tasks
from mnist3.config import KINDS, NETWORK, OPEN, fields, search_method, seeds_of
from mnist3.data import dataset, sources
from mnist3.data.numbers import digit_range
from mnist3.errors import UserError, nearest
from mnist3.limits import (
    choices_of_networks,
    require_known,
    require_model,
    require_range,
    require_type,
)
from mnist3.training.population import likeness

_CHECKED_ELSEWHERE = ("model.", "seeds", "population.")
_WORDS = {  # fields whose values are not entries of a registry
    "data.numbers": ("shared", "disjoint"),
    "data.digit_images": ("shared", "disjoint"),
    "data.composition.ink": ("max", "sum", "over"),
    "search.method": ("none", "grid", "random", "halving"),
    "compare.by": ("val", "cross_validation"),
    "wandb.mode": ("auto", "online", "offline", "disabled"),
}


def choices(kind: str) -> Mapping[str, Sequence[str]]:
    """Returns the names that each field of a kind of run may have, but for its learner."""
    return {
        **_WORDS,
        **choices_of_networks(),
        "data.name": tuple(dataset.REGISTRY),
        "data.source": tuple(sources.REGISTRY),
        "task.name": tuple(name for name, each in tasks.REGISTRY.items() if each.kind == kind),
    }


def require_choices(config: ConfigDict) -> None:
    """Checks every value that is one of a few words.

    Raises:
        UserError: names the first field whose value is none of them and the one it looks like.
    """
    values = dict(fields(config))
    for name, known in choices(config.kind).items():
        if name in values:
            require_known(name, values[name], known)
    if "learner.name" in values:
        _require_learner(values["learner.name"])


def _require_learner(name: str) -> None:
    if name != NETWORK:
        from mnist3.estimators import registry  # scikit-learn takes seconds to import

        require_known("learner.name", name, registry.names())


def validate(config: ConfigDict) -> None:
    """Checks that a config has the fields of its kind, and values that they take.

    Raises:
        UserError: names the first field that is missing, unknown or has a value that cannot be
            used, and what it may be.
    """
    require_known("kind", config.get("kind", ""), KINDS)
    if "learner" in config and "name" in config.learner:
        _require_learner(config.learner.name)
    reference = configs.reference(config)
    values, defaults = dict(fields(config)), dict(fields(reference))
    for name in values.keys() - defaults.keys():
        if name.startswith("population."):
            raise UserError(configs.fixed_text(name.removeprefix("population.")))
        if not _takes_any(name, reference):
            raise UserError(
                f"unknown config key config.{name}; did you mean "
                f"config.{nearest(name, list(defaults))}?"
            )
    for name, default in defaults.items():
        if name not in values:
            raise UserError(
                f"config.{name} is missing, which a run of kind {config.kind} reads; begin with "
                f"mnist3.config.{config.kind}()."
            )
        if not name.startswith(_CHECKED_ELSEWHERE):
            require_type(name, values[name], default)
    require_choices(config)
    for name, value in values.items():
        if not name.startswith(_CHECKED_ELSEWHERE):
            require_range(name, value)
    if "seeds" in config:
        _require_seeds(config)
        _require_population(config)
    for section, check in _CHECKS.items():
        if section in config:
            check(config)


def _takes_any(name: str, reference: ConfigDict) -> bool:
    """Tells whether a field is of a section that takes any, and that the reference has."""
    for prefix in OPEN:
        section, inner, _ = prefix.split(".")
        if name.startswith(prefix):
            return inner in reference.get(section, {})
    return False


def _require_seeds(config: ConfigDict) -> None:
    value = config.seeds
    each = value if isinstance(value, tuple) else (value,)
    if not each or any(type(item) is not int for item in each) or len(set(each)) < len(each):
        raise UserError(
            f"config.seeds is {value!r}; give how many replicates to train, as in "
            '--config.seeds=8, or the seed of each, as in --config.seeds="(0, 1, 2)".'
        )
    if isinstance(value, tuple) and len(value) == 1:
        raise UserError(
            f"config.seeds={value!r} names the seed of a single run; set config.seed={value[0]} "
            "and config.seeds=1."
        )
    if not isinstance(value, tuple) and value < 1:
        raise UserError(f"config.seeds is {value}; give at least 1.")
    for seed in seeds_of(config):
        require_range("seed", seed)
    method = search_method(config)
    if len(seeds_of(config)) > 1 and method != "none":
        raise UserError(
            f"config.search.method={method} searches the settings of one run; search with "
            "config.seeds=1, then train the replicates with what it found."
        )


def _require_population(config: ConfigDict) -> None:
    population = configs.population_of(config)
    for name, values in population.items():
        if not isinstance(values, tuple) or len(set(values)) < len(values):
            raise UserError(
                f"config.population.{name} is {values!r}; give one value a candidate, none twice, "
                f'as in --config.population.optimizer.learning_rate="(0.001, 0.002)".'
            )
    if not population:
        return
    method = search_method(config)
    if method != "none":
        raise UserError(
            f"config.search.method={method} searches the settings of one run, and "
            "config.population trains several; leave one of them out."
        )
    every = configs.candidates_of(config)
    for candidate in every.values():
        validate(candidate)
    kinds = {name: likeness(each) for name, each in every.items()}
    (first, like), *others = kinds.items()
    for name, other in others:
        if other != like:
            raise UserError(
                f"the candidates {first} and {name} of config.population cannot train in one "
                "program, as a value of 0 leaves out what the others need; leave the 0 out, or "
                "compare the two with --mode=compare."
            )


def _require_learners(config: ConfigDict) -> None:
    if config.kind != "table":
        return
    from mnist3.estimators import registry

    known = registry.names_of_tables()
    require_known("compare.learners", config.compare.learners, known)
    if not config.compare.learners:
        raise UserError(f"config.compare.learners is empty; give some of {', '.join(known)}.")


def _require_network(config: ConfigDict) -> None:
    if config.learner.name != NETWORK and config.kind == "numbers":
        raise UserError(
            f"config.learner.name={config.learner.name} does not fit the task {config.task.name}, "
            "which networks alone read; set config.learner.name=network or run an experiment such "
            "as experiments/classify.py."
        )


def _require_data(config: ConfigDict) -> None:
    if config.kind == "digits" and (config.data.digits != 1 or config.data.name == "composed"):
        raise UserError(
            f"config.data.name={config.data.name} with {config.data.digits} digits an image is not "
            "for runs of kind digits; set config.data.name=single_digit and config.data.digits=1."
        )
    if config.data.get("shifted_copies") and config.search.method != "none":
        raise UserError(
            f"config.data.shifted_copies would put copies of one image into several folds of "
            f"config.search.method={config.search.method}; search without copies."
        )
    if config.data.get("name") == "single_digit" and config.data.digits != 1:
        raise UserError(
            f"config.data.name=single_digit holds one digit an image but config.data.digits is "
            f"{config.data.digits}; set it to 1 or choose config.data.name=composed."
        )


def _require_model(config: ConfigDict) -> None:
    if config.kind == "table":
        return
    task = tasks.REGISTRY[config.task.name]
    classes = len(sources.REGISTRY[config.data.source].classes)
    most = digit_range(config.data.digits)[1]
    require_model(config, most, classes, config.task.name, task.model_output)
    if config.model.members > 1 and not task.softmax:
        raise UserError(
            f"config.model.members is {config.model.members}, but the task {config.task.name} has "
            "no probabilities of classes to average; set it to 1."
        )
    if config.evaluation.shift and not task.reads_views:
        raise UserError(
            f"config.evaluation.shift is {config.evaluation.shift}, but the task "
            f"{config.task.name} has no probabilities of classes to average; set it to 0."
        )


_CHECKS = {
    "compare": _require_learners,
    "task": _require_network,
    "data": _require_data,
    "model": _require_model,
}
