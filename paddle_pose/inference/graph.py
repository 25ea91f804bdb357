"""A network as a static graph, batch norms and biases folded into its convolutions.

Paddle traces the network; what follows is one walk over the traced program, whose time grows with
its length. Paddle's own ways (``jit.save``, the passes that fold batch norms) compare every
operation with every other: three quarters of the seconds that compiling HRNet took.
"""

from __future__ import annotations

import contextlib
import math
import struct
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.base.proto import framework_pb2
from paddle.jit.dy2static.program_translator import ConcreteProgram

_CONVOLUTIONS = {"conv2d": False, "depthwise_conv2d": False, "conv2d_transpose": True}
"""What is folded into, and whether its weights are those of a transposed one."""

_TYPES = framework_pb2.VarType
_DATA_TYPES = {
    "bool": _TYPES.BOOL,
    "float16": _TYPES.FP16,
    "float32": _TYPES.FP32,
    "float64": _TYPES.FP64,
    "int8": _TYPES.INT8,
    "int16": _TYPES.INT16,
    "int32": _TYPES.INT32,
    "int64": _TYPES.INT64,
    "uint8": _TYPES.UINT8,
}
_NUMPYS = {number: name for name, number in _DATA_TYPES.items()}
_HEAD = struct.Struct("<IQIi")
"""Of an array: versions of two formats, one inside the other, no levels of detail; a length."""

_FEED = "feed"
_FETCH = "fetch"
_ONE_AT_A_TIME = threading.Lock()
"""Tracing changes what all threads of a process see."""


@dataclass
class Graph:
    """A program of one block, and its arrays by the names that it calls them."""

    program: Any
    arrays: dict[str, np.ndarray]

    @classmethod
    def read(cls, model: Path, weights: Path) -> Graph:
        """What ``write`` wrote, or Paddle in this format."""
        program = framework_pb2.ProgramDesc()
        program.ParseFromString(model.read_bytes())
        content, at = memoryview(weights.read_bytes()), 0
        arrays = {}
        variables = {one.name: one for one in program.blocks[0].vars if one.persistable}
        for name in sorted(variables.keys() - {_FEED, _FETCH}):
            *_, length = _HEAD.unpack_from(content, at)
            described = framework_pb2.VarType.TensorDesc()
            described.ParseFromString(content[at + _HEAD.size :][:length].tobytes())
            at += _HEAD.size + length
            dtype, shape = _NUMPYS[described.data_type], list(described.dims)
            arrays[name] = np.frombuffer(content, dtype, math.prod(shape), at).reshape(shape)
            at += arrays[name].nbytes
        return cls(program, arrays)

    def write(self, stem: Path) -> tuple[Path, Path]:
        """Write ``stem.pdmodel`` and ``stem.pdiparams``, the format of 2.6 and 3.x; their paths."""
        model, weights = stem.with_suffix(".pdmodel"), stem.with_suffix(".pdiparams")
        model.write_bytes(self.program.SerializeToString())
        with weights.open("wb") as file:
            for name in sorted(self.arrays):  # the order in which Paddle reads them
                array = np.ascontiguousarray(self.arrays[name])
                described = framework_pb2.VarType.TensorDesc()
                described.data_type = _DATA_TYPES[array.dtype.name]
                described.dims.extend(array.shape)
                head = described.SerializeToString()
                file.write(_HEAD.pack(0, 0, 0, len(head)) + head)
                file.write(array.tobytes())
        return model, weights


def trace(layer: nn.Layer, given: paddle.static.InputSpec) -> Graph:
    """The graph of a layer in evaluation mode, of tensors that reach its outputs."""
    # Absent in Paddle 2.6, which knows the old format only.
    old_format = getattr(paddle.pir_utils, "DygraphOldIrGuard", contextlib.nullcontext)
    with _ONE_AT_A_TIME, old_format(), _no_call_stacks():
        static = paddle.jit.to_static(layer, input_spec=[given], full_graph=True)
        try:
            concrete = ConcreteProgram.from_func_spec(
                func_spec=static.forward._function_spec,
                input_spec=[given],
                input_kwargs_spec={},
                class_instance=layer,
            )
        finally:
            layer.forward.rollback()
        program = framework_pb2.ProgramDesc()
        program.ParseFromString(concrete.main_program.desc.serialize_to_string())
    arrays = {one.name: one.numpy() for one in concrete.parameters}
    outputs = [one.name for one in paddle.utils.flatten(concrete.outputs)]
    block = program.blocks[0]
    for operator in block.ops:
        _without(operator, "op_callstack")
        for attribute in operator.attrs:
            if attribute.name == "is_test":
                attribute.b = True
    _add_ends(block, given.name, outputs)
    graph = Graph(program, arrays)
    _keep_what_is_used(graph)
    return graph


@contextlib.contextmanager
def _no_call_stacks() -> Iterator[None]:
    """Paddle keeps one of every operation, which takes a third of the time of tracing."""
    before = getattr(sys, "tracebacklimit", None)
    sys.tracebacklimit = 0
    try:
        yield
    finally:
        if before is None:
            del sys.tracebacklimit
        else:
            sys.tracebacklimit = before


@dataclass
class _Follows:
    """What follows a convolution and becomes part of it.

    Attributes:
        scale, shift: of each output channel, float64.
        output: name of the last result.
        residual: name of what is added to it, or nothing.
        relu: whether a ReLU comes last.
        absorbed: the operations.
    """

    scale: np.ndarray
    shift: np.ndarray
    output: str
    residual: str = ""
    relu: bool = False
    absorbed: list[Any] = field(default_factory=list)


def fold(graph: Graph) -> None:
    """Make one operation of a convolution and the batch norm, bias, sum and ReLU that follow it.

    A batch norm y = (x - mean)·s + shift with s = scale / sqrt(variance + epsilon) after W * x + b
    is (s·W) * x + (b - mean)·s + shift. It is computed in float64 and rounded once. What is read by
    others too, or does not follow a convolution, stays; so does all of a graph with branches, or
    whose operations write over others' results. The result runs by oneDNN only.
    """
    block = graph.program.blocks[0]
    known = _Known(graph)
    if known.overwritten or len(graph.program.blocks) > 1:
        return
    made: list[Any] = []
    at_end: dict[int, list[Any]] = {}
    for operator in block.ops:
        if id(operator) in known.absorbed:
            made.extend(at_end.get(id(operator), []))
            continue
        follows = known.follows(operator) if operator.type in _CONVOLUTIONS else None
        if follows is None or not follows.absorbed:
            made.append(operator)
            continue
        known.absorbed.update(map(id, follows.absorbed))
        # Where the last of them stood, all that they read is there.
        at_end[id(follows.absorbed[-1])] = _folded(graph, known, operator, follows)
    kept = [_copy(one) for one in made]
    del block.ops[:]
    block.ops.extend(kept)
    _keep_what_is_used(graph)


class _Known:
    """Who reads and makes what in a program."""

    def __init__(self, graph: Graph) -> None:
        block = graph.program.blocks[0]
        self.arrays = graph.arrays
        self.variables = {one.name: one for one in block.vars}
        self.absorbed: set[int] = set()
        self.overwritten = False
        self._readers: dict[str, list[Any]] = defaultdict(list)
        self._makers: dict[str, Any] = {}
        for operator in block.ops:
            for one in operator.inputs:
                for name in one.arguments:
                    self._readers[name].append(operator)
            for name in (name for one in operator.outputs for name in one.arguments):
                made_before = name in self._makers and operator.type != "fetch"
                self.overwritten |= made_before and name not in self.arrays
                self._makers[name] = operator

    def follows(self, operator: Any) -> _Follows | None:
        """What can be folded into a convolution; None if its weights are computed."""
        weight = self.arrays.get(_input(operator, "Filter"))
        channels_last = _attribute(operator, "data_format").s not in ("NCHW", "AnyLayout")
        if weight is None or channels_last or _input(operator, "Bias"):
            return None
        transposed = _CONVOLUTIONS[operator.type]
        channels = weight.shape[1] * _attribute(operator, "groups").i if transposed else len(weight)
        found = _Follows(np.ones(channels), np.zeros(channels), _output(operator, "Output"))
        while len(self._readers[found.output]) == 1 and not found.relu:
            (reader,) = self._readers[found.output]
            if id(reader) in self.absorbed or not self._take(found, reader, transposed):
                break
            found.absorbed.append(reader)
            found.output = _output(reader, "Y" if reader.type == "batch_norm" else "Out")
        return found

    def _take(self, found: _Follows, reader: Any, transposed: bool) -> bool:
        if reader.type == "relu" and not transposed:
            found.relu = True
            return True
        if found.residual:
            return False
        if reader.type == "batch_norm":
            names = [_input(reader, one) for one in ("Mean", "Variance", "Scale", "Bias")]
            if not self.arrays.keys() >= set(names):
                return False
            mean, variance, scale, shift = (self.arrays[one].astype(np.float64) for one in names)
            factor = scale / np.sqrt(variance + _attribute(reader, "epsilon").f)
            found.scale, found.shift = found.scale * factor, (found.shift - mean) * factor + shift
            return True
        if reader.type != "elementwise_add":
            return False
        bias = self._bias(reader, found)
        if bias is not None:
            found.shift = found.shift + bias
            return True
        (other,) = {_input(reader, "X"), _input(reader, "Y")} - {found.output}
        shapes = [list(_tensor(self.variables[name]).dims) for name in (other, found.output)]
        if transposed or other in self.arrays or shapes[0] != shapes[1]:
            return False
        found.residual = other
        return True

    def _bias(self, addition: Any, found: _Follows) -> np.ndarray | None:
        """What it adds to every channel; None if it adds something else."""
        name, axis = _input(addition, "Y"), _attribute(addition, "axis").i
        maker = self._makers.get(name)
        if maker is not None and maker.type == "reshape2":  # as Paddle's convolutions shape it
            name = _input(maker, "X")
            if list(_attribute(maker, "shape").ints) != [1, len(found.shift), 1, 1]:
                return None
        elif axis != 1:
            return None
        bias = self.arrays.get(name)
        return bias if bias is not None and bias.shape == found.shift.shape else None


def _folded(graph: Graph, known: _Known, operator: Any, follows: _Follows) -> list[Any]:
    """The operations that take the place of a convolution and what follows it."""
    block, transposed = graph.program.blocks[0], _CONVOLUTIONS[operator.type]
    filter_name, made = _input(operator, "Filter"), _copy(operator)
    weight = graph.arrays[filter_name]
    if transposed:
        by_channel = follows.scale.reshape(_attribute(operator, "groups").i, 1, -1, 1, 1)
        grouped = weight.reshape(len(by_channel), -1, *weight.shape[1:])
    else:
        by_channel, grouped = follows.scale.reshape(-1, 1, 1, 1), weight
    # Named after the result, which is one convolution's alone: filters may be shared.
    names = {part: f"{follows.output}.{part}" for part in ("Filter", "Bias", "Output")}
    for part, array in (
        ("Filter", (grouped * by_channel).reshape(weight.shape)),
        ("Bias", follows.shift),
    ):
        graph.arrays[names[part]] = array.astype(weight.dtype)
        variable = block.vars.add()
        variable.CopyFrom(known.variables[filter_name])
        variable.name = names[part]
        _tensor(variable).dims[:] = array.shape
    _set(made.inputs, "Filter", names["Filter"])
    if transposed:
        variable = block.vars.add()
        variable.CopyFrom(known.variables[follows.output])
        variable.name = names["Output"]
        _set(made.outputs, "Output", names["Output"])
        addition = framework_pb2.OpDesc()
        ends = {"X": names["Output"], "Y": names["Bias"]}
        _connect(addition, "elementwise_add", ends, {"Out": follows.output}, "axis", 1)
        return [made, addition]
    made.type = "fused_conv2d"
    _set(made.inputs, "Bias", names["Bias"])
    _set(made.outputs, "Output", follows.output)
    for name in ("use_mkldnn", *(["fuse_residual_connection"] if follows.residual else [])):
        _without(made, name)
        made.attrs.add(name=name, type=framework_pb2.BOOLEAN, b=True)
    if follows.residual:
        _set(made.inputs, "ResidualData", follows.residual)
    if follows.relu:
        made.attrs.add(name="fuse_activation", type=framework_pb2.STRING, s="relu")
    return [made]


def _keep_what_is_used(graph: Graph) -> None:
    """Drop operations that reach no output, and the variables of none."""
    block = graph.program.blocks[0]
    for one in block.vars:
        if one.name in graph.arrays:
            one.persistable = True
    if len(graph.program.blocks) > 1:  # a branch may need anything
        return
    needed, kept = {_FEED, _FETCH}, []
    for operator in reversed(block.ops):
        if operator.type == "feed" or any(
            name in needed for one in operator.outputs for name in one.arguments
        ):
            kept.append(_copy(operator))
            needed.update(name for one in operator.inputs for name in one.arguments)
            needed.update(name for one in operator.outputs for name in one.arguments)
    variables = [_copy(one) for one in block.vars if one.name in needed]
    del block.ops[:], block.vars[:]
    block.ops.extend(reversed(kept))
    block.vars.extend(variables)
    for name in graph.arrays.keys() - needed:
        del graph.arrays[name]


def _add_ends(block: Any, given: str, outputs: list[str]) -> None:
    """What Paddle Inference hands over and takes."""
    for name, kind in ((_FEED, _TYPES.FEED_MINIBATCH), (_FETCH, _TYPES.FETCH_LIST)):
        variable = block.vars.add(name=name, persistable=True)
        variable.type.type = kind
    feed = framework_pb2.OpDesc()
    _connect(feed, "feed", {"X": _FEED}, {"Out": given}, "col", 0)
    ops = [feed, *(_copy(one) for one in block.ops)]
    for column, name in enumerate(outputs):
        fetch = framework_pb2.OpDesc()
        _connect(fetch, "fetch", {"X": name}, {"Out": _FETCH}, "col", column)
        ops.append(fetch)
    del block.ops[:]
    block.ops.extend(ops)


def _connect(
    made: Any, kind: str, inputs: dict[str, str], outputs: dict[str, str], key: str, value: int
) -> None:
    made.type = kind
    for ends, given in ((made.inputs, inputs), (made.outputs, outputs)):
        for parameter, name in given.items():
            ends.add(parameter=parameter, arguments=[name])
    made.attrs.add(name=key, type=framework_pb2.AttrType.INT, i=value)


def _tensor(variable: Any) -> Any:
    """The description of its tensor, which Paddle 3 calls by another name."""
    kind = variable.type
    return kind.dense_tensor.tensor if hasattr(kind, "dense_tensor") else kind.lod_tensor.tensor


def _copy(message: Any) -> Any:
    made = type(message)()
    made.CopyFrom(message)
    return made


def _without(operator: Any, name: str) -> None:
    for index, attribute in enumerate(operator.attrs):
        if attribute.name == name:
            del operator.attrs[index]
            return


def _attribute(operator: Any, name: str) -> Any:
    return next(one for one in operator.attrs if one.name == name)


def _input(operator: Any, parameter: str) -> str:
    given = (one.arguments for one in operator.inputs if one.parameter == parameter)
    return next((name for names in given for name in names), "")


def _output(operator: Any, parameter: str) -> str:
    return next(one.arguments[0] for one in operator.outputs if one.parameter == parameter)


def _set(ends: Any, parameter: str, name: str) -> None:
    for one in ends:
        if one.parameter == parameter:
            one.arguments[:] = [name]
            return
    ends.add(parameter=parameter, arguments=[name])
