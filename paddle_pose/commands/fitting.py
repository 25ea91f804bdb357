"""Whether a batch fits into memory, estimated before it is asked for.

Nearly all of it is what the layers put out, which training keeps for the backward pass. Measured on
a CPU in float32, as the peak of two steps less weights, gradients and moments, over those outputs:
HRNet-W32 1.07 to 1.11, two stacked hourglasses 1.29, SimpleBaseline 1.19; HRNet-W32 predicting
0.16. The shares below refuse only what cannot fit.
"""

from __future__ import annotations

import os

from paddle_pose.errors import UserError
from paddle_pose.limits import GIB, LIMITS
from paddle_pose.models.blocks import PoseNetwork
from paddle_pose.models.counting import activations_per_pixel, count_parameters
from paddle_pose.recipes.recipe import Recipe
from paddle_pose.system import memory, parallel

TRAINED, PREDICTED = 1.0, 0.12
"""Share of the layers' outputs that is held at once."""
NUMBER_BYTES = 4


def require_batch(
    recipe: Recipe, network: PoseNetwork, device: str, *, people: int, trained: bool
) -> None:
    """Raises UserError, naming what would fit, for a batch that needs more than there is.

    On a GPU nothing is estimated: its memory holds other things than a CPU's.
    """
    total = memory.total_bytes() * LIMITS["batch_memory"].most / 100
    if device != "cpu" or not total or not isinstance(network, PoseNetwork):
        return
    here = int(os.environ.get("PADDLE_LOCAL_SIZE") or parallel.ranks())
    width, height = recipe.data.image_size_wh
    pixel = activations_per_pixel(network) * NUMBER_BYTES
    image = pixel * width * height * (TRAINED if trained else PREDICTED)
    fixed = count_parameters(network) * NUMBER_BYTES * (4 if trained else 1)
    passes = parallel.ranks() * (recipe.train.accumulate_steps if trained else 1)
    batch = min(recipe.train.batch_size if trained else recipe.eval.batch_size, people)
    each = -(-batch // passes) if trained else batch
    needed, most = here * (fixed + each * image), int((total / here - fixed) / image)
    if needed <= total:
        return
    what = "train.batch_size" if trained else "eval.batch_size (--batch_size)"
    line = (
        f"{what}: {batch} images of {width}×{height} need about {needed / GIB:.1f} GiB, "
        f"{total / GIB:.1f} GiB can be had"
    )
    if most < 1:
        raise UserError(f"{line}, too few for one image: choose a smaller data.image_size_wh")
    if not trained:
        raise UserError(f"{line}; {most} fit")
    more = next((k for k in range(2, batch + 1) if batch % (k * passes) == 0
                 and batch // (k * passes) <= most), 0)  # fmt: skip
    same = (
        f", or --set train.accumulate_steps={more * recipe.train.accumulate_steps}" if more else ""
    )
    raise UserError(f"{line}; train.batch_size={most * passes} fits{same}")
