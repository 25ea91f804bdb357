"""Whether the library that was found computes what Paddle computes.

Its version says little: a Paddle with another oneDNN 3, or with other numbers for its constants,
would train on nonsense. So one convolution with batch norm is run, forward and backward.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import paddle
from paddle.nn import functional as F

from paddle_pose.errors import UserError
from paddle_pose.onednn import layers, library, norm
from paddle_pose.onednn.layout import block, in_bfloat16, to_plain
from paddle_pose.system import runtime

_CHANNELS, _SIDE, _BATCH = 32, 6, 2
_EPSILON = 1e-5
_TERMS = _CHANNELS * 9
TOLERANCE = 6 * (_TERMS + 4) * 2.0**-24 * 0.2 * math.sqrt(_TERMS)
"""Of the largest value, 4e-4. A float32 sum of n products errs by (n + 4)·2^-24·sum|products| at
most; for normal numbers sum|products| is 0.2·sqrt(n) of the largest sum. Convolution, norm and
their gradients come in a row: three sums, on two sides. Anything wrong errs by about 1."""
BFLOAT16_TOLERANCE = 8 * 2.0**-9 * 0.2 * math.sqrt(_TERMS)
"""Of the largest value, 5 %. Each rounding to bfloat16 errs by 2^-9 of its value at most; eight lie
on the longest way: image, weight, convolution, norm, and the gradients of these. Each moves a sum
by 2^-9·sum|products| at most (see ``TOLERANCE``). No ReLU: values near 0 would pass on one side."""


def usable(*tensors: paddle.Tensor) -> bool:
    """``library.usable``, and the library has passed this check."""
    return library.usable(*tensors) and _passes()


@functools.lru_cache(maxsize=1)
def _passes() -> bool:
    """Once per process; one line is printed where it fails."""
    try:
        difference = _difference()
    except (UserError, library.Failed):
        difference = math.inf
    if difference <= TOLERANCE:
        return True
    print(
        f"=> oneDNN's results differ from Paddle's by {difference:.1e} of the largest value "
        f"(allowed: {TOLERANCE:.0e}); our layers use Paddle's own",
        flush=True,
    )
    return False


def _difference(*, bfloat16: bool = False) -> float:
    """The largest, relative to the largest value, over the result and all gradients."""
    with in_bfloat16(on=bfloat16):  # the first layer may lie within it
        ours = _results(by_onednn=True, relu=not bfloat16)
    paddles = _results(by_onednn=False, relu=not bfloat16)
    differences = [
        np.abs(a - b).max() / np.abs(b).max() for a, b in zip(ours, paddles, strict=True)
    ]
    return float(np.max(differences))  # not a number if one is not


@functools.lru_cache(maxsize=1)
def bfloat16_fault() -> str:
    """Why layers cannot compute in bfloat16 here; empty where they can."""
    if not {"avx512_bf16", "amx_bf16"} & runtime.cpu_facts()[1]:
        return "this CPU has neither avx512_bf16 nor amx_bf16"
    if not usable(paddle.zeros([1])) or block() != 16:
        return "Paddle's oneDNN is off, missing, or told to leave AVX-512 alone"
    try:
        off = _difference(bfloat16=True)
    except (UserError, library.Failed, RuntimeError, ValueError) as fault:
        return f"Paddle {paddle.__version__} cannot ({str(fault).splitlines()[0]})"
    if not off <= BFLOAT16_TOLERANCE:
        return f"oneDNN's bfloat16 is off by {off:.1e} of the largest value"
    return ""


def _results(*, by_onednn: bool, relu: bool = True) -> list[np.ndarray]:
    """Result, then gradients of the input, of the convolution's weight, of the norm's two."""
    random, size = np.random.default_rng(0), (_BATCH, _CHANNELS, _SIDE, _SIDE)
    shapes = size, (_CHANNELS, _CHANNELS, 3, 3), (_CHANNELS,), (_CHANNELS,), size
    values = [random.standard_normal(shape).astype(np.float32) for shape in shapes]
    cpu = paddle.CPUPlace()
    *leaves, d_out = [paddle.to_tensor(v, place=cpu, stop_gradient=False) for v in values]
    x, weight, scale, shift = leaves
    with paddle.enable_grad(), paddle.amp.auto_cast(enable=False):
        if by_onednn:
            out = layers.convolution(x, weight, None, stride=(1, 1), padding=(1, 1), groups=1)
            out = to_plain(norm.batch_norm(out, scale, shift, _EPSILON, relu=relu)[0])
        else:
            out = F.conv2d(x, weight, padding=1)
            moments = paddle.zeros_like(scale).detach(), paddle.ones_like(scale).detach()
            out = F.batch_norm(out, *moments, scale, shift, training=True, epsilon=_EPSILON)
            out = F.relu(out) if relu else out
        out.backward(d_out)
    return [out.numpy(), *(leaf.grad.numpy() for leaf in leaves)]
