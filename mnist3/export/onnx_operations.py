"""The operations that our networks and their decoding need, each by those of ONNX.

A function of `OPERATIONS` is given the graph, the operation as JAX traces it and its arguments, and
returns its results. One that is not here, or is used in another way than our networks do, is a
UserError that names it.
"""

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jax.lax import GatherScatterMode, RoundingMethod
from onnx import helper

from mnist3.errors import UserError
from mnist3.export.onnx_graph import Graph, Shape, Value

Operation = Callable[..., Value | list[Value]]
OPERATIONS: dict[str, Operation] = {}
_TO_THE_END = np.iinfo(np.int64).max


def _operation(*names: str) -> Callable[[Operation], Operation]:
    def register(function: Operation) -> Operation:
        OPERATIONS.update(dict.fromkeys(names, function))
        return function

    return register


def _require(right: bool, equation: Any, what: str) -> None:
    if not right:
        raise UserError(
            f"the network computes {equation.primitive.name} with {what}, which is not translated "
            "to ONNX; leave it out with --formats=stablehlo,html."
        )


def _result(equation: Any, name: str, actual: Shape | None = None) -> Value:
    """Returns the first result of an operation; of its whole shape, unless another is given."""
    aval = equation.outvars[0].aval
    return Value(name, aval.shape, aval.shape if actual is None else actual, aval.dtype)


def _broadcast(*arguments: Value) -> Shape:
    """Returns the shape that elementwise operations give; arguments have one rank, or are scalars.

    Sizes that differ are 1 and the size itself.
    """
    rank = max(len(each.actual) for each in arguments)
    shapes = [each.actual or (1,) * rank for each in arguments]
    return tuple(
        next((size for size in sizes if size != 1), 1) for sizes in zip(*shapes, strict=True)
    )


def _elementwise(graph: Graph, equation: Any, operator: str, *arguments: Value) -> Value:
    name = graph.node(operator, *map(graph.name, arguments))
    return _result(equation, name, _broadcast(*arguments))


_ELEMENTWISE = {
    "abs": "Abs",
    "add": "Add",
    "add_any": "Add",
    "ceil": "Ceil",
    "copy": "Identity",
    "div": "Div",
    "eq": "Equal",
    "exp": "Exp",
    "floor": "Floor",
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "log": "Log",
    "logistic": "Sigmoid",
    "lt": "Less",
    "max": "Max",
    "min": "Min",
    "mul": "Mul",
    "neg": "Neg",
    "sign": "Sign",
    "sqrt": "Sqrt",
    "stop_gradient": "Identity",
    "sub": "Sub",
    "tanh": "Tanh",
}


@_operation(*_ELEMENTWISE)
def _simple(graph: Graph, equation: Any, *arguments: Value) -> Value:
    return _elementwise(graph, equation, _ELEMENTWISE[equation.primitive.name], *arguments)


@_operation("and", "or", "not")
def _logical(graph: Graph, equation: Any, *arguments: Value) -> Value:
    _require(arguments[0].dtype == bool, equation, "numbers")
    return _elementwise(graph, equation, equation.primitive.name.capitalize(), *arguments)


@_operation("ne")
def _not_equal(graph: Graph, equation: Any, *arguments: Value) -> Value:
    equal = graph.node("Equal", *map(graph.name, arguments))
    return _result(equation, graph.node("Not", equal), _broadcast(*arguments))


@_operation("rem")
def _remainder(graph: Graph, equation: Any, *arguments: Value) -> Value:
    name = graph.node("Mod", *map(graph.name, arguments), fmod=1)  # of the sign of the first
    return _result(equation, name, _broadcast(*arguments))


@_operation("rsqrt")
def _reciprocal_root(graph: Graph, equation: Any, value: Value) -> Value:
    name = graph.node("Reciprocal", graph.node("Sqrt", graph.name(value)))
    return _result(equation, name, value.actual)


@_operation("log1p")
def _log_of_one_and(graph: Graph, equation: Any, value: Value) -> Value:
    one = graph.constant(1, value.dtype)
    name = graph.node("Log", graph.node("Add", graph.name(value), one))
    return _result(equation, name, value.actual)


@_operation("square")
def _square(graph: Graph, equation: Any, value: Value) -> Value:
    return _elementwise(graph, equation, "Mul", value, value)


@_operation("integer_pow")
def _power(graph: Graph, equation: Any, value: Value) -> Value:
    exponent = graph.constant(equation.params["y"], value.dtype)
    return _result(equation, graph.node("Pow", graph.name(value), exponent), value.actual)


@_operation("is_finite")
def _is_finite(graph: Graph, equation: Any, value: Value) -> Value:
    name = graph.name(value)
    other = graph.node("Or", graph.node("IsInf", name), graph.node("IsNaN", name))
    return _result(equation, graph.node("Not", other), value.actual)


@_operation("round")
def _round(graph: Graph, equation: Any, value: Value) -> Value:
    to_even = equation.params["rounding_method"] == RoundingMethod.TO_NEAREST_EVEN
    _require(to_even, equation, "halves away from zero")
    return _elementwise(graph, equation, "Round", value)


@_operation("clamp")
def _clamp(graph: Graph, equation: Any, low: Value, value: Value, high: Value) -> Value:
    above = graph.node("Max", graph.name(value), graph.name(low))
    name = graph.node("Min", above, graph.name(high))
    return _result(equation, name, _broadcast(low, value, high))


@_operation("select_n")
def _select(graph: Graph, equation: Any, which: Value, *cases: Value) -> Value:
    _require(which.dtype == bool and len(cases) == 2, equation, "several cases")
    false, true = cases
    name = graph.node("Where", *map(graph.name, (which, true, false)))
    return _result(equation, name, _broadcast(which, *cases))


@_operation("convert_element_type")
def _convert(graph: Graph, equation: Any, value: Value) -> Value:
    return _result(
        equation, _cast(graph, graph.name(value), equation.params["new_dtype"]), value.actual
    )


def _cast(graph: Graph, name: str, dtype: Any) -> str:
    return graph.node("Cast", name, to=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))


@_operation("broadcast_in_dim")
def _broadcast_in_dim(graph: Graph, equation: Any, value: Value, *sizes: Value) -> Value:
    kept = [int(axis) for axis in equation.params["broadcast_dimensions"]]
    rank = len(equation.params["shape"])
    new = [axis for axis in range(rank) if axis not in kept]
    name = graph.name(value)
    if new:
        name = graph.node("Unsqueeze", name, graph.constant(new, np.int64))
    actual: list[Any] = [1] * rank
    for axis, size in zip(kept, value.actual, strict=True):
        actual[axis] = size
    return _result(equation, name, tuple(actual))


@_operation("reshape")
def _reshape(graph: Graph, equation: Any, value: Value) -> Value:
    _require(equation.params["dimensions"] is None, equation, "dimensions in another order")
    shape = equation.params["new_sizes"]
    return _result(equation, graph.node("Reshape", graph.full(value), _reshaped(graph, shape)))


def _reshaped(graph: Graph, shape: Shape) -> str:
    """Returns the name of a shape to reshape to; one size that varies follows from the others."""
    vary = [not isinstance(size, int) for size in shape]
    if sum(vary) == 1 and 0 not in shape:
        return graph.constant(
            [-1 if each else size for each, size in zip(vary, shape, strict=True)], np.int64
        )
    return graph.size(shape)


@_operation("squeeze")
def _squeeze(graph: Graph, equation: Any, value: Value) -> Value:
    axes = [axis % len(value.shape) for axis in equation.params["dimensions"]]
    name = graph.node("Squeeze", graph.name(value), graph.constant(axes, np.int64))
    left = tuple(size for axis, size in enumerate(value.actual) if axis not in axes)
    return _result(equation, name, left)


@_operation("transpose")
def _transpose(graph: Graph, equation: Any, value: Value) -> Value:
    order = [int(axis) for axis in equation.params["permutation"]]
    name = graph.node("Transpose", graph.name(value), perm=order)
    return _result(equation, name, tuple(value.actual[axis] for axis in order))


@_operation("concatenate")
def _concatenate(graph: Graph, equation: Any, *values: Value) -> Value:
    axis = int(equation.params["dimension"])
    return _result(equation, graph.node("Concat", *map(graph.full, values), axis=axis))


@_operation("stack")
def _stack(graph: Graph, equation: Any, *values: Value) -> Value:
    axis = int(equation.params["axis"])
    place = graph.constant([axis], np.int64)
    wider = [graph.node("Unsqueeze", graph.full(value), place) for value in values]
    return _result(equation, graph.node("Concat", *wider, axis=axis))


@_operation("slice")
def _slice(graph: Graph, equation: Any, value: Value) -> Value:
    params = equation.params
    steps = params["strides"] or [1] * len(value.shape)
    return _cut(graph, equation, value, params["start_indices"], params["limit_indices"], steps)


def _cut(
    graph: Graph,
    equation: Any,
    value: Value,
    starts: Sequence[int],
    ends: Sequence[Any],
    steps: Sequence[int],
) -> Value:
    axes = range(len(value.shape))
    cut = [a for a in axes if (starts[a], ends[a], steps[a]) != (0, value.shape[a], 1)]
    if not cut:
        return value
    limits = [_TO_THE_END if ends[a] == value.shape[a] else ends[a] for a in cut]
    name = graph.node(
        "Slice",
        graph.full(value),
        graph.size([starts[a] for a in cut]),
        graph.size(limits),
        graph.constant(cut, np.int64),
        graph.constant([steps[a] for a in cut], np.int64),
    )
    return _result(equation, name)


@_operation("dynamic_slice")
def _window(graph: Graph, equation: Any, value: Value, *places: Value) -> Value:
    sizes = graph.size(equation.params["slice_sizes"])
    one = graph.constant([1], np.int64)
    starts = [graph.node("Reshape", graph.full(place), one) for place in places]
    asked = _cast(graph, graph.node("Concat", *starts, axis=0), np.int64)
    highest = graph.node("Sub", graph.size(value.shape), sizes)
    start = graph.node("Max", graph.node("Min", asked, highest), graph.constant(0, np.int64))
    end = graph.node("Add", start, sizes)
    return _result(equation, graph.node("Slice", graph.full(value), start, end))


@_operation("rev")
def _reverse(graph: Graph, equation: Any, value: Value) -> Value:
    axes = [int(axis) for axis in equation.params["dimensions"]]
    edges = [[-1] * len(axes), [-_TO_THE_END] * len(axes), axes, [-1] * len(axes)]
    name = graph.node(
        "Slice", graph.full(value), *(graph.constant(each, np.int64) for each in edges)
    )
    return _result(equation, name)


@_operation("pad")
def _pad(graph: Graph, equation: Any, value: Value, filling: Value) -> Value:
    edges = equation.params["padding_config"]
    _require(not any(inner for _, _, inner in edges), equation, "gaps between the values")
    if not any(low or high for low, high, _ in edges):
        return value
    pads = graph.size([*(low for low, _, _ in edges), *(high for _, high, _ in edges)])
    return _result(equation, graph.node("Pad", graph.full(value), pads, graph.name(filling)))


@_operation("iota")
def _iota(graph: Graph, equation: Any, *sizes: Value) -> Value:
    params = equation.params
    axis, shape = params["dimension"], params["shape"]
    scalar = graph.constant([], np.int64)
    end = graph.node("Reshape", graph.dim(shape[axis]), scalar)
    name = graph.node("Range", graph.constant(0, np.int64), end, graph.constant(1, np.int64))
    others = [other for other in range(len(shape)) if other != axis]
    if others:
        name = graph.node("Unsqueeze", name, graph.constant(others, np.int64))
    actual = tuple(size if place == axis else 1 for place, size in enumerate(shape))
    return _result(equation, _cast(graph, name, params["dtype"]), actual)


@_operation("dim_as_value")
def _size(graph: Graph, equation: Any) -> Value:
    scalar = graph.constant([], np.int64)
    name = graph.node("Reshape", graph.dim(equation.params["dim"]), scalar)
    return _result(equation, _cast(graph, name, equation.outvars[0].aval.dtype))


_REDUCTIONS = {
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
    "reduce_sum": "ReduceSum",
}


@_operation(*_REDUCTIONS)
def _reduce(graph: Graph, equation: Any, value: Value) -> Value:
    if not equation.params["axes"]:  # of which ONNX would make all
        return value
    operator = _REDUCTIONS[equation.primitive.name]
    axes = graph.constant(equation.params["axes"], np.int64)
    return _result(equation, graph.node(operator, graph.full(value), axes, keepdims=0))


@_operation("reduce_and", "reduce_or")
def _reduce_logical(graph: Graph, equation: Any, value: Value) -> Value:
    _require(value.dtype == bool, equation, "numbers")
    operator = "ReduceMin" if equation.primitive.name == "reduce_and" else "ReduceMax"
    axes = graph.constant(equation.params["axes"], np.int64)
    found = graph.node(operator, _cast(graph, graph.full(value), np.int32), axes, keepdims=0)
    return _result(equation, _cast(graph, found, bool))


@_operation("argmax")
def _argmax(graph: Graph, equation: Any, value: Value) -> Value:
    (axis,) = equation.params["axes"]
    name = graph.full(value)
    if value.dtype == bool:
        name = _cast(graph, name, np.float32)
    found = graph.node("ArgMax", name, axis=int(axis), keepdims=0)  # of several the first
    return _result(equation, _cast(graph, found, equation.params["index_dtype"]))


@_operation("top_k")
def _top_k(graph: Graph, equation: Any, value: Value) -> list[Value]:
    count = graph.constant([equation.params["k"]], np.int64)
    axis = int(equation.params["axis"])
    largest, places = graph.nodes_of("TopK", graph.full(value), count, outputs=2, axis=axis)
    avals = [variable.aval for variable in equation.outvars]
    names = [largest, _cast(graph, places, avals[1].dtype)]
    return [
        Value(name, aval.shape, aval.shape, aval.dtype)
        for name, aval in zip(names, avals, strict=True)
    ]


@_operation("cumsum")
def _cumulative_sum(graph: Graph, equation: Any, value: Value) -> Value:
    axis = graph.constant(equation.params["axis"], np.int64)
    backwards = int(equation.params["reverse"])
    return _result(equation, graph.node("CumSum", graph.full(value), axis, reverse=backwards))


@_operation("dot_general")
def _product(graph: Graph, equation: Any, left: Value, right: Value) -> Value:
    (left_sum, right_sum), (left_batch, right_batch) = equation.params["dimension_numbers"]
    ranks = len(left.shape), len(right.shape)
    names = graph.full(left), graph.full(right)
    dense = (tuple(left_sum), tuple(right_sum)) == ((ranks[0] - 1,), (0,))
    if dense and not left_batch and ranks[1] == 2:
        return _result(equation, graph.node("MatMul", *names))
    letters = iter(string.ascii_lowercase)
    of_left = [next(letters) for _ in range(ranks[0])]
    of_right = [next(letters) for _ in range(ranks[1])]
    for axes in ((left_sum, right_sum), (left_batch, right_batch)):
        for one, other in zip(*axes, strict=True):
            of_right[other] = of_left[one]
    shared = {*left_sum, *left_batch}, {*right_sum, *right_batch}
    kept = [of_left[axis] for axis in left_batch]
    for each, taken in zip((of_left, of_right), shared, strict=True):
        kept += [letter for axis, letter in enumerate(each) if axis not in taken]
    words = f"{''.join(of_left)},{''.join(of_right)}->{''.join(kept)}"
    return _result(equation, graph.node("Einsum", *names, equation=words))


@_operation("conv_general_dilated")
def _convolution(graph: Graph, equation: Any, images: Value, kernels: Value) -> Value:
    params = equation.params
    numbers = params["dimension_numbers"]
    undone = {*params["lhs_dilation"], params["batch_group_count"]} == {1}
    _require(undone, equation, "images spread or a batch in groups")
    edges = [(low, high) for low, high in params["padding"]]
    inside = all(isinstance(each, int) and each >= 0 for edge in edges for each in edge)
    _require(inside, equation, "padding below zero")
    name = graph.node(
        "Conv",
        graph.node("Transpose", graph.full(images), perm=list(numbers.lhs_spec)),
        _kernels(graph, kernels, numbers.rhs_spec),
        strides=list(params["window_strides"]),
        pads=[low for low, _ in edges] + [high for _, high in edges],
        dilations=list(params["rhs_dilation"]),
        group=params["feature_group_count"],
    )
    back = np.argsort(numbers.out_spec).tolist()
    return _result(equation, graph.node("Transpose", name, perm=back))


def _kernels(graph: Graph, kernels: Value, order: Sequence[int]) -> str:
    if kernels.array is not None:
        return graph.constant(kernels.array.transpose(order))
    return graph.node("Transpose", graph.full(kernels), perm=list(order))


@_operation("reduce_window_max")
def _max_pool(graph: Graph, equation: Any, images: Value) -> Value:
    params = equation.params
    windows, strides = params["window_dimensions"], params["window_strides"]
    edges = [tuple(edge) for edge in params["padding"]]
    plain = {*params["base_dilation"], *params["window_dilation"]} == {1}
    channels_last = len(windows) == 4 and all(
        (windows[axis], strides[axis], edges[axis]) == (1, 1, (0, 0)) for axis in (0, 3)
    )
    _require(plain and channels_last, equation, "windows over other axes than rows and columns")
    name = graph.node(
        "MaxPool",
        graph.node("Transpose", graph.full(images), perm=[0, 3, 1, 2]),
        kernel_shape=list(windows[1:3]),
        strides=list(strides[1:3]),
        pads=[edge[0] for edge in edges[1:3]] + [edge[1] for edge in edges[1:3]],
    )
    return _result(equation, graph.node("Transpose", name, perm=[0, 2, 3, 1]))


@_operation("gather")
def _gather(graph: Graph, equation: Any, values: Value, places: Value) -> Value:
    """Cuts windows that begin at given places, by GatherND with the places of all their values.

    Axes are of three kinds: shared with the places, one for one (batching); those that the places
    are of (placed); and those that are taken whole.
    """
    params = equation.params
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    shared = [int(axis) for axis in numbers.operand_batching_dims]
    placed = [int(axis) for axis in numbers.start_index_map]
    collapsed = [int(axis) for axis in numbers.collapsed_slice_dims]
    whole = [a for a in range(len(sizes)) if a not in (*shared, *placed)]
    if places.array is not None and places.array.ndim == 1 and not collapsed:
        begins = dict(zip(placed, places.array.tolist(), strict=True))
        lowest = [begins.get(axis, 0) for axis in range(len(sizes))]
        ends = [begin + size for begin, size in zip(lowest, sizes, strict=True)]
        return _cut(graph, equation, values, lowest, ends, [1] * len(sizes))
    taken = all(sizes[axis] == values.shape[axis] and axis not in collapsed for axis in whole)
    _require(taken, equation, "axes that are neither taken whole nor from given places")
    sized = all(isinstance(sizes[axis], int) for axis in placed)
    _require(sized, equation, "windows of a size that varies")

    highest = graph.node(
        "Sub",
        graph.size([values.shape[axis] for axis in placed]),
        graph.constant([sizes[axis] for axis in placed], np.int64),
    )
    asked = _cast(graph, graph.full(places), np.int64)
    batch = len(places.shape) - 1  # axes of the places; the last one is over `placed`
    first = [int(axis) for axis in numbers.start_indices_batching_dims]
    of_places = [*first, *(axis for axis in range(batch) if axis not in first)]
    asked = _transposed(graph, asked, [*of_places, batch])
    starts = graph.node("Max", graph.node("Min", asked, highest), graph.constant(0, np.int64))
    windows = [axis for axis in placed if axis not in collapsed]
    indices = starts
    if windows:
        room = graph.constant(range(batch, batch + len(windows)), np.int64)
        offsets = graph.constant(_offsets(sizes, windows, placed))
        indices = graph.node("Add", graph.node("Unsqueeze", starts, room), offsets)
    source = _transposed(graph, graph.full(values), [*shared, *placed, *whole])
    name = graph.node("GatherND", source, indices, batch_dims=len(shared))

    own = [*windows, *whole]  # the axes of a window, behind those of the places
    of_window = [a for a in range(len(sizes)) if a not in (*shared, *collapsed)]
    rest = iter(range(batch))
    offset_dims = [int(axis) for axis in numbers.offset_dims]
    back = [
        batch + own.index(of_window[offset_dims.index(axis)])
        if axis in offset_dims
        else of_places.index(next(rest))
        for axis in range(batch + len(own))
    ]
    name = _transposed(graph, name, back)
    if params["mode"] == GatherScatterMode.FILL_OR_DROP:
        same = _cast(graph, graph.node("Equal", asked, starts), np.int32)
        last = graph.constant([-1], np.int64)
        inside = _cast(graph, graph.node("ReduceMin", same, last, keepdims=0), bool)
        inside = _transposed(graph, inside, np.argsort(of_places).tolist())
        if offset_dims:
            inside = graph.node("Unsqueeze", inside, graph.constant(offset_dims, np.int64))
        filling = graph.constant(_filling(params["fill_value"], values.dtype), values.dtype)
        name = graph.node("Where", inside, name, filling)
    return _result(equation, name)


def _offsets(sizes: Sequence[int], windows: Sequence[int], placed: Sequence[int]) -> np.ndarray:
    """Returns how far each value of a window is from its beginning, [*window, placed axes]."""
    offsets = np.zeros((*(sizes[axis] for axis in windows), len(placed)), np.int64)
    for axis in windows:
        steps = np.arange(sizes[axis]).reshape([-1 if each == axis else 1 for each in windows])
        offsets[..., placed.index(axis)] = steps
    return offsets


def _transposed(graph: Graph, name: str, order: Sequence[int]) -> str:
    in_order = list(order) == sorted(order)
    return name if in_order else graph.node("Transpose", name, perm=list(order))


def _filling(value: Any, dtype: np.dtype) -> Any:
    """Returns what stands outside of an array: what was given, else what JAX takes."""
    if value is not None:
        return value
    if np.issubdtype(dtype, np.floating):
        return np.nan
    return np.iinfo(dtype).min if np.issubdtype(dtype, np.signedinteger) else True
