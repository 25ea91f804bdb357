"""Published weights in and out: ``python -m paddle_pose port``; PyTorch is not needed.

A file is read (``reader``, ``torch_format``), renamed by the network's table (``names``) and
written as ``.pdparams``, or put into a network (``loading``). ``download`` fetches the files listed
in ``published_weights.csv``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from paddle_pose.errors import UserError
from paddle_pose.models.architectures import Architecture
from paddle_pose.names import say_replaced
from paddle_pose.porting.names import Conversion, NetworkKeys, convert, table_of, to_official
from paddle_pose.porting.reader import read_file
from paddle_pose.system import runtime
from paddle_pose.weights.facts import WeightFacts
from paddle_pose.weights.safe_pickle import save_arrays
from paddle_pose.weights.tensors import OURS, write_safetensors

__all__ = ["convert_file", "export_file", "network_keys"]


def network_keys(architecture: Architecture) -> NetworkKeys:
    """Names and shapes of a network's weights, in its own order."""
    runtime.import_paddle()  # late: reading and listing need no Paddle
    import paddle

    from paddle_pose.models.build import build
    from paddle_pose.porting.loading import keys_of

    with paddle.LazyGuard():  # shapes alone: drawing 95 million numbers takes seconds
        return keys_of(build(architecture))


def convert_file(
    path: Path,
    architecture: Architecture,
    output: Path,
    backbone: bool = False,
    facts: WeightFacts | None = None,
    half: bool = False,
) -> Conversion:
    """A published file as ``.pdparams`` (or ``.safetensors``, by ``output``'s ending).

    Args:
        path: PyTorch's, Paddle's or ``.safetensors``.
        architecture: whose names are wanted.
        output: replaced.
        backbone: all but the head (ImageNet weights).
        facts: what the new file says of itself.
        half: numbers in float16, but for batch norm's statistics.

    Raises:
        UserError: the file cannot be read, is refused, does not fit the network, or has numbers
            that float16 does not reach.
    """
    table, file = table_of(architecture), read_file(path)
    for note in file.notes:
        print(f"   {note}")
    found = convert(file.arrays, table, network_keys(architecture), str(path), backbone)
    if half:
        found = replace(found, arrays=_halved(found.arrays, path))
    said = "" if facts is None else facts.text(found.arrays)
    say_replaced([output])
    if output.suffix == ".safetensors":
        write_safetensors(output, found.arrays, {OURS: said} if said else None)
    else:
        save_arrays(output, found.arrays, said)
    return found


def _halved(arrays: Mapping[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Weights in float16; batch norm's statistics, which span many powers of ten, as they are."""
    with np.errstate(over="ignore"):  # looked for below
        half = {
            name: array if name.endswith(("._mean", "._variance")) else array.astype(np.float16)
            for name, array in arrays.items()
        }
    for name, array in half.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path}: {name} has numbers beyond float16's 65,504; leave out --half")
    return half


def export_file(
    path: Path, architecture: Architecture, output: Path, facts: WeightFacts | None = None
) -> int:
    """Our ``.pdparams`` as a PyTorch state dict in ``.safetensors``; how many tensors it holds.

    ``facts`` are those of a file that says nothing of itself.

    Raises:
        UserError: the file cannot be read or is not of this network.
    """
    file = read_file(path)
    official = to_official(file.arrays, network_keys(architecture), str(path))
    facts = file.facts or facts
    said = {} if facts is None else {OURS: facts.text(official)}
    say_replaced([output])
    write_safetensors(output, official, {"format": "pt", **said})
    return len(official)
