"""Configs that other versions of mnist3 wrote, read as if they were written today.

What was renamed is read under its old name, what a config lacks gets its default, and what it has
too many is left out: both are named in the log. What a value means never changes silently: a value
that is not allowed any more is refused by `mnist3.validation`.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from absl import logging
from ml_collections import ConfigDict

from mnist3 import config as configs
from mnist3.config import KINDS, NETWORK, OPEN
from mnist3.errors import UserError

# Fields and sections by their old names. The first that fits counts, so single ones come first.
RENAMED = {
    "estimator.parameters.glances": "learner.parameters.attention",
    "search.grid.glances": "search.grid.attention",
    "estimator": "learner",
    "model.glances": "model.attention",
    "tabular.estimators": "compare.learners",
}
RENAMED_OF_COMPARISONS = {"search.folds": "compare.folds"}
# In the texts of the experiments that a comparison names, before the fields above.
RENAMED_IN_TEXTS = {
    r"--config\.estimator\.parameters\.random_state=": "--config.seed=",
    r"(?<=[:,])estimator(?=s?=)": "learner",
    r"(?<=[=+])flax\b": NETWORK,
}

# Until runs had a kind, a network of one digit or of a table was an estimator called flax, whose
# parameters stood with those of scikit-learn's. It did not read the sections of networks.
OLD_NETWORK = "flax"
OF_NETWORKS = ("model", "optimizer", "augmentation", "training", "evaluation")
OLD_NETWORK_DEFAULTS = {
    "model.name": "cnn",
    "model.channels": (64,),
    "model.convolutions": 1,
    "optimizer.name": "adamw",
    "optimizer.learning_rate": 0.006,
    "optimizer.momentum": 0.9,
    "training.epochs": 0,
    "training.cpu_micro_batch": 32,
}
OLD_DENOISER_DEFAULTS = {
    "model.name": "denoiser",
    "model.channels": (32,),
    "model.convolutions": 2,
}
OLD_HIDDEN = (128,)  # units of mlp, where the parameter was None


class Upgraded(NamedTuple):
    """A config as this version has it.

    Attributes:
        config: with the fields of its kind, not validated.
        lacked: fields that got their defaults, but for those of a population, which ask nothing.
        ignored: fields and whole sections, as `search.*`, that were left out.
    """

    config: ConfigDict
    lacked: tuple[str, ...]
    ignored: tuple[str, ...]


def from_json(text: str, name: str) -> ConfigDict:
    """Returns the config in a JSON text of any version; the log names what had to be changed.

    Args:
        text: what `mnist3.config.to_json` of that version wrote.
        name: of its file, for the log and for errors.

    Raises:
        ValueError: if it is not the JSON text of a config.
        UserError: if no run of today's kinds reads such a config.
    """
    held = configs.from_json(text)
    try:
        upgraded = upgrade(held)
    except UserError as error:
        raise UserError(f"{name} {error}") from error
    defaults = dict(configs.fields(upgraded.config))
    if upgraded.lacked:
        values = ", ".join(f"config.{field}={defaults[field]!r}" for field in upgraded.lacked)
        logging.info(
            "%s is of another version of mnist3; what it lacks has its default: %s", name, values
        )
    if upgraded.ignored:
        names = ", ".join(f"config.{field}" for field in upgraded.ignored)
        logging.info(
            "%s is of another version of mnist3; what is not read any more: %s", name, names
        )
    return upgraded.config


def upgrade(held: ConfigDict) -> Upgraded:
    """Returns a config of any version as this one has it.

    Raises:
        UserError: if no run of today's kinds reads such a config; the sentence lacks its subject,
            the file.
    """
    values = _renamed(dict(configs.fields(held)), RENAMED)
    if "kind" not in values:
        values = _with_kind(values)
    if values["kind"] not in KINDS:
        return Upgraded(held, (), ())
    reference = configs.reference(
        ConfigDict(
            {
                "kind": values["kind"],
                "data": {
                    "name": values.get("data.name", ""),
                    "source": values.get("data.source", "digits"),
                },
                "learner": {"name": values.get("learner.name", NETWORK)},
            }
        )
    )
    known, sections = dict(configs.fields(reference)), _sections(reference)
    result = reference.to_dict()
    ignored = set()
    for name, value in values.items():
        section = next((open_ for open_ in OPEN if name.startswith(open_)), "").rstrip(".")
        if name in known or section in sections:
            _set(result, name, value)
        else:
            ignored.add(_as_a_whole(name, sections))
    config = configs.from_json(configs.to_json(ConfigDict(result)))  # None may become any value
    lacked = {name for name in known.keys() - values.keys() if not name.startswith("population.")}
    return Upgraded(config, tuple(sorted(lacked)), tuple(sorted(ignored)))


def _renamed(values: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Returns fields under their new names; one that has its new name already wins."""
    found = {}
    for name, value in values.items():
        old = next((old for old in renamed if name == old or name.startswith(f"{old}.")), None)
        new = name if old is None else renamed[old] + name[len(old) :]
        if new == name or new not in values:
            found[new] = value
    return found


def _with_kind(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields of a config from before runs had a kind, as a config that has one."""
    if values.get("data.name") == "tabular":
        return _of_table(values)
    if values.get("compare.experiments"):
        values = _renamed(values, RENAMED_OF_COMPARISONS)
        texts = tuple(map(_renamed_in_text, values["compare.experiments"]))
        return values | {"kind": "comparison", "compare.experiments": texts}
    if values.get("task.name", "number") != "number":
        return _of_digits(values)
    if values.get("textbook.parts"):
        raise UserError(
            "is of the textbook's study, which is a program of its own now; see "
            "`python -m experiments.textbook --help`."
        )
    return values | {"kind": "numbers", "learner.name": NETWORK}


def _of_table(values: dict[str, Any]) -> dict[str, Any]:
    values = _without_networks(values) | {"kind": "table"}
    learners = values.get("compare.learners", ())
    if OLD_NETWORK in learners:
        values |= _network_fields(values, model="mlp")
    if "compare.learners" in values:
        values["compare.learners"] = tuple(
            NETWORK if name == OLD_NETWORK else name for name in learners
        )
    return values


def _of_digits(values: dict[str, Any]) -> dict[str, Any]:
    values = _without_networks(values) | {"kind": "digits"}
    if values.get("learner.name", OLD_NETWORK) != OLD_NETWORK:
        return values
    defaults = dict(OLD_NETWORK_DEFAULTS)
    if values["task.name"] == "denoise":
        defaults |= OLD_DENOISER_DEFAULTS
    fields = _network_fields(values, str(defaults["model.name"]))
    rest = {
        name: value for name, value in values.items() if not name.startswith("learner.parameters.")
    }
    return rest | defaults | fields | {"learner.name": NETWORK}


def _without_networks(values: Mapping[str, Any]) -> dict[str, Any]:
    """Drops what runs of tables and of one digit had and did not read."""
    return {
        name: value for name, value in values.items() if name.partition(".")[0] not in OF_NETWORKS
    }


def _network_fields(values: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Returns the parameters of the old network as fields of today's sections.

    Args:
        values: of the old config.
        model: that the network had unless its parameters say so.
    """
    prefix = "learner.parameters."
    parameters = {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
    chosen = parameters.pop("model", "auto")
    chosen = model if chosen == "auto" else chosen
    reference = configs.numbers()
    places = {
        name: f"{section}.{name}"
        for section in OF_NETWORKS
        for name in reference[section]
        if name != "name"
    }
    fields = {}
    if chosen != model:
        fields["model.name"] = chosen
    for name, value in parameters.items():
        if name == "optimizer":
            fields["optimizer.name"] = value
        elif name == "epochs":
            fields["training.epochs"] = 0 if value == "auto" else value
        elif name == "random_state":
            fields |= {} if value is None else {"seed": value}
        elif name in places and value is not None:
            fields[places[name]] = value
    if chosen == "mlp" and model != "mlp":
        fields.setdefault("model.hidden", OLD_HIDDEN)
    return fields


def _renamed_in_text(text: str) -> str:
    """Returns the text of an experiment and its flags with today's names."""
    for pattern, new in RENAMED_IN_TEXTS.items():
        text = re.sub(pattern, new, text)
    for old, new in RENAMED.items():
        text = re.sub(rf"--config\.{re.escape(old)}(?=[.=])", f"--config.{new}", text)
    return text


def _sections(config: ConfigDict, prefix: str = "") -> set[str]:
    """Returns the dotted names of a config's sections."""
    found = set()
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            found |= {f"{prefix}{name}"} | _sections(value, f"{prefix}{name}.")
    return found


def _as_a_whole(name: str, sections: set[str]) -> str:
    """Returns a field that is not read, or the section with it if nothing of that is."""
    parts = name.split(".")
    for length in range(1, len(parts)):
        if ".".join(parts[:length]) not in sections:
            return f"{'.'.join(parts[:length])}.*"
    return name


def _set(tree: dict[str, Any], name: str, value: Any) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.setdefault(parent, {})
    tree[last] = value
