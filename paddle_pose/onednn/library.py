"""The oneDNN that Paddle brings along, called through its C interface.

Paddle's own CPU kernels copy every patch of a convolution to columns and multiply matrices, and run
batch norm, ReLU and pooling on one thread. oneDNN's take a half to a third of that time. Paddle
calls them in compiled inference only, so its library, ``paddle/libs/libdnnl``, is called here
directly. No Python package offers these primitives. ``layers``, ``norm`` and ``sums`` use them.

A library that is not oneDNN 3 is not used, nor one whose numbers are wrong (see ``check``).
PADDLE_POSE_ONEDNN=0 switches all off.

Source of names and numbers: uxlfoundation/oneDNN include/oneapi/dnnl/dnnl_types.h; the same in
v3.2 (Paddle 2.6) and v3.6 (Paddle 3.3).
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import paddle

from paddle_pose.errors import UserError

SRC, DST, WEIGHTS, BIAS, MEAN, VARIANCE, SCALE, SHIFT, WORKSPACE = 1, 17, 33, 41, 49, 50, 51, 52, 64
DIFF_SRC, DIFF_DST, DIFF_WEIGHTS, DIFF_BIAS, DIFF_SCALE, DIFF_SHIFT = 129, 145, 161, 169, 255, 256
_LAYOUT_QUERY = {
    SRC: 129,
    DIFF_SRC: 130,
    WEIGHTS: 131,
    DIFF_WEIGHTS: 132,
    DST: 133,
    DIFF_DST: 134,
    WORKSPACE: 135,
}
"""Argument of a primitive -> the query for the layout it wants (dnnl_query_t)."""
FORWARD_TRAINING, CONVOLUTION_DIRECT = 64, 1
FLOAT32, BFLOAT16 = 3, 2
"""dnnl_data_type_t."""
_CPU, _DEFAULT_STREAM, _ANY_LAYOUT = 1, 1, 1
_BLOCKED = {16: 78, 8: 102}
"""Channels of a block -> dnnl_aBcd16b, dnnl_aBcd8b."""

Handle = ctypes.c_void_p


class Failed(Exception):
    """oneDNN refused a call."""


class Made(Handle):
    """What oneDNN made; destroyed with this object, for oneDNN keeps copies of what it needs.

    Attributes:
        kind: such as ``convolution_forward_primitive_desc``.
    """

    kind: str


class _Argument(ctypes.Structure):
    """dnnl_exec_arg_t."""

    _fields_ = (("name", ctypes.c_int), ("memory", Handle))


class _Version(ctypes.Structure):
    """The beginning of dnnl_version_t."""

    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


class Library:
    """The loaded library with one engine and one stream; layouts are of float32 if not said."""

    def __init__(self, path: Path) -> None:
        self._calls = ctypes.CDLL(str(path))
        self._calls.dnnl_version.restype = ctypes.POINTER(_Version)
        if self._calls.dnnl_version().contents.major != 3:
            raise Failed("not oneDNN 3")
        self._calls.dnnl_primitive_desc_query_md.restype = Handle
        self._calls.dnnl_memory_desc_get_size.restype = ctypes.c_size_t
        self._set_address = self._calls.dnnl_memory_set_data_handle
        self._set_address.argtypes = (Handle, Handle)
        self._execute = self._calls.dnnl_primitive_execute
        self.engine = self.make("engine_create", _CPU, ctypes.c_size_t(0))
        self._stream = self.make("stream_create", self.engine, ctypes.c_uint(_DEFAULT_STREAM))

    def call(self, name: str, *arguments: object) -> None:
        """Raises Failed where oneDNN does not answer 0."""
        if getattr(self._calls, f"dnnl_{name}")(*arguments):
            raise Failed(name)

    def make(self, name: str, *arguments: object) -> Made:
        """What a creating function writes to its first argument."""
        made = Made()
        self.call(name, ctypes.byref(made), *arguments)
        made.kind = name.partition("_create")[0]
        # All kinds of descriptions of primitives are destroyed by one function.
        kind = "primitive_desc" if made.kind.endswith("primitive_desc") else made.kind
        destroy = getattr(self._calls, f"dnnl_{kind}_destroy")
        weakref.finalize(made, destroy, Handle(made.value)).atexit = False
        return made

    def describe(self, name: str, *arguments: object, attributes: Made | None = None) -> Made:
        """Description of a primitive."""
        return self.make(f"{name}_primitive_desc_create", self.engine, *arguments, attributes)

    def plain(self, sizes: Sequence[int], kind: int = FLOAT32) -> Handle:
        """Layout of a contiguous tensor."""
        strides = [1]
        for size in reversed(sizes[1:]):
            strides.insert(0, strides[0] * size)
        return self.make(
            "memory_desc_create_with_strides",
            len(sizes),
            dimensions(sizes),
            kind,
            dimensions(strides),
        )

    def blocked(self, sizes: Sequence[int], block: int, kind: int = FLOAT32) -> Handle:
        """Layout of a (B, C/block, H, W, block) tensor for the (B, C, H, W) that it holds."""
        return self._tagged(sizes, _BLOCKED[block], kind)

    def any(self, sizes: Sequence[int], kind: int = FLOAT32) -> Handle:
        """The layout that the primitive likes best: it chooses."""
        return self._tagged(sizes, _ANY_LAYOUT, kind)

    def _tagged(self, sizes: Sequence[int], tag: int, kind: int) -> Handle:
        return self.make("memory_desc_create_with_tag", len(sizes), dimensions(sizes), kind, tag)

    def wanted(self, description: Handle, argument: int) -> Handle:
        """Layout that a primitive wants for an argument; owned by its description."""
        query = _LAYOUT_QUERY[argument]
        return Handle(self._calls.dnnl_primitive_desc_query_md(description, query, 0))

    def equal(self, one: Handle, other: Handle) -> bool:
        """Whether two layouts are the same."""
        return bool(self._calls.dnnl_memory_desc_equal(one, other))

    def bytes_of(self, layout: Handle) -> int:
        """Memory that a tensor in that layout takes."""
        return self._calls.dnnl_memory_desc_get_size(layout)

    def memory(self, layout: Handle) -> Handle:
        """A memory object that points nowhere yet."""
        return self.make("memory_create", layout, self.engine, Handle())

    def point(self, memory: Handle, address: int) -> None:
        """Let a memory object stand for the memory at an address."""
        if self._set_address(memory, address):
            raise Failed("memory_set_data_handle")

    def execute(self, primitive: Handle, arguments: ctypes.Array) -> None:
        """Run a primitive; its outputs are written when this returns."""
        if self._execute(primitive, self._stream, len(arguments), arguments):
            raise Failed("primitive_execute")


def dimensions(values: Sequence[int]) -> ctypes.Array:
    """dnnl_dims_t."""
    return (ctypes.c_int64 * 12)(*values)


@functools.lru_cache(maxsize=1)
def library() -> Library | None:
    """Paddle's oneDNN; None where it is switched off, missing or another version."""
    if os.environ.get("PADDLE_POSE_ONEDNN") == "0":
        return None
    folder = Path(paddle.__file__).parent / "libs"
    try:
        return Library(next(iter(sorted(folder.glob("libdnnl.so*")))))
    except (StopIteration, OSError, AttributeError, Failed):
        return None


def loaded() -> Library:
    """The library, where ``usable`` has said that it is there."""
    found = library()
    if found is None:
        raise RuntimeError("oneDNN is off: ask usable() first")
    return found


def usable(*tensors: paddle.Tensor) -> bool:
    """Whether oneDNN takes these: float32 or blocked bfloat16 on a CPU in an eager network."""
    return (
        paddle.in_dynamic_mode()
        and library() is not None
        and all(
            (t.dtype == paddle.float32 or (t.ndim == 5 and t.dtype == paddle.bfloat16))
            and t.place.is_cpu_place()
            for t in tensors
        )
    )


class _CopySpace:
    """Memory for copies in oneDNN's layouts, shared by all primitives: it only grows."""

    def __init__(self) -> None:
        self._bytes, self._block, self.address = 0, None, 0

    def reserve(self, size: int) -> None:
        if size > self._bytes:
            self._bytes, self._block = 0, None  # nothing to point at if there is no memory left
            self._block = ctypes.create_string_buffer(size + 64)
            self._bytes = size
            self.address = _aligned(ctypes.addressof(self._block))


def _aligned(number: int) -> int:
    return (number + 63) // 64 * 64


_copy_space = _CopySpace()
_lock = threading.Lock()
"""Held while primitives run: their memory objects and the copy space are shared."""


class Primitive:
    """A oneDNN primitive, with copies around it where it wants other layouts than the tensors have.

    ``layouts``: argument -> layout of the tensor that will be given, None for the wanted one.
    """

    def __init__(
        self, description: Made, layouts: Mapping[int, Handle | None], outputs: set[int]
    ) -> None:
        calls = loaded()
        self._kind = description.kind.removesuffix("_primitive_desc")
        self._copied_bytes, self._copies_at = 0, 0
        self._tensors: list[list] = []  # argument, memory object, where it points
        self._copies: list[tuple[Handle, int]] = []  # memory object, offset in the copy space
        before, after, arguments = [], [], []
        for name, layout in layouts.items():
            wanted = calls.wanted(description, name) if name in _LAYOUT_QUERY else layout
            given = memory = calls.memory(layout or wanted)
            self._tensors.append([name, given, 0])
            if layout and not calls.equal(wanted, layout):
                memory = calls.memory(wanted)
                self._copies.append((memory, self._copied_bytes))
                self._copied_bytes += _aligned(calls.bytes_of(wanted))
                if name in outputs:
                    after.append(_copy(wanted, memory, layout, given))
                else:
                    before.append(_copy(layout, given, wanted, memory))
            arguments.append((name, memory))
        this = calls.make("primitive_create", description)
        self._runs = [*before, (this, (_Argument * len(arguments))(*arguments)), *after]

    def __call__(self, tensors: dict[int, paddle.Tensor]) -> None:
        """Run; all tensors contiguous, outputs are written.

        Raises:
            UserError: oneDNN fails.
        """
        try:
            self._run(tensors)
        except Failed as failure:
            shapes = ", ".join(str(tuple(tensors[name].shape)) for name, *_ in self._tensors)
            raise UserError(
                f"oneDNN's {self._kind} failed ({failure}) on tensors {shapes}; with "
                "PADDLE_POSE_ONEDNN=0 Paddle's own kernels compute it"
            ) from failure

    def _run(self, tensors: dict[int, paddle.Tensor]) -> None:
        calls = loaded()
        with _lock:
            for slot in self._tensors:
                name, memory, address = slot
                if (now := tensors[name].data_ptr()) != address:
                    calls.point(memory, now)
                    slot[2] = now
            _copy_space.reserve(self._copied_bytes)
            if self._copies_at != _copy_space.address:
                for memory, offset in self._copies:
                    calls.point(memory, _copy_space.address + offset)
                self._copies_at = _copy_space.address
            for primitive, arguments in self._runs:
                calls.execute(primitive, arguments)


def copying(source: Handle, target: Handle) -> Primitive:
    """From one layout to another."""
    return Primitive(_copy_description(source, target), {SRC: source, DST: target}, {DST})


def _copy_description(source: Handle, target: Handle) -> Made:
    calls = loaded()
    return calls.make(
        "reorder_primitive_desc_create", source, calls.engine, target, calls.engine, None
    )


def _copy(
    source: Handle, source_memory: Handle, target: Handle, target_memory: Handle
) -> tuple[Handle, ctypes.Array]:
    """The primitive of a copy with its arguments."""
    arguments = (_Argument * 2)((SRC, source_memory), (DST, target_memory))
    return loaded().make("primitive_create", _copy_description(source, target)), arguments
