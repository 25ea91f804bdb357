"""Convolutions of eager networks on a CPU by the oneDNN that Paddle brings along.

Paddle's own CPU kernel copies every patch to columns and multiplies matrices; oneDNN's, on channels
in blocks, take a third to half of its time, the copies into blocks and back included. Paddle calls
them in compiled inference only, so its library, ``paddle/libs/libdnnl``, is called here directly,
through the C interface of oneDNN 3. No Python package offers these primitives.

One set of primitives is made per shape and kept. What is not float32 on a CPU, and a library that
does not answer as expected, is left to Paddle: ``usable`` says no. PADDLE_POSE_ONEDNN=0 switches
all of it off; second derivatives, and paddle.grad for some of the inputs, need that.

Source of names and numbers: uxlfoundation/oneDNN include/oneapi/dnnl/dnnl_types.h, v3.2 and v3.6.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paddle
from paddle.autograd import PyLayer
from paddle.nn import functional as F

_FLOAT32, _CPU, _FORWARD_TRAINING, _DIRECT, _ANY_LAYOUT = 3, 1, 64, 1, 1
_DEFAULT_STREAM = 1
_SRC, _DST, _WEIGHTS, _BIAS = 1, 17, 33, 41
_DIFF_SRC, _DIFF_DST, _DIFF_WEIGHTS, _DIFF_BIAS = 129, 145, 161, 169
_LAYOUT_QUERY = {
    _SRC: 129,
    _DIFF_SRC: 130,
    _WEIGHTS: 131,
    _DIFF_WEIGHTS: 132,
    _DST: 133,
    _DIFF_DST: 134,
}
"""Argument of a primitive -> the query for the layout it wants (dnnl_query_t)."""
_PLANS = 512
"""Shapes whose primitives are kept; a network has up to 60."""

_Handle = ctypes.c_void_p


class _Argument(ctypes.Structure):
    """dnnl_exec_arg_t."""

    _fields_ = (("name", ctypes.c_int), ("memory", _Handle))


class _Version(ctypes.Structure):
    """The beginning of dnnl_version_t."""

    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


class _Failed(Exception):
    """oneDNN refused a call; Paddle's own kernel does the work."""


class _Library:
    """The loaded library with one engine and one stream."""

    def __init__(self, path: Path) -> None:
        self._calls = ctypes.CDLL(str(path))
        self._calls.dnnl_version.restype = ctypes.POINTER(_Version)
        if self._calls.dnnl_version().contents.major != 3:
            raise _Failed("not oneDNN 3")
        self._calls.dnnl_primitive_desc_query_md.restype = _Handle
        self._calls.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        self.engine = self.make("engine_create", _CPU, ctypes.c_size_t(0))
        self.stream = self.make("stream_create", self.engine, ctypes.c_uint(_DEFAULT_STREAM))

    def call(self, name: str, *arguments: object) -> None:
        """Raises _Failed where oneDNN does not answer 0."""
        if getattr(self._calls, f"dnnl_{name}")(*arguments):
            raise _Failed(name)

    def make(self, name: str, *arguments: object) -> _Handle:
        """What a creating function leaves at its first argument."""
        made = _Handle()
        self.call(name, ctypes.byref(made), *arguments)
        return made

    def plain(self, sizes: Sequence[int]) -> _Handle:
        """Layout of a contiguous tensor."""
        strides = [1]
        for size in reversed(sizes[1:]):
            strides.insert(0, strides[0] * size)
        return self.make(
            "memory_desc_create_with_strides",
            len(sizes),
            _sizes(sizes),
            _FLOAT32,
            _sizes(strides),
        )

    def any(self, sizes: Sequence[int]) -> _Handle:
        """The layout that the primitive likes best."""
        return self.make(
            "memory_desc_create_with_tag", len(sizes), _sizes(sizes), _FLOAT32, _ANY_LAYOUT
        )

    def wanted(self, description: _Handle, argument: int) -> _Handle:
        """Layout that a primitive wants for an argument; owned by its description."""
        query = _LAYOUT_QUERY[argument]
        return _Handle(self._calls.dnnl_primitive_desc_query_md(description, query, 0))

    def equal(self, one: _Handle, other: _Handle) -> bool:
        return bool(self._calls.dnnl_memory_desc_equal(one, other))

    def bytes_of(self, layout: _Handle) -> int:
        return self._calls.dnnl_memory_desc_get_size(layout)

    def memory(self, layout: _Handle) -> _Handle:
        """A memory object that points nowhere yet."""
        return self.make("memory_create", layout, self.engine, _Handle())

    def point(self, memory: _Handle, address: int) -> None:
        self.call("memory_set_data_handle", memory, _Handle(address))

    def execute(self, primitive: _Handle, arguments: ctypes.Array) -> None:
        self.call("primitive_execute", primitive, self.stream, len(arguments), arguments)


def _sizes(values: Sequence[int]) -> ctypes.Array:
    """dnnl_dims_t."""
    return (ctypes.c_int64 * 12)(*values)


@functools.lru_cache(maxsize=1)
def _library() -> _Library | None:
    """Paddle's oneDNN; None where it is switched off, missing or another version."""
    if os.environ.get("PADDLE_POSE_ONEDNN") == "0":
        return None
    folder = Path(paddle.__file__).parent / "libs"
    try:
        return _Library(next(iter(sorted(folder.glob("libdnnl.so*")))))
    except (StopIteration, OSError, AttributeError, _Failed):
        return None


class _Workspace:
    """Memory for copies in oneDNN's layouts, shared by all primitives: it only grows."""

    def __init__(self) -> None:
        self._bytes, self._block, self.address = 0, None, 0

    def reserve(self, size: int) -> None:
        if size > self._bytes:
            self._block = None
            self._block = ctypes.create_string_buffer(size + 64)
            self._bytes = size
            self.address = (ctypes.addressof(self._block) + 63) // 64 * 64


_workspace = _Workspace()
_lock = threading.Lock()
"""Held while primitives run: memory objects and the workspace are shared."""


class _Primitive:
    """A oneDNN primitive with copies around it where it wants another layout than ours."""

    def __init__(
        self, description: _Handle, layouts: dict[int, _Handle], outputs: set[int]
    ) -> None:
        library = _library()
        self._primitive = library.make("primitive_create", description)
        self._ours = {name: library.memory(layout) for name, layout in layouts.items()}
        self._before, self._after, self._copies = [], [], []
        self._bytes = 0
        arguments = []
        for name, layout in layouts.items():
            wanted = library.wanted(description, name) if name in _LAYOUT_QUERY else layout
            memory = self._ours[name]
            if not library.equal(wanted, layout):
                memory = library.memory(wanted)
                self._copies.append((memory, self._bytes))
                self._bytes += (library.bytes_of(wanted) + 63) // 64 * 64
                if name in outputs:
                    self._after.append(_copy(wanted, memory, layout, self._ours[name]))
                else:
                    self._before.append(_copy(layout, self._ours[name], wanted, memory))
            arguments.append((name, memory))
        self._arguments = (_Argument * len(arguments))(*arguments)

    def __call__(self, tensors: dict[int, paddle.Tensor]) -> None:
        library = _library()
        with _lock:
            _workspace.reserve(self._bytes)
            for name, tensor in tensors.items():
                library.point(self._ours[name], tensor.data_ptr())
            for memory, offset in self._copies:
                library.point(memory, _workspace.address + offset)
            for primitive, arguments in self._before:
                library.execute(primitive, arguments)
            library.execute(self._primitive, self._arguments)
            for primitive, arguments in self._after:
                library.execute(primitive, arguments)


def _copy(
    source: _Handle, source_memory: _Handle, target: _Handle, target_memory: _Handle
) -> tuple[_Handle, ctypes.Array]:
    """A primitive that copies one layout to another, with its arguments."""
    library = _library()
    description = library.make(
        "reorder_primitive_desc_create", source, library.engine, target, library.engine, None
    )
    arguments = (_Argument * 2)((_SRC, source_memory), (_DST, target_memory))
    return library.make("primitive_create", description), arguments


class _Convolution:
    """Primitives of one convolution at one size."""

    def __init__(
        self,
        x_shape: tuple[int, ...],
        weight_shape: tuple[int, ...],
        has_bias: bool,
        stride: tuple[int, int],
        padding: tuple[int, int],
        groups: int,
    ) -> None:
        library = _library()
        out, _, *kernel = weight_shape
        sides = [
            (side + 2 * pad - size) // step + 1
            for side, pad, size, step in zip(x_shape[2:], padding, kernel, stride, strict=True)
        ]
        self.out_shape = [x_shape[0], out, *sides]
        grouped = (groups, out // groups, *weight_shape[1:]) if groups > 1 else weight_shape
        self._plain = {
            "x": library.plain(x_shape),
            "weight": library.plain(grouped),
            "out": library.plain(self.out_shape),
        }
        free = [library.any(x_shape), library.any(grouped), library.any(self.out_shape)]
        bias = library.plain([out]) if has_bias else None
        self._plain["bias"] = bias
        x, weight, y = free
        window = (_sizes(stride), _sizes([0, 0]), _sizes(padding), _sizes(padding))
        forward = library.make(
            "convolution_forward_primitive_desc_create",
            library.engine,
            _FORWARD_TRAINING,
            _DIRECT,
            x,
            weight,
            bias,
            y,
            *window,
            None,
        )
        to_x = library.make(
            "convolution_backward_data_primitive_desc_create",
            library.engine,
            _DIRECT,
            x,
            weight,
            y,
            *window,
            forward,
            None,
        )
        to_weight = library.make(
            "convolution_backward_weights_primitive_desc_create",
            library.engine,
            _DIRECT,
            x,
            weight,
            bias,
            y,
            *window,
            forward,
            None,
        )
        self.forward = self._primitive(
            forward, {_SRC: "x", _WEIGHTS: "weight", _BIAS: "bias", _DST: "out"}, {_DST}
        )
        self.to_x = self._primitive(
            to_x, {_DIFF_DST: "out", _WEIGHTS: "weight", _DIFF_SRC: "x"}, {_DIFF_SRC}
        )
        self.to_weight = self._primitive(
            to_weight,
            {_DIFF_DST: "out", _SRC: "x", _DIFF_WEIGHTS: "weight", _DIFF_BIAS: "bias"},
            {_DIFF_WEIGHTS, _DIFF_BIAS},
        )

    def _primitive(
        self, description: _Handle, names: dict[int, str], outputs: set[int]
    ) -> _Primitive:
        layouts = {arg: self._plain[n] for arg, n in names.items() if self._plain[n] is not None}
        return _Primitive(description, layouts, outputs)


@functools.lru_cache(maxsize=_PLANS)
def _plan(*key: object) -> _Convolution | None:
    """The primitives for a shape; None where oneDNN has none."""
    try:
        return _Convolution(*key)
    except (_Failed, AttributeError):
        return None


class _ConvolutionLayer(PyLayer):
    """The convolution with its gradients; every tensor is contiguous."""

    @staticmethod
    def forward(
        ctx: Any,
        plan: _Convolution,
        x: paddle.Tensor,
        weight: paddle.Tensor,
        bias: paddle.Tensor | None,
    ) -> paddle.Tensor:
        out = paddle.empty(plan.out_shape, dtype="float32")
        tensors = {_SRC: x, _WEIGHTS: weight, _DST: out}
        if bias is not None:
            tensors[_BIAS] = bias
        plan.forward(tensors)
        ctx.plan, ctx.has_bias = plan, bias is not None
        ctx.fixed = [t.stop_gradient for t in (x, weight, bias) if t is not None]
        ctx.save_for_backward(x, weight)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: paddle.Tensor) -> tuple[paddle.Tensor | None, ...]:
        if paddle.is_grad_enabled():
            raise NotImplementedError("second derivatives need PADDLE_POSE_ONEDNN=0")
        x, weight = ctx.saved_tensor()
        d_out = d_out.contiguous()
        gradients = [None] * len(ctx.fixed)
        if not ctx.fixed[0]:
            gradients[0] = paddle.empty(x.shape, dtype="float32")
            ctx.plan.to_x({_DIFF_DST: d_out, _WEIGHTS: weight, _DIFF_SRC: gradients[0]})
        if not all(ctx.fixed[1:]):
            gradients[1] = paddle.empty(weight.shape, dtype="float32")
            tensors = {_DIFF_DST: d_out, _SRC: x, _DIFF_WEIGHTS: gradients[1]}
            if ctx.has_bias:
                gradients[2] = paddle.empty([weight.shape[0]], dtype="float32")
                tensors[_DIFF_BIAS] = gradients[2]
            ctx.plan.to_weight(tensors)
        return tuple(
            None if fixed else gradient
            for fixed, gradient in zip(ctx.fixed, gradients, strict=True)
        )


def usable(*tensors: paddle.Tensor) -> bool:
    """Whether oneDNN takes these: float32 values on a CPU in an eager network."""
    return (
        _library() is not None
        and paddle.in_dynamic_mode()
        and all(t.dtype == paddle.float32 and t.place.is_cpu_place() for t in tensors)
    )


def convolution(
    x_BCHW: paddle.Tensor,
    weight: paddle.Tensor,
    bias: paddle.Tensor | None,
    *,
    stride: tuple[int, int],
    padding: tuple[int, int],
    groups: int,
) -> paddle.Tensor:
    """F.conv2d for ``usable`` tensors, gradients of the first order included.

    For a fixed number of threads equal arguments give equal bits.
    """
    key = (tuple(x_BCHW.shape), tuple(weight.shape), bias is not None, stride, padding, groups)
    plan = _plan(*key)
    if plan is None:
        return F.conv2d(x_BCHW, weight, bias, stride, padding, groups=groups)
    return _ConvolutionLayer.apply(plan, x_BCHW.contiguous(), weight, bias)
