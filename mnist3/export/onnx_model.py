"""From a function as JAX traces it to an ONNX model.

Functions within functions become one graph, and a `jax.lax.scan` becomes ONNX's Scan. What does
not depend on the inputs is computed while translating.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from jax.extend import core
from onnx import helper

from mnist3.errors import UserError
from mnist3.export.onnx_graph import Graph, Shape, Value, as_constant
from mnist3.export.onnx_operations import OPERATIONS
from mnist3.export.reader import called

OPSET = 21  # old enough for other runtimes than the newest, and all that is needed here
IR_VERSION = 10  # of the same release


def described(name: str, shape: Shape, dtype: np.dtype) -> onnx.ValueInfoProto:
    """Returns name, type and shape of an input or output."""
    dims = [each if isinstance(each, int) else str(each) for each in shape]
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), dims)


def model_of(
    traced: core.ClosedJaxpr, inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """Returns the ONNX model of a function as `jax.make_jaxpr` traces it.

    Args:
        traced: with what it closes over as constants; sizes may be symbolic.
        inputs: names of its arguments.
        outputs: names of its results.

    Raises:
        UserError: if it has an operation that is not translated; names it.
    """
    graph = Graph()
    variables = traced.jaxpr.invars
    given = [
        graph.input(name, variable.aval.shape, variable.aval.dtype)
        for name, variable in zip(inputs, variables, strict=True)
    ]
    results = translate(graph, traced.jaxpr, traced.consts, given)
    for name, value in zip(outputs, results, strict=True):
        graph.nodes.append(helper.make_node("Identity", [graph.full(value)], [name]))
    proto = helper.make_graph(
        graph.all_nodes(),
        "reader",
        [described(each.name, each.shape, each.dtype) for each in given],
        [described(name, v.shape, v.dtype) for name, v in zip(outputs, results, strict=True)],
        graph.initializers(),
    )
    model = helper.make_model(
        proto,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="mnist3",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def translate(
    graph: Graph, jaxpr: core.Jaxpr, constants: Sequence[Any], given: Sequence[Value]
) -> list[Value]:
    """Adds what a jaxpr computes to a graph and returns its results.

    Args:
        graph: to which nodes are added.
        jaxpr: the function.
        constants: that it closes over: arrays, or values of an outer graph.
        given: its arguments.

    Raises:
        UserError: if it has an operation that is not translated; names it.
    """
    known: dict[core.Var, Value] = dict(zip(jaxpr.invars, given, strict=True))
    for variable, constant in zip(jaxpr.constvars, constants, strict=True):
        known[variable] = constant if isinstance(constant, Value) else as_constant(constant)

    def value_of(atom: Any) -> Value:
        if isinstance(atom, core.Literal):
            aval: Any = atom.aval
            return as_constant(np.asarray(atom.val, aval.dtype))
        return known[atom]

    for equation in jaxpr.eqns:
        name = equation.primitive.name
        arguments = [value_of(atom) for atom in equation.invars]
        if name == "scan":
            found = _scan(graph, equation.params, arguments)
        elif inner := called(equation):
            found = translate(graph, inner.jaxpr, inner.consts, arguments)
        elif _is_known(arguments, equation):
            found = _computed(equation, arguments)
        elif name in OPERATIONS:
            made = OPERATIONS[name](graph, equation, *arguments)
            found = [made] if isinstance(made, Value) else made
        else:
            raise UserError(
                f"the network computes {name}, which is not translated to ONNX; leave it out with "
                "--formats=stablehlo,html, or add it to mnist3/export/onnx_operations.py."
            )
        known.update(zip(equation.outvars, found, strict=True))
    return [value_of(atom) for atom in jaxpr.outvars]


def _is_known(arguments: Sequence[Value], equation: Any) -> bool:
    sizes = [size for variable in equation.outvars for size in variable.aval.shape]
    return (
        all(each.array is not None for each in arguments)
        and all(isinstance(size, int) for size in sizes)
        and equation.primitive.name != "dim_as_value"
    )


def _computed(equation: Any, arguments: Sequence[Value]) -> list[Value]:
    arrays = [each.array for each in arguments]
    found = equation.primitive.bind(*arrays, **equation.params)
    return [
        as_constant(each) for each in (found if equation.primitive.multiple_results else [found])
    ]


def _scan(graph: Graph, params: dict[str, Any], arguments: Sequence[Value]) -> list[Value]:
    """Adds a loop over the first axis of arrays; what it only reads is seen from its body."""
    consts, carries = params["num_consts"], params["num_carry"]
    jaxpr = params["jaxpr"]
    read, carried, scanned = np.split(np.arange(len(arguments)), [consts, consts + carries])
    body = graph.within()
    given = [
        Value(body.fresh(), variable.aval.shape, variable.aval.shape, variable.aval.dtype)
        for variable in jaxpr.jaxpr.invars[consts:]
    ]
    seen = [arguments[place] for place in read]
    found = translate(body, jaxpr.jaxpr, jaxpr.consts, [*seen, *given])
    results = []
    for value in found:  # each of a name of its own, as the outputs of a graph need
        results.append(described(body.node("Identity", body.full(value)), value.shape, value.dtype))
    way = int(params["reverse"])
    ways = {
        "scan_input_directions": [way] * len(scanned),
        "scan_output_directions": [way] * (len(found) - carries),
    }
    names = graph.nodes_of(
        "Scan",
        *(graph.full(arguments[place]) for place in (*carried, *scanned)),
        outputs=len(found),
        body=helper.make_graph(
            body.nodes,
            body.fresh(),
            [described(each.name, each.shape, each.dtype) for each in given],
            results,
        ),
        num_scan_inputs=len(scanned),
        **{name: value for name, value in ways.items() if value},
    )
    shapes = [
        value.shape if place < carries else (params["length"], *value.shape)
        for place, value in enumerate(found)
    ]
    return [
        Value(name, shape, shape, value.dtype)
        for name, shape, value in zip(names, shapes, found, strict=True)
    ]
