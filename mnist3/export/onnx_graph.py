"""An ONNX graph under construction: its values, and its sizes that vary.

Arrays that a jaxpr broadcasts keep sizes of 1 in the graph as long as they can, since ONNX's
elementwise operations broadcast by themselves: a `Value` says both shapes. What does not depend on
the inputs is computed while translating.
"""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper

from mnist3.errors import UserError

Dim = Any  # int, or what `jax.export.symbolic_shape` makes
Shape = tuple[Dim, ...]
_TERM = re.compile(r"([+-]?)(?:(\d+)\*)?([A-Za-z_]\w*)|([+-]?)(\d+)")


class Value(NamedTuple):
    """An array of the graph.

    Attributes:
        name: in the graph; empty of a constant.
        shape: that the jaxpr gives it.
        actual: that it has in the graph: 1 where it is still to be broadcast.
        dtype: of its numbers.
        array: of a constant.
    """

    name: str
    shape: Shape
    actual: Shape
    dtype: np.dtype
    array: np.ndarray | None = None


def as_constant(array: Any) -> Value:
    """Returns an array as a value."""
    array = np.asarray(array)
    return Value("", array.shape, array.shape, array.dtype, array)


class Graph:
    """A graph under construction; `within` begins that of a loop's body, which sees this one.

    Attributes:
        nodes: in the order of their computation.
    """

    def __init__(self, parent: "Graph | None" = None) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._root: Graph = parent._root if parent else self
        if parent is None:
            self._sizes: list[onnx.NodeProto] = []  # of dimensions; before all other nodes
            self._initializers: dict[tuple, onnx.TensorProto] = {}
            self._dims: dict[str, str] = {}
            self._count = 0

    def within(self) -> "Graph":
        """Returns the graph of a loop's body."""
        return Graph(self)

    def fresh(self) -> str:
        """Returns a name that nothing has yet."""
        self._root._count += 1
        return f"v{self._root._count}"

    def constant(self, array: Any, dtype: Any = None) -> str:
        """Returns the name of a constant in the graph."""
        array = np.array(array, dtype, order="C")
        root = self._root
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in root._initializers:
            root._initializers[key] = onnx.numpy_helper.from_array(
                array, f"c{len(root._initializers)}"
            )
        return root._initializers[key].name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node and returns the name of its output."""
        return self.nodes_of(operator, *inputs, outputs=1, **attributes)[0]

    def nodes_of(self, operator: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Adds a node and returns the names of its outputs."""
        names = [self.fresh() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names

    def name(self, value: Value) -> str:
        """Returns the name of a value, which has its actual shape there."""
        return value.name if value.array is None else self.constant(value.array)

    def full(self, value: Value) -> str:
        """Returns the name of a value that has its whole shape."""
        if value.shape == value.actual:
            return self.name(value)
        return self.node("Expand", self.name(value), self.size(value.shape))

    def size(self, shape: Sequence[Dim]) -> str:
        """Returns the name of a shape, int64 [dimensions]."""
        if all(isinstance(each, int) for each in shape):
            return self.constant(shape, np.int64)
        root = self._root
        key = f"[{', '.join(map(str, shape))}]"
        if key not in root._dims:
            parts = [self.dim(each) for each in shape]
            root._dims[key] = self._sized("Concat", *parts, axis=0)
        return root._dims[key]

    def dim(self, dim: Dim) -> str:
        """Returns the name of a size, int64 [1].

        Raises:
            UserError: if it is no sum of multiples of the sizes of the inputs.
        """
        if isinstance(dim, int):
            return self.constant([dim], np.int64)
        root = self._root
        if str(dim) not in root._dims:
            text = str(dim).replace(" ", "")
            terms = list(_TERM.finditer(text))
            if "".join(term[0] for term in terms) != text:
                raise UserError(
                    f"the network has an array of size {dim}, which is not translated to ONNX; "
                    "leave it out with --formats=stablehlo,html."
                )
            total = ""
            for term in terms:
                if term[5]:
                    each = self.constant([int(term[4] + term[5])], np.int64)
                else:
                    factor = int(term[1] + (term[2] or "1"))
                    each = root._dims[term[3]]
                    if factor != 1:
                        each = self._sized("Mul", each, self.constant([factor], np.int64))
                total = self._sized("Add", total, each) if total else each
            root._dims[str(dim)] = total
        return root._dims[str(dim)]

    def input(self, name: str, shape: Shape, dtype: np.dtype) -> Value:
        """Returns an input of the whole graph, whose sizes may be multiples of a symbol."""
        root = self._root
        for axis, dim in enumerate(shape):
            if isinstance(dim, int) or str(dim) in root._dims:
                continue
            factor, _, symbol = str(dim).rpartition("*")
            size = self._sized("Shape", name, start=axis, end=axis + 1)
            if factor:
                root._dims[str(dim)] = size
                size = self._sized("Div", size, self.constant([int(factor)], np.int64))
            root._dims[symbol] = size
        return Value(name, shape, shape, dtype)

    def _sized(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = self.fresh()
        self._root._sizes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def all_nodes(self) -> list[onnx.NodeProto]:
        """Returns the nodes of the whole graph, sizes first."""
        return [*self._sizes, *self.nodes]

    def initializers(self) -> list[onnx.TensorProto]:
        """Returns the constants of the whole graph."""
        return list(self._initializers.values())
