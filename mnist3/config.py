"""The base config that every experiment starts from, its variants, and its JSON text.

An experiment is a file with `get_config(argument)`: it takes `base()`, changes what differs, and
returns it. The flags `--config.section.field=value` then change single values for one run.
"""

import difflib
import json
from collections.abc import Iterator
from typing import Any

from ml_collections import ConfigDict

from mnist3.errors import UserError

TABULAR_ESTIMATORS = (
    "logistic_regression",
    "decision_tree",
    "random_forest",
    "gradient_boosting",
    "flax",
)


def base() -> ConfigDict:
    """Returns the config of the main model on number images composed from the embedded digits."""
    config = ConfigDict()
    config.seed = 0  # of initial parameters, batches, augmentation; the data have their own

    config.data = ConfigDict()
    config.data.name = "composed"  # composed | triple_mnist | single_digit | tabular
    config.data.source = "digits"  # where digit images come from: mnist | digits
    config.data.digits = 3  # K, digits a number image
    config.data.height = 84  # px
    config.data.width = 84  # px
    config.data.numbers = "disjoint"  # what the splits share of the numbers: shared | disjoint
    config.data.digit_images = "disjoint"  # ... and of the digit images: shared | disjoint
    config.data.seed = 0  # of the splits and of the fixed val and test images
    config.data.val_fraction = 0.1  # share of the training digit images kept for val
    config.data.train_examples = 20_000  # composed number images an epoch
    config.data.train_limit = 0  # images kept of a fixed train split, drawn by the seed; 0 = all
    config.data.shifted_copies = False  # of one digit: also train on images moved by a pixel
    config.data.val_examples = 2_000  # composed number images, fixed by the seed
    config.data.test_examples = 5_000  # composed number images, fixed by the seed

    config.data.path = ""  # of `tabular`: a CSV or Parquet file; "" = the embedded table
    config.data.target = ""  # of `tabular`: the column to predict
    config.data.columns = ""  # of `tabular`: kinds instead of the inferred, "zip:categorical"

    config.data.composition = ConfigDict()  # of `composed` alone
    config.data.composition.spacing = 28  # px from one digit's box to the next; < 28 overlaps
    config.data.composition.vertical_jitter = 28  # px to either side of the middle
    config.data.composition.horizontal_jitter = 0  # px to either side
    config.data.composition.ink = "max"  # how overlapping ink combines: max | sum | over
    config.data.composition.patches = 0  # occluding squares an image
    config.data.composition.patch_size = 10  # px, side of a square
    config.data.composition.noise = 0.0  # standard deviation, grey levels of 0-255

    config.task = ConfigDict()
    config.task.name = "number"  # number | multiclass | binary | pair | multilabel | denoise
    config.task.digit = 5  # of binary: this digit against the rest
    config.task.pair = (3, 5)  # of pair: the two digits
    config.task.large = 7  # of multilabel: the smallest digit that counts as large
    config.task.noise = 99  # of denoise: the largest integer added to a pixel of 0-255

    config.estimator = ConfigDict()
    config.estimator.name = "flax"  # flax or one of scikit-learn's, see CHOICES
    config.estimator.parameters = ConfigDict()  # the estimator's own names; any may be added
    config.estimator.scale = False  # StandardScaler on the features first

    config.compare = ConfigDict()
    config.compare.experiments = ()  # "FILE.py:VARIANTS --config.section.field=value", each a text
    config.compare.by = "val"  # on which images the best is chosen: val | cross_validation

    # Of training images on the device, or of the digit images that they are composed from; 0 = off.
    config.augmentation = ConfigDict()
    config.augmentation.shift = 0  # px to either side
    config.augmentation.rotation = 0.0  # degrees to either side
    config.augmentation.scale = 0.0  # relative: 0.1 = from 0.9 to 1.1
    config.augmentation.shear = 0.0  # degrees to either side
    config.augmentation.elastic = 0.0  # px, standard deviation of the displacement
    config.augmentation.noise = 0.0  # standard deviation, ink from 0 to 1
    config.augmentation.cutout = 0  # px, side of the blanked square

    config.model = ConfigDict()
    config.model.name = "multihead"  # logistic | cnn | multihead | mlp | denoiser
    config.model.stem = 16  # channels of the first convolution
    config.model.stem_stride = 2  # px
    config.model.stem_padding = "SAME"  # its padding: SAME | VALID; of denoiser always SAME
    config.model.channels = (32, 64)  # channels of the stages after it
    config.model.convolutions = 2  # 3x3 convolutions a stage
    config.model.glances = 4  # weightings of the columns that each head of multihead has
    config.model.crop_height = 0  # px of multihead's window around each digit's ink; 0 = all
    config.model.hidden = ()  # units of the dense layers of mlp, and of cnn before its last one
    config.model.dropout = 0.0  # share of features dropped before the heads
    config.model.members = 1  # networks that share each batch evenly and answer together

    config.optimizer = ConfigDict()
    config.optimizer.name = "muon"  # sgd | adam | adamw | muon
    config.optimizer.learning_rate = 4e-3  # the highest of the schedule
    config.optimizer.schedule = "one_cycle"  # constant | cosine | one_cycle
    config.optimizer.warmup = 0.2  # share of the steps in which the learning rate rises
    config.optimizer.momentum = 0.95  # sgd: momentum; adam, adamw, muon: first-moment decay
    config.optimizer.weight_decay = 1e-4  # on kernels; decoupled for adamw and muon
    config.optimizer.gradient_clip = 0.0  # largest global norm; 0 = off

    config.training = ConfigDict()
    config.training.epochs = 5
    config.training.batch_size = 128  # over all devices
    config.training.cpu_micro_batch = 16  # images that a network on a CPU device takes at once
    config.training.label_smoothing = 0.0
    config.training.ema_decay = 0.0  # of the parameters' moving average; 0 = off
    config.training.dtype = "float32"  # of the model's arithmetic: float32 | bfloat16
    config.training.patience = 0  # epochs without a better val exact match; 0 = all epochs

    config.evaluation = ConfigDict()
    config.evaluation.shift = 0  # px; the final reading is the mean over images moved so far

    config.search = ConfigDict()  # of an estimator's parameters, by cross-validation
    config.search.method = "none"  # none | grid | random | halving
    config.search.folds = 3  # of train; also those of compare.by=cross_validation
    config.search.iterations = 10  # combinations that random draws
    config.search.grid = ConfigDict()  # a tuple of values for each parameter; () = not searched

    config.tabular = ConfigDict()
    config.tabular.estimators = TABULAR_ESTIMATORS  # to tune and to choose from

    config.wandb = ConfigDict()
    config.wandb.mode = "auto"  # auto (online when logged in, else offline) | disabled | ...
    config.wandb.project = "mnist3"
    config.wandb.entity = ""  # "" = the default of the account
    config.wandb.group = ""
    config.wandb.tags = ()
    config.wandb.log_artifact = False  # also upload the run's files
    return config


def one_digit(source: str) -> ConfigDict:
    """Returns the base config with the digit images of a source in place of numbers."""
    config = base()
    config.data.name = "single_digit"
    config.data.source = source
    config.data.digits = 1
    config.data.height = 28
    config.data.width = 28
    config.data.numbers = "shared"
    return config


CHOICES = {
    "data.name": ("composed", "triple_mnist", "single_digit", "tabular"),
    "data.source": ("mnist", "digits"),
    "data.numbers": ("shared", "disjoint"),
    "data.digit_images": ("shared", "disjoint"),
    "data.composition.ink": ("max", "sum", "over"),
    "task.name": ("number", "multiclass", "binary", "pair", "multilabel", "denoise"),
    "estimator.name": (
        "flax",
        "dummy",
        "sgd",
        "logistic_regression",
        "svc",
        "svc_ovo",
        "svc_ovr",
        "linear_svc",
        "knn",
        "decision_tree",
        "random_forest",
        "extra_trees",
        "gradient_boosting",
        "mlp",
        "classifier_chain",
    ),
    "search.method": ("none", "grid", "random", "halving"),
    "compare.by": ("val", "cross_validation"),
    "model.name": ("logistic", "cnn", "multihead", "mlp", "denoiser"),
    "model.stem_padding": ("SAME", "VALID"),
    "optimizer.name": ("sgd", "adam", "adamw", "muon"),
    "optimizer.schedule": ("constant", "cosine", "one_cycle"),
    "training.dtype": ("float32", "bfloat16"),
    "wandb.mode": ("auto", "online", "offline", "disabled"),
}
OPEN = ("estimator.parameters.", "search.grid.")  # take any field, checked by what they are for


def fields(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each field of the config as its dotted name and its value."""
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def nearest(word: str, candidates: list[str] | tuple[str, ...]) -> str:
    """Returns the candidate that looks most like the word."""
    return max(candidates, key=lambda other: difflib.SequenceMatcher(None, word, other).ratio())


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
    """Returns the config that `to_json` wrote; lists become tuples again."""

    def as_config(value: Any) -> Any:
        if isinstance(value, dict):
            return ConfigDict({name: as_config(inner) for name, inner in value.items()})
        return tuple(map(as_config, value)) if isinstance(value, list) else value

    return as_config(json.loads(text))
