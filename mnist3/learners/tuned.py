"""What a search for a network's settings found, as a file in the folder of a run."""

import json
import os
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from mnist3 import upgrade
from mnist3.errors import UserError
from mnist3.files import TUNED_FILE, read_json, write_json


class Found(NamedTuple):
    """What a search found.

    Attributes:
        config: with the best settings at their places.
        results: scikit-learn's `cv_results_`.
        seconds: that it took.
    """

    config: ConfigDict
    results: dict[str, Any]
    seconds: float


def save(folder: str, found: Found) -> None:
    """Saves what a search found in the folder of a run, before the network is trained with it."""
    content = {
        "config": found.config.to_dict(),
        "search_results": plain_results(found.results),
        "search_seconds": found.seconds,
    }
    write_json(os.path.join(folder, TUNED_FILE), content, default=str)


def read(folder: str) -> Found | None:
    """Returns what `save` saved, the results as plain lists; None of a run without a search.

    Raises:
        UserError: if it cannot be read.
    """
    path = os.path.join(folder, TUNED_FILE)
    if not os.path.exists(path):
        return None
    try:
        content = read_json(path)
        config = upgrade.from_json(json.dumps(content["config"]), TUNED_FILE)
        return Found(config, {**content["search_results"]}, float(content["search_seconds"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); put the file back, or train anew in another "
            "--workdir."
        ) from error


def plain_results(results: dict[str, Any] | None) -> dict[str, Any] | None:
    """Returns what a search tried as lists and numbers, the parameters in one list."""
    if results is None:
        return None
    return {
        name: np.asarray(values).tolist() if name != "params" else [dict(each) for each in values]
        for name, values in results.items()
        if not name.startswith("param_")
    }
