"""Feature maps of a network, as the page draws them: what its layers make of what it saw."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from mnist3.data import strips
from mnist3.evaluation import inspection
from mnist3.learners import Learned
from mnist3.tasks import Task
from mnist3.web.answers import data_url

Maps = Callable[[UInt8[np.ndarray, "height width"]], list[dict[str, Any]]]


def reader(task: Task, learned: Learned, sizes: Collection[tuple[int, int]]) -> Maps | None:
    """Returns what gives the feature maps of an image, layer by layer; None without a convolution.

    Args:
        task: that was learned.
        learned: of an ensemble the first member is looked at.
        sizes: heights and widths that images have, px; a program is compiled for each.

    Returns:
        from an image as the network saw it to a list as `mnist3.web.openapi.MAPS` describes it; of
        networks that cut windows around digits it is of the first.
    """
    blank = [np.zeros(size, np.uint8) for size in sizes]
    view = learned.network(blank[0][None])
    if view is None:
        return None
    compute = inspection.create_feature_maps(view.module, view.params)

    def read(image: UInt8[np.ndarray, "height width"]) -> list[dict[str, Any]]:
        images = image[None]
        if task.reads_lines:
            images = strips.stack([image], strips.bucket(image.shape[1]), 1)
        seen: Any = learned.network(images)
        return [_described(path, maps) for path, maps in compute(seen.inputs[0]).items()]

    return read if all([read(image) for image in blank]) else None


def _described(path: str, maps: Float[np.ndarray, "rows columns channels"]) -> dict[str, Any]:
    rows, columns, channels = maps.shape
    shares = maps / max(float(maps.max()), 1e-30)
    below = np.rint(255 * shares).astype(np.uint8).transpose(2, 0, 1).reshape(-1, columns)
    return {
        "layer": path.rpartition("/")[2],
        "rows": rows,
        "columns": columns,
        "channels": channels,
        "image": data_url(below),
    }
