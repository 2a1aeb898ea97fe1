"""A reader as one page: `reader.html`, which needs a browser alone, opened from disk.

It is the page of `--mode=serve` (`mnist3/web`) with the network's weights and a program in
JavaScript that does what `mnist3.pictures` does with a picture. Weights are rounded to float16.
"""

import base64
import dataclasses
import importlib.resources
import json
import re
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from mnist3.data import strips
from mnist3.errors import UserError
from mnist3.evaluation.calibration import ROUNDING
from mnist3.export.page_network import Constants, program_of
from mnist3.export.reader import Reader, reader_of
from mnist3.learners.network import Network

FILE = "reader.html"
SCRIPTS = (  # of mnist3/web/js, each after those that it imports
    "arrays",
    "network",
    "decoding",
    "filters",
    "scaling",
    "whole",
    "ink",
    "shapes",
    "rules",
    "paper",
    "locate",
    "reading",
    "reader",
    "worker",
)
_IMPORT = re.compile(r"^import \{[^}]*\} from \"[^\"]*\";\n", re.M)
_EXPORT = re.compile(r"^export (?=const |function |async function )", re.M)
_POLICY = (  # so that nothing that the page is given leaves it
    "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; worker-src blob:"
)
_DRAWN = ("values", "confidence", "probabilities")  # outputs that a page shows


def files(reader: Reader) -> dict[str, bytes]:
    """Returns the page by its name.

    Raises:
        UserError: if the network reads no numbers, or computes something that has no translation.
    """
    task = reader.network.task
    if task.number_lengths is None:
        raise UserError(
            f"{FILE} shows numbers, and the task {task.name} reads none; leave it out with "
            "--formats=stablehlo,onnx."
        )
    constants = Constants()
    rounded = reader_of(with_rounded_weights(reader.network))
    description: dict[str, Any] = {"about": _about(reader), **_network(rounded, constants)}
    description["about"]["maps"] = bool(description["layers"])
    description["constants"] = constants.described
    return {FILE: _page(description, bytes(constants.content)).encode()}


def with_rounded_weights(network: Network) -> Network:
    """Returns the network with its weights rounded to float16, as numbers of float32."""
    return dataclasses.replace(network, params=jax.tree.map(_rounded, network.params))


def _rounded(weights: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    weights = np.asarray(weights, np.float32)
    with np.errstate(over="ignore"):
        half = weights.astype(np.float16).astype(np.float32)
    return np.where(np.isfinite(half), half, weights)


def _about(reader: Reader) -> dict[str, Any]:
    """Returns what the page says of the reader, as `/healthz` of `--mode=serve` has it."""
    task = reader.network.task
    fewest, most = task.number_lengths or (0, 0)
    return {
        "classes": list(task.classes),
        "digits": [fewest, most],
        "once": bool(reader.network.run.config.evaluation.shift),
        "lines": task.reads_lines,
    }


def _network(reader: Reader, constants: Constants) -> dict[str, Any]:
    """Returns a program for each width of an image, and what is made of its outputs."""
    network, (_, height, width) = reader.network, reader.images.shape
    lines, calibrator = network.task.reads_lines, network.calibrator

    layers: list[str] = []

    def outputs(images: Any) -> dict[str, Any]:
        of_layers = reader.convolutions(images)
        layers[:] = [path.rpartition("/")[2] for path, _ in of_layers]
        shown = {"maps": [maps[0] for _, maps in of_layers]}
        if lines:  # whose decoding is a loop, which JavaScript has of its own
            return {"logits": reader.logits(images), **shown}
        found = reader.read(images)
        return {**{name: found[name] for name in _DRAWN}, **shown}

    widths = strips.WIDTHS if lines else (width,)
    programs = {each: program_of(outputs, (1, height, each), constants) for each in widths}
    return {
        "height": height,
        "threshold": calibrator.threshold,
        "rounding": ROUNDING,
        "programs": programs,
        "layers": layers,
    }


def script() -> str:
    """Returns the program of the worker that reads, in JavaScript."""
    folder = importlib.resources.files("mnist3.web").joinpath("js")
    texts = [folder.joinpath(f"{name}.js").read_text() for name in SCRIPTS]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def _page(description: dict[str, Any], weights: bytes) -> str:
    """Returns the page of `mnist3/web` with all that it needs within."""
    folder = importlib.resources.files("mnist3.web")
    page, style, reader, behaviour = (
        folder.joinpath(name).read_text()
        for name in ("index.html", "page.css", "offline.js", "page.js")
    )
    given = json.dumps(description, separators=(",", ":")).replace("<", "\\u003c")
    content = base64.b64encode(weights).decode()
    inside = (
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<style>\n{style}</style>\n"
        f'<script type="application/json" id="network">{given}</script>\n'
        f'<script type="text/plain" id="weights">{content}</script>\n'
        f'<script type="text/plain" id="program">\n"use strict";\n(() => {{\n{script()}}})();\n'
        "</script>\n"
    )
    end = "".join(f'<script type="module">\n{text}</script>\n' for text in (reader, behaviour))
    for here, there in (
        ('<link rel="stylesheet" href="page.css">\n', inside),
        ('<script src="server.js" defer></script>\n<script src="page.js" defer></script>\n', ""),
        ("</body>\n", end + "</body>\n"),
    ):
        assert page.count(here) == 1
        page = page.replace(here, there)
    return page
