"""Published weights in and out: ``python -m paddle_pose port``; PyTorch is not needed.

A file is read (``reader``, ``torch_format``), renamed by the network's table (``names``) and
written as ``.pdparams``. ``download`` fetches the files listed in ``published_weights.csv``.
"""

from __future__ import annotations

from pathlib import Path

from paddle_pose.models.architectures import Architecture
from paddle_pose.names import say_replaced
from paddle_pose.porting.names import Conversion, NetworkKeys, convert, table_of, to_official
from paddle_pose.porting.reader import read_weights, write_safetensors
from paddle_pose.system import runtime
from paddle_pose.weights.safe_pickle import load_arrays, save_arrays

__all__ = ["convert_file", "export_file", "network_keys"]


def network_keys(architecture: Architecture) -> NetworkKeys:
    """Names and shapes of a network's weights, in its own order."""
    runtime.import_paddle()  # late: reading and listing need no Paddle
    import paddle
    from paddle import nn

    from paddle_pose.models.build import build

    with paddle.LazyGuard():  # shapes alone: drawing 95 million numbers takes seconds
        network = build(architecture)
    linear = {
        f"{name}.weight"
        for name, layer in network.named_sublayers()
        if isinstance(layer, nn.Linear)
    }
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    return NetworkKeys(shapes, frozenset(linear))


def convert_file(
    path: Path, architecture: Architecture, output: Path, backbone: bool = False
) -> Conversion:
    """A published file as ``.pdparams`` (or ``.safetensors``, by ``output``'s ending).

    Raises:
        UserError: the file cannot be read, is refused, or does not fit the network.
    """
    table = table_of(architecture)
    weights = read_weights(path)
    found = convert(weights, table, network_keys(architecture), str(path), backbone)
    say_replaced([output])
    if output.suffix == ".safetensors":
        write_safetensors(output, found.arrays)
    else:
        save_arrays(output, found.arrays)
    return found


def export_file(path: Path, architecture: Architecture, output: Path) -> int:
    """Our ``.pdparams`` as a PyTorch state dict in ``.safetensors``; how many tensors it holds.

    Raises:
        UserError: the file cannot be read or is not of this network.
    """
    weights = load_arrays(path) if path.suffix == ".pdparams" else read_weights(path)
    official = to_official(weights, network_keys(architecture), str(path))
    say_replaced([output])
    write_safetensors(output, official, metadata={"format": "pt"})
    return len(official)
