"""What PyTorch's unbiased running variance is worth: heat maps with it and without.

In the long run the two variances of a layer differ by n / (n - 1), n values a channel in a batch.
So one training pass with momentum 0 gives the unbiased ones, and dividing gives the biased ones.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from reproduce.aligning import name_seeded
from reproduce.aligning.forward import seeded_network
from reproduce.aligning.networks import NETWORKS, PYTORCH
from reproduce.aligning.rows import Reference, Row

BATCH, SIZE = 8, 128
PER_DEVICE = {
    "hourglass52": 64,
    "newell_hg2": 16,
    "hrnet_w32": 32,
    "hrnet_w48": 24,
    "pose_resnet50": 32,
}
"""Images of a batch on one device in the official run: what batch norm sees."""
REFERENCE = Reference(
    *PYTORCH, "aten/src/ATen/native/Normalization.cpp batch_norm_cpu_update_stats"
)
NO_TOLERANCE = "an effect, not an agreement: what biased variances would change (seeded weights)"


def _values_per_channel(network: nn.Layer, images: paddle.Tensor) -> dict[str, int]:
    """N of every batch norm in one pass, which also sets the running statistics to this batch's."""
    counts: dict[str, int] = {}
    hooks = []
    for name, layer in network.named_sublayers():
        if isinstance(layer, nn.BatchNorm2D):
            layer._momentum = 0.0

            def note(layer: nn.Layer, inputs: tuple, name: str = name) -> None:
                x_BCHW = inputs[0]
                counts[name] = x_BCHW.size // x_BCHW.shape[1]

            hooks.append(layer.register_forward_pre_hook(note))
    network.train()
    with paddle.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()
    network.eval()
    return counts


def rows(name: str) -> list[Row]:
    """The change of the heat maps, for a small batch and for the official one."""
    network = seeded_network(name, "float32")
    rng = np.random.RandomState(name_seeded.INPUT_SEED)
    images = paddle.to_tensor(rng.standard_normal((BATCH, 3, SIZE, SIZE)).astype("float32"))
    counts = _values_per_channel(network, images)
    layers = dict(network.named_sublayers())
    unbiased = {layer: layers[layer]._variance.numpy() for layer in counts}

    def heatmaps(larger: float) -> np.ndarray:
        """With biased variances of batches that many times as large; 0 for unbiased ones."""
        for layer, count in counts.items():
            factor = 1.0 if larger == 0 else (count * larger - 1) / (count * larger)
            layers[layer]._variance.set_value((unbiased[layer] * factor).astype("float32"))
        with paddle.no_grad():
            return network(images)[-1].heatmaps_BJHW.numpy()

    width, height = NETWORKS[name].load().data.image_size_wh
    people = PER_DEVICE[name]
    official = people * width * height / (BATCH * SIZE * SIZE)
    exact = heatmaps(0)
    made = []
    for larger, what in (
        (1.0, f"{BATCH} images of {SIZE}×{SIZE}"),
        (official, f"{people} images of {width}×{height}, as officially trained"),
    ):
        changed = heatmaps(larger)
        worth = float(np.abs(changed - exact).max() / np.abs(exact).max())
        text = f"change of heat maps by biased variances of {what}, relative to the largest"
        row = (name, "batch norm", "float32", text, worth, None, NO_TOLERANCE, REFERENCE)
        made.append(Row(*row))
    return made
