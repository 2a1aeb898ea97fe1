"""What is taken away of a network: from uint8 images to predictions, and what must be known of it.

The program is the network with its parameters, its calibration and the decoding of its task, the
same functions as in `--mode=predict`; only the way from a picture to an image stays outside, and
the metadata say what it has to be.
"""

import importlib.metadata
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.extend import core
from jaxtyping import Array, UInt8
from ml_collections import ConfigDict

from mnist3 import models, ops
from mnist3.data import strips
from mnist3.evaluation import inspection
from mnist3.learners import calibrated
from mnist3.learners.network import Network
from mnist3.training.step import as_ink

IMAGES = "images"  # name of the input
OUTPUTS = {  # names and meaning of what a program may give, beside the task's own values
    "logits": "divided by the temperature of the calibration; their softmax are probabilities of "
    "classes (of the task multilabel their sigmoid)",
    "values": "what is predicted: places in `classes`, -1 behind the end of a string; of "
    "multilabel 0 or 1 for each; of denoise the cleaned image",
    "confidence": "calibrated probability that the whole prediction is right",
    "probabilities": "of each predicted digit, or of each class or label",
    "spans": "first and one-past-last column of pixels at which each digit stands; -1 for none",
    "sure": "whether to rely on the prediction: confidence reaches the threshold and a digit is "
    "read",
}


_CALLS = ("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call", "checkpoint")
_INLINED = ("jaxpr", "call_jaxpr")  # parameters that hold what is called


class Reader(NamedTuple):
    """A network ready to be written in any format.

    Attributes:
        network: with its calibrator.
        logits: from uint8 images `[batch, height, width]` to logits divided by the temperature;
            pure, parameters included, with XLA's own operations alone.
        read: likewise to arrays by their names in `OUTPUTS`.
        convolutions: likewise to the output of each convolution and its layer's path; of an
            ensemble those of the first member.
        images: shape and dtype of the images; what may vary is symbolic.
        metadata: what must be known of the reader, as JSON has it.
    """

    network: Network
    logits: Callable[[Array], Array]
    read: Callable[[Array], dict[str, Array]]
    convolutions: Callable[[Array], list[tuple[str, Array]]]
    images: jax.ShapeDtypeStruct
    metadata: dict[str, Any]


def reader_of(network: Network) -> Reader:
    """Returns the reader of a trained network; it computes in float32 and reads an image once.

    Args:
        network: with its calibrator.
    """
    run, calibrator, task = network.run, network.calibrator, network.task
    model = models.create(run.config.model, task.positions, task.outputs)

    def compute_logits(images: UInt8[Array, "batch height width"]) -> Array:
        with ops.plain_operations():
            found: Any = model.apply({"params": network.params}, as_ink(images))
            return found / calibrator.temperature

    def read(images: UInt8[Array, "batch height width"]) -> dict[str, Array]:
        logits = compute_logits(images)
        with ops.plain_operations():
            found = calibrated.with_sure(task.predict(logits), calibrator, task)
        everything = {**found._asdict(), "logits": logits}
        if task.model_output == "images":
            del everything["logits"]
        return {name: everything[name] for name in OUTPUTS if everything.get(name) is not None}

    def convolutions(images: UInt8[Array, "batch height width"]) -> list[tuple[str, Array]]:
        with ops.plain_operations():
            one, params = models.first_member(model, network.params)
            return inspection.convolutions(one, params, as_ink(images))

    images = _images(run.config, task.reads_lines)
    metadata = _metadata(network, images, jax.eval_shape(read, images))
    return Reader(network, compute_logits, read, convolutions, images, metadata)


def called(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """Returns the function that an operation does nothing but call; None of any other."""
    if equation.primitive.name not in _CALLS:
        return None
    inner = next(equation.params[each] for each in _INLINED if each in equation.params)
    return inner if isinstance(inner, core.ClosedJaxpr) else core.ClosedJaxpr(inner, ())


def _images(config: ConfigDict, strips_alone: bool) -> jax.ShapeDtypeStruct:
    """Returns any number of images of a run; strips are of any width in whole columns."""
    constraints: tuple[str, ...] = ()
    if strips_alone:
        sizes, constraints = f"{strips.HEIGHT}, {strips.COLUMN}*columns", ("columns >= 2",)
    else:
        sizes = f"{config.data.height}, {config.data.width}"
    shape = jax.export.symbolic_shape(f"batch, {sizes}", constraints=constraints)
    return jax.ShapeDtypeStruct(shape, "uint8")


def _metadata(
    network: Network, images: jax.ShapeDtypeStruct, outputs: dict[str, jax.ShapeDtypeStruct]
) -> dict[str, Any]:
    config, calibrator, task = network.run.config, network.calibrator, network.task
    shift = config.evaluation.shift
    notes = [
        f"The run averages over images moved by up to {shift} px, and so does its calibration; "
        "this reader reads each image once, so that its confidence may differ a little."
    ]
    return {
        "mnist3": importlib.metadata.version("mnist3"),
        "model": network.name,
        "task": task.name,
        "classes": list(task.classes),
        "checkpoint_epoch": network.epoch,
        "input": {"name": IMAGES, **_described(images), "pixels": PIXELS},
        "preprocessing": _preprocessing(config, task.reads_lines),
        "outputs": {
            name: {**_described(each), "meaning": OUTPUTS[name]} for name, each in outputs.items()
        },
        "calibration": {
            "temperature": calibrator.temperature,
            "threshold": calibrator.threshold,
            "wanted_error": calibrator.wanted_error,
            "shown_error": calibrator.shown_error,
            "n": calibrator.n,
        },
        "notes": notes if shift else [],
    }


PIXELS = "0 to 255, ink bright on dark: paper 0, ink up to 255"


def _described(array: jax.ShapeDtypeStruct) -> dict[str, Any]:
    shape = [each if isinstance(each, int) else str(each) for each in array.shape]
    return {"dtype": str(array.dtype), "shape": shape}


def _preprocessing(config: ConfigDict, strips_alone: bool) -> dict[str, Any]:
    """Returns what an image has to be, see `mnist3.data.locate` and `mnist3.data.images`."""
    if strips_alone:
        return {
            "kind": "strip",
            "what": "one line of digits, levelled, without printed lines, most digits of "
            "digit_height around the middle row; at least margin of paper to the left and the "
            "right; filled up with paper on the right to the next of widths, a longer one squeezed "
            "to the last",
            "height": strips.HEIGHT,
            "digit_height": strips.DIGIT_HEIGHT,
            "margin": strips.MARGIN,
            "widths": list(strips.WIDTHS),
            "width_multiple": strips.COLUMN,
        }
    return {
        "kind": "whole",
        "what": "the picture scaled as a whole until it just fits, its proportions kept, and "
        "centred on paper; a picture should be the number with a margin of about a fifth of a "
        "digit's height",
        "height": config.data.height,
        "width": config.data.width,
    }
