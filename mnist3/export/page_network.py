"""A network for JavaScript: the operations that JAX traces, in their order, as JSON has them.

`mnist3/web/js/network.js` knows what each of them computes. Functions within functions become one
list, and what does not depend on the image is computed while translating.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.lax import GatherScatterMode, RoundingMethod

from mnist3.errors import UserError
from mnist3.export.reader import called

_CHANNELS_LAST = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))  # of images, kernels and results
_UNCHANGED = (  # that are told nothing beside their arguments
    *("abs", "add", "add_any", "and", "ceil", "clamp", "convert_element_type", "copy", "div", "eq"),
    *("exp", "floor", "ge", "gt", "le", "log", "logistic", "lt", "max", "min", "mul", "ne", "neg"),
    *("not", "or", "rem", "rsqrt", "select_n", "sign", "sqrt", "square", "squeeze"),
    *("stop_gradient", "sub", "tanh"),
)
_REDUCTIONS = (
    *("argmax", "reduce_and", "reduce_max", "reduce_min"),
    *("reduce_or", "reduce_prod", "reduce_sum"),
)
_NAMES = {"add_any": "add", "copy": "same", "stop_gradient": "same", "squeeze": "reshape"}
_SMALL = 16  # numbers; a constant of no more is written as text


class Constants:
    """The constants of programs, each once: numbers as text, or bytes one after the other.

    Attributes:
        described: of each its shape, and either its values or its type and place.
        content: bytes of the larger ones, float16 where that is exact, else float32.
    """

    def __init__(self) -> None:
        self.described: list[dict[str, Any]] = []
        self.content = bytearray()
        self._known: dict[tuple, str] = {}

    def add(self, array: Any) -> str:
        """Returns the name of a constant."""
        array = np.asarray(array)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            self._known[key] = f"c{len(self.described)}"
            self.described.append({"shape": list(array.shape), **self._stored(array)})
        return self._known[key]

    def _stored(self, array: np.ndarray) -> dict[str, Any]:
        single = array.astype(np.float32)
        if array.size <= _SMALL and np.isfinite(single).all():
            return {"values": single.ravel().tolist()}
        with np.errstate(over="ignore"):
            half = single.astype(np.float16)
        exact = np.array_equal(half, single, equal_nan=True)
        stored = half.astype("<f2") if exact else single.astype("<f4")
        self.content.extend(b"\0" * (-len(self.content) % 4))
        place = len(self.content)
        self.content.extend(stored.tobytes())
        return {"type": "float16" if exact else "float32", "place": place}


def program_of(
    function: Callable[[Any], dict[str, Any]], shape: tuple[int, ...], constants: Constants
) -> dict[str, Any]:
    """Returns the operations of a function of one uint8 array.

    Args:
        function: to arrays by their names, or to lists of them.
        shape: of its argument.
        constants: to which those of the function are added.

    Raises:
        UserError: if it has an operation that is not translated; names it.
    """
    traced, outputs = jax.make_jaxpr(function, return_shape=True)(
        jax.ShapeDtypeStruct(shape, np.uint8)
    )
    program = _Program(constants)
    results = program.translate(traced.jaxpr, traced.consts, ["image"])
    names = [program.name(value) for value in results]
    return {
        "shape": list(shape),
        "steps": program.needed(names),
        "outputs": jax.tree.unflatten(jax.tree.structure(outputs), names),
    }


class _Program:
    """Operations in their order, each once; a value is the name of one, or a known array."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self._steps: list[dict[str, Any]] = []
        self._names: dict[str, str] = {}  # of operations that are known

    def name(self, value: Any) -> str:
        """Returns the name of a value."""
        return value if isinstance(value, str) else self._constants.add(value)

    def needed(self, outputs: Any) -> list[dict[str, Any]]:
        """Returns the operations that outputs follow from."""
        wanted, found = set(outputs), []
        for step in reversed(self._steps):
            if step["to"] in wanted:
                wanted.update(step["of"])
                found.append(step)
        return found[::-1]

    def translate(
        self, jaxpr: core.Jaxpr, constants: Sequence[Any], given: Sequence[Any]
    ) -> list[Any]:
        """Adds what a function computes, and returns its results."""
        known: dict[core.Var, Any] = dict(zip(jaxpr.invars, given, strict=True))
        known.update(zip(jaxpr.constvars, map(np.asarray, constants), strict=True))

        def value_of(atom: Any) -> Any:
            if isinstance(atom, core.Literal):
                return np.asarray(atom.val, atom.aval.dtype)  # type: ignore[attr-defined]
            return known[atom]

        for equation in jaxpr.eqns:
            arguments = [value_of(atom) for atom in equation.invars]
            if inner := called(equation):
                found = self.translate(inner.jaxpr, inner.consts, arguments)
            elif not any(isinstance(each, str) for each in arguments):
                made = equation.primitive.bind(*arguments, **equation.params)
                found = list(
                    map(np.asarray, made if equation.primitive.multiple_results else [made])
                )
            else:
                found = [self._step(equation, arguments)]
            known.update(zip(equation.outvars, found, strict=True))
        return [value_of(atom) for atom in jaxpr.outvars]

    def _step(self, equation: core.JaxprEqn, arguments: list[Any]) -> str:
        aval: Any = equation.outvars[0].aval
        name = equation.primitive.name
        step = {
            "does": _NAMES.get(name, name),
            "of": list(map(self.name, arguments)),
            "shape": list(aval.shape),
            **_parameters(equation),
        }
        if np.issubdtype(aval.dtype, np.integer) and name in ("div", "convert_element_type"):
            step["whole"] = True
        same = json.dumps(step)
        if same not in self._names:
            self._names[same] = f"v{len(self._steps)}"
            self._steps.append({**step, "to": self._names[same]})
        return self._names[same]


def _parameters(equation: core.JaxprEqn) -> dict[str, Any]:
    """Returns what an operation must be told beside its arguments and the shape of its result.

    Raises:
        UserError: if it is not translated, or used in another way than our networks do.
    """
    name, params = equation.primitive.name, equation.params
    if name in _UNCHANGED:
        return {}
    if name in _REDUCTIONS:
        return {"axes": _ints(params["axes"])}
    if name == "reshape":
        _require(params["dimensions"] is None, equation)
        return {}
    if name == "integer_pow":
        return {"power": params["y"]}
    if name == "round":
        _require(params["rounding_method"] == RoundingMethod.TO_NEAREST_EVEN, equation)
        return {}
    if name == "broadcast_in_dim":
        return {"axes": _ints(params["broadcast_dimensions"])}
    if name == "transpose":
        return {"axes": _ints(params["permutation"])}
    if name == "concatenate":
        return {"axis": int(params["dimension"])}
    if name == "stack":
        return {"axis": int(params["axis"])}
    if name == "slice":
        starts = _ints(params["start_indices"])
        return {"starts": starts, "steps": _ints(params["strides"] or [1] * len(starts))}
    if name == "pad":
        _require(all(edge[2] == 0 for edge in params["padding_config"]), equation)
        return {"before": [int(low) for low, _, _ in params["padding_config"]]}
    if name == "dot_general":
        (left, right), (left_batch, right_batch) = params["dimension_numbers"]
        summed, batch = [_ints(left), _ints(right)], [_ints(left_batch), _ints(right_batch)]
        return {"summed": summed, "batch": batch}
    if name == "conv_general_dilated":
        return _convolution(equation)
    if name == "reduce_window_max":
        _require({*params["base_dilation"], *params["window_dilation"]} == {1}, equation)
        return {
            "window": _ints(params["window_dimensions"]),
            "steps": _ints(params["window_strides"]),
            "before": [int(low) for low, _ in params["padding"]],
        }
    if name == "gather":
        return _gather(equation)
    raise UserError(
        f"the network computes {name}, which is not translated to JavaScript; leave it out with "
        "--formats=stablehlo,onnx, or add it to mnist3/export/page_network.py."
    )


def _convolution(equation: core.JaxprEqn) -> dict[str, Any]:
    params = equation.params
    numbers = params["dimension_numbers"]
    layout = tuple(map(tuple, (numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec)))
    once = {*params["lhs_dilation"], *params["rhs_dilation"]} == {1}
    groups = {params["feature_group_count"], params["batch_group_count"]} == {1}
    _require(layout == _CHANNELS_LAST and once and groups, equation)
    return {
        "steps": _ints(params["window_strides"]),
        "before": [int(low) for low, _ in params["padding"]],
    }


def _gather(equation: core.JaxprEqn) -> dict[str, Any]:
    params = equation.params
    numbers, mode = params["dimension_numbers"], params["mode"]
    held = mode in (GatherScatterMode.CLIP, GatherScatterMode.PROMISE_IN_BOUNDS)
    _require(held or mode == GatherScatterMode.FILL_OR_DROP, equation)
    return {
        "offset": _ints(numbers.offset_dims),
        "collapsed": _ints(numbers.collapsed_slice_dims),
        "started": _ints(numbers.start_index_map),
        "shared": [
            _ints(numbers.operand_batching_dims),
            _ints(numbers.start_indices_batching_dims),
        ],
        "sizes": _ints(params["slice_sizes"]),
        "held": held,
    }


def _ints(values: Any) -> list[int]:
    return [int(value) for value in values]


def _require(right: bool, equation: core.JaxprEqn) -> None:
    if not right:
        raise UserError(
            f"the network computes {equation.primitive.name} in a way that is not translated to "
            "JavaScript; leave it out with --formats=stablehlo,onnx."
        )
