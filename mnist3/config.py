"""The configs that experiments start from, one a kind of run, their variants, and their JSON text.

An experiment is a file with `get_config(argument)`: it takes the config of its kind from here,
changes what differs, and returns it. The flags `--config.section.field=value` then change single
values for one run. A config has the sections that its kind reads and no others:

- `numbers`, a network that reads K digits of an image: data, task, learner, model, optimizer,
  training, augmentation, evaluation.
- `digits`, one task of images of one digit each, with one learner: data, task, learner, search,
  evaluation, and where the learner is a network its sections as above.
- `table`, one column of a table, with several learners: data, learner, compare, search, model,
  optimizer, training.
- `comparison`, other experiments side by side: compare.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from mnist3 import files
from mnist3.errors import UserError, nearest

KINDS = ("numbers", "digits", "table", "comparison")
NETWORK = "network"  # the learner that is not one of scikit-learn's


def numbers() -> ConfigDict:
    """Returns the config of the main model on number images composed from the embedded digits."""
    config = _new("numbers")
    config.data = ConfigDict()
    config.data.name = "composed"  # one of mnist3.data.dataset.REGISTRY
    config.data.source = "digits"  # where digit images come from, see mnist3.data.sources
    config.data.digits = 3  # K, digits a number image
    config.data.height = 84  # px
    config.data.width = 84  # px
    config.data.numbers = "disjoint"  # what the splits share of the numbers: shared | disjoint
    config.data.digit_images = "disjoint"  # ... and of the digit images: shared | disjoint
    config.data.seed = 0  # of the splits and of the fixed val and test images
    config.data.val_fraction = 0.1  # share of the training digit images kept for val
    config.data.train_examples = 20_000  # composed number images an epoch
    config.data.train_limit = 0  # images kept of a fixed train split, drawn by the seed; 0 = all
    config.data.val_examples = 2_000  # composed number images, fixed by the seed
    config.data.test_examples = 5_000  # composed number images, fixed by the seed

    config.data.composition = ConfigDict()  # of `composed` alone
    config.data.composition.spacing = 28  # px from one digit's box to the next; < 28 overlaps
    config.data.composition.vertical_jitter = 28  # px to either side of the middle
    config.data.composition.horizontal_jitter = 0  # px to either side
    config.data.composition.ink = "max"  # how overlapping ink combines: max | sum | over
    config.data.composition.patches = 0  # occluding squares an image
    config.data.composition.patch_size = 10  # px, side of a square
    config.data.composition.noise = 0.0  # standard deviation, grey levels of 0-255

    config.task = _tasks("numbers", "number")
    config.learner = ConfigDict({"name": NETWORK})
    config.evaluation = _evaluation()
    return with_network(config)


def strings(source: str) -> ConfigDict:
    """Returns the config of a network that reads numbers of any length on strips of writing.

    Args:
        source: of the digit images that the strips are composed from.
    """
    from mnist3.data.strips import HEIGHT
    from mnist3.data.writing import Writing

    config = numbers()
    config.data.name = "strings"
    config.data.source = source
    del config.data["digits"]
    config.data.digits = (1, 10)  # the shortest and the longest string
    config.data.height = HEIGHT
    config.data.width = 256  # px
    set_here = ("shortest", "longest", "height", "width", "side")
    config.data.composition = ConfigDict(
        {
            each.name: each.default
            for each in dataclasses.fields(Writing)  # what they mean stands there
            if each.name not in set_here
        }
    )
    config.task.name = "string"
    config.model.name = "sequence"
    return config


def one_digit(source: str) -> ConfigDict:
    """Returns the config of the main model on the digit images of a source, K = 1."""
    config = numbers()
    config.data.name = "single_digit"
    config.data.source = source
    config.data.digits = 1
    config.data.height = 28
    config.data.width = 28
    config.data.numbers = "shared"
    return config


def digits(source: str, learner: str = NETWORK) -> ConfigDict:
    """Returns the config of a task of images of one digit each.

    Args:
        source: of the digit images.
        learner: `network`, or the name of one of scikit-learn's estimators.
    """
    config = _new("digits")
    config.data = ConfigDict()
    config.data.name = "single_digit"
    config.data.source = source  # see mnist3.data.sources
    config.data.digits = 1
    config.data.height = 28  # px
    config.data.width = 28  # px
    config.data.numbers = "shared"
    config.data.digit_images = "disjoint"
    config.data.seed = 0  # of the splits and of noise that is drawn once
    config.data.val_fraction = 0.1  # share of the training images kept for val
    config.data.train_limit = 0  # training images kept, drawn by the seed; 0 = all
    config.data.shifted_copies = False  # also train on images moved by a pixel

    config.task = _tasks("digits", "multiclass")
    config.learner = ConfigDict({"name": learner})
    config.search = _search()
    config.evaluation = _evaluation()
    if learner == NETWORK:
        return with_network(config)
    config.learner.parameters = ConfigDict()  # the estimator's own names; any may be added
    config.learner.scale = False  # StandardScaler on the features first
    return config


def table() -> ConfigDict:
    """Returns the config of a column of a table learned from the others."""
    from mnist3 import models

    config = _new("table")
    config.data = ConfigDict()
    config.data.path = ""  # a CSV or Parquet file; "" = the embedded table
    config.data.target = ""  # the column to predict
    config.data.columns = ""  # kinds instead of the inferred, "zip:categorical"
    config.data.seed = 0  # of the split into train and test

    config.learner = ConfigDict()
    config.learner.parameters = ConfigDict()  # of every estimator that is compared
    config.compare = ConfigDict()
    config.compare.learners = (  # to tune and to choose from
        "logistic_regression",
        "decision_tree",
        "random_forest",
        "gradient_boosting",
        NETWORK,
    )
    config.search = _search()
    config.model = ConfigDict({"name": "mlp", **models.config_fields(("mlp", "logistic"))})
    config.optimizer = _optimizer()
    config.training = _training()
    small_network(config, "mlp")
    config.model.hidden = (64,)
    return config


def comparison() -> ConfigDict:
    """Returns the config of a comparison; each experiment has its own data, task and learner."""
    config = _new("comparison")
    del config["seed"]  # each experiment has its own
    config.compare = ConfigDict()
    config.compare.experiments = ()  # "FILE.py:VARIANTS --config.section.field=value", each a text
    config.compare.by = "val"  # on which images the best is chosen: val | cross_validation
    config.compare.folds = 3  # of train, for cross_validation
    return config


def with_network(config: ConfigDict) -> ConfigDict:
    """Adds the sections of a network to a config of images."""
    from mnist3 import models
    from mnist3.data import augmentation

    # Of training images on the device, or of the digit images that they are composed from; 0 = off.
    config.augmentation = ConfigDict(augmentation.defaults())
    config.model = ConfigDict({"name": "multihead", **models.config_fields()})
    config.model.members = 1  # networks that share each batch evenly and answer together
    config.optimizer = _optimizer()
    config.training = _training()
    config.evaluation.shift = 0  # px; the final reading is the mean over images moved so far
    # Replicates, trained in one program: how many, seeded from config.seed on; or their seeds.
    config.seeds = config_dict.FieldReference(1, field_type=object)
    # Candidates, trained in one program: every combination of the values; () = that of the config.
    every: dict[str, dict[str, tuple]] = {}
    for field in variable():
        section, name = field.split(".")
        every.setdefault(section, {})[name] = ()
    config.population = ConfigDict(every)
    return config


_VARIABLE = (
    "optimizer.learning_rate",
    "optimizer.warmup",
    "optimizer.momentum",
    "optimizer.weight_decay",
    "optimizer.gradient_clip",
    "training.label_smoothing",
    "training.ema_decay",
    "model.dropout",
)


def variable() -> tuple[str, ...]:
    """Returns the fields of which candidates that one program trains may have values of their own.

    They are numbers that change no shapes.
    """
    from mnist3.data import augmentation

    return (*_VARIABLE, *(f"augmentation.{name}" for name in augmentation.defaults()))


def fixed_text(field: str) -> str:
    """Returns the sentence that a field is none of `variable`.

    Args:
        field: of the config, dotted.
    """
    return (
        f"config.population takes no {field}, by which programs differ: candidates that one "
        f"program trains can differ in {', '.join(variable())}; compare runs of their own with "
        "--mode=compare."
    )


def small_network(config: ConfigDict, model: str) -> ConfigDict:
    """Sets a network that learns one digit an image, or a column of a table, in seconds.

    Args:
        config: with the sections of a network.
        model: its name.
    """
    config.model.name = model
    config.model.update(_SMALL_MODELS.get(model, {}))
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 0.006
    config.optimizer.momentum = 0.9
    config.training.epochs = 0
    config.training.cpu_micro_batch = 32
    return config


_SMALL_MODELS = {
    "cnn": {"channels": (64,), "convolutions": 1},
    "multihead": {"channels": (64,), "convolutions": 1},
    "denoiser": {"channels": (32,), "convolutions": 2},
    "mlp": {"hidden": (128,)},
}


def _new(kind: str) -> ConfigDict:
    config = ConfigDict()
    config.kind = kind  # of run, see KINDS
    config.seed = 0  # of initial parameters, batches, augmentation; the data have their own

    config.wandb = ConfigDict()
    config.wandb.mode = "auto"  # auto (online when logged in, else offline) | disabled | ...
    config.wandb.project = "mnist3"
    config.wandb.entity = ""  # "" = the default of the account
    config.wandb.group = ""
    config.wandb.tags = ()
    config.wandb.log_artifact = False  # also upload the run's files
    return config


def _tasks(kind: str, name: str) -> ConfigDict:
    from mnist3 import tasks

    section = ConfigDict({"name": name})
    for task in tasks.REGISTRY.values():
        if task.kind == kind:
            section.update(task.fields)
    return section


def _evaluation() -> ConfigDict:
    evaluation = ConfigDict()
    evaluation.wanted_error = 0.001  # largest share of errors among the sure predictions
    return evaluation


def _search() -> ConfigDict:
    search = ConfigDict()  # of a learner's parameters, by cross-validation
    search.method = "none"  # none | grid | random | halving
    search.folds = 3  # of train
    search.iterations = 10  # combinations that random draws
    search.grid = ConfigDict()  # a tuple of values for each parameter; () = not searched
    return search


def _optimizer() -> ConfigDict:
    optimizer = ConfigDict()
    optimizer.name = "muon"  # one of mnist3.training.optimizer.OPTIMIZERS
    optimizer.learning_rate = 4e-3  # the highest of the schedule
    optimizer.schedule = "one_cycle"  # one of mnist3.training.optimizer.SCHEDULES
    optimizer.warmup = 0.2  # share of the steps in which the learning rate rises
    optimizer.momentum = 0.95  # sgd: momentum; adam, adamw, muon: first-moment decay
    optimizer.weight_decay = 1e-4  # on kernels; decoupled for adamw and muon
    optimizer.gradient_clip = 0.0  # largest global norm; 0 = off
    return optimizer


def _training() -> ConfigDict:
    training = ConfigDict()
    training.epochs = 5  # 0 = 3 of at least 200 steps each, as small data need them
    training.batch_size = 128  # over all devices
    training.cpu_micro_batch = 16  # images that a network on a CPU device takes at once
    training.label_smoothing = 0.0
    training.ema_decay = 0.0  # of the parameters' moving average; 0 = off
    training.dtype = "float32"  # of the model's arithmetic: float32 | bfloat16
    training.patience = 0  # epochs without a better val headline; 0 = all epochs
    training.init_from = ""  # folder of a run whose parameters to begin with, where they fit
    training.init_skip = ()  # of these, paths or patterns that are left, as in "heads*"
    training.segment_seconds = 10.0  # of an epoch until a run looks whether to stop; 0 = all of it
    training.log_steps = 50  # from one line of a step in history.jsonl to the next; 0 = none
    return training


def seeds_of(config: ConfigDict) -> tuple[int, ...]:
    """Returns the seeds of a run's replicates; of one without replicates its own."""
    seeds = config.get("seeds", 1)
    return seeds if isinstance(seeds, tuple) else tuple(range(config.seed, config.seed + seeds))


def with_seeds(config: ConfigDict, seeds: int | tuple[int, ...]) -> ConfigDict:
    """Returns the config of a run with other replicates."""
    own = config.copy_and_resolve_references()
    with own.ignore_type():  # a number or a tuple
        own.seeds = seeds
    return own


def population_of(config: ConfigDict) -> dict[str, tuple[Any, ...]]:
    """Returns the values that the candidates of a run have, by field; {} of one without any."""
    section = config.get("population", ConfigDict())
    return {name: values for name, values in fields(section) if values != ()}


def candidates_of(config: ConfigDict) -> dict[str, ConfigDict]:
    """Returns the configs of the runs that the candidates of a population make alone, by name.

    They are every combination of the values, of which those of the last field change first.

    Args:
        config: of a run.

    Raises:
        UserError: if a field does not take a value.
    """
    population = population_of(config)
    alone = config.copy_and_resolve_references()
    for name in population:
        section, field = name.split(".")
        alone.population[section][field] = ()
    found = {}
    for values in itertools.product(*population.values()):
        chosen = dict(zip(population, values, strict=True))
        name = " ".join(f"{field}={value}" for field, value in chosen.items())
        found[name] = with_values(alone, chosen, "the population")
    return found


def with_values(config: ConfigDict, values: Mapping[str, Any], of: str) -> ConfigDict:
    """Returns a copy of a config with other values of some fields, which may be new ones.

    Args:
        config: a whole config.
        values: by dotted field.
        of: what has these values, in words.

    Raises:
        UserError: if a field does not take its value.
    """
    changed = config.copy_and_resolve_references()
    with changed.unlocked():
        for name, value in values.items():
            *sections, field = name.split(".")
            section = changed
            for each in sections:
                section = section[each]
            try:
                section[field] = value
            except TypeError as error:
                raise UserError(
                    f"config.{name} of {of} is {value!r}, of type {type(value).__name__}; it "
                    f"takes a {type(section[field]).__name__} such as {section[field]!r}."
                ) from error
    return changed


def of_replicate(config: ConfigDict, seed: int) -> ConfigDict:
    """Returns the config of the run that one seed of a run with several makes alone."""
    own = with_seeds(config, 1)
    own.seed = seed
    own.wandb.mode = "disabled"  # in W&B the run of all replicates has their means
    return own


def search_method(config: ConfigDict) -> str:
    """Returns how a run searches its learner's parameters; `none` of one that cannot."""
    return config.search.method if "search" in config else "none"


OPEN = ("learner.parameters.", "search.grid.")  # take any field, checked by what they are for


def reference(config: ConfigDict) -> ConfigDict:
    """Returns the config that a config of its kind and learner starts from."""
    if config.kind == "numbers":
        strip = config.get("data", {}).get("name") == "strings"
        return strings(config.data.source) if strip else numbers()
    if config.kind == "digits":
        return digits(config.data.source, config.learner.name)
    return table() if config.kind == "table" else comparison()


def fields(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each field of the config as its dotted name and its value."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def parse_variants(argument: str, **defaults: Any) -> ConfigDict:
    """Reads the string behind the colon of `--config=experiment.py:model=cnn,numbers=shared`.

    Args:
        argument: comma-separated `name=value`.
        **defaults: the variants that the experiment knows; a value takes its default's type, the
            items of a tuple that of its first one, as in `pair=3+8`.

    Raises:
        UserError: for a variant that the experiment does not know or a value of the wrong type.
    """
    variants = ConfigDict(defaults)
    for item in filter(None, (argument or "").split(",")):
        name, separator, text = item.partition("=")
        if name not in defaults or not separator:
            raise UserError(
                f"unknown variant {item!r} of the experiment; did you mean "
                f"{nearest(name, tuple(defaults))}=...? It knows {', '.join(defaults)}."
            )
        default = defaults[name]
        try:
            if isinstance(default, tuple):
                variants[name] = tuple(type(default[0])(part) for part in text.split("+"))
            else:
                variants[name] = type(default)(text)
        except ValueError:
            example = "+".join(map(str, default)) if isinstance(default, tuple) else repr(default)
            raise UserError(
                f"variant {name}={text!r} of the experiment is not of type "
                f"{type(default).__name__}; its default is {example}."
            ) from None
    return variants


def to_json(config: ConfigDict) -> str:
    """Returns the resolved config as JSON text, fields in their order."""
    return json.dumps(config.to_dict(), indent=2) + "\n"


def from_json(text: str) -> ConfigDict:
    """Returns the config that `to_json` wrote; lists become tuples again.

    Raises:
        ValueError: if it is not JSON, or holds no fields, or some in a list.
    """

    def as_config(value: Any) -> Any:
        if isinstance(value, dict):
            return ConfigDict({name: as_config(inner) for name, inner in value.items()})
        if value is None:  # which may be set to anything
            return config_dict.placeholder(object)
        return as_tuple(value) if isinstance(value, list) else value

    def as_tuple(values: list[Any]) -> tuple[Any, ...]:
        if any(isinstance(each, dict) for each in values):
            raise ValueError("it holds fields in a list")
        return tuple(as_tuple(each) if isinstance(each, list) else each for each in values)

    config = as_config(files.from_json(text))
    if "seeds" in config:
        seeds = config.seeds
        del config["seeds"]
        config.seeds = config_dict.FieldReference(seeds, field_type=object)
    return config
