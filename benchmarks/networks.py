"""Networks against PyTorch: training steps, and evaluation forwards with the flip test."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Comparison, Options, Side, Target
from benchmarks.worker import SkippedError, Work
from paddle_pose import configs
from paddle_pose.errors import UserError

if TYPE_CHECKING:
    from paddle_pose.recipes.recipe import Recipe


@dataclass(frozen=True)
class Network:
    """A network of the table.

    Attributes:
        name: short.
        label: as the table writes it, without the size.
        recipe: ours.
        family: whose official code it is: ``hrnet``, ``newell`` or ``hourglass52``.
        clone: the option that names that clone.
        size_wh, joints: of the recipe, for the other side.
        batch: of a training step, so that one takes a few seconds at most on two cores.
        eval_batch: of an evaluation forward; the flip test doubles it.
    """

    name: str
    label: str
    recipe: str
    family: str
    clone: str
    size_wh: tuple[int, int]
    joints: int
    batch: int
    eval_batch: int

    @property
    def title(self) -> str:
        """Name and input, height first as the papers write it."""
        return f"{self.label} @{self.size_wh[1]}×{self.size_wh[0]}"


HOURGLASS52 = Network(
    name="hourglass52",
    label="Hourglass-52",
    recipe="hourglass:hourglass52_mpii_256x256",
    family="hourglass52",
    clone="mmpose",
    size_wh=(256, 256),
    joints=16,
    batch=2,
    eval_batch=2,
)
HRNET_W32_MPII = Network(
    name="hrnet_w32",
    label="HRNet-W32",
    recipe="hrnet:w32_mpii_256x256",
    family="hrnet",
    clone="hrnet",
    size_wh=(256, 256),
    joints=16,
    batch=4,
    eval_batch=4,
)
NEWELL_2 = Network(
    name="newell_2",
    label="Newell's hourglass, 2 stacks",
    recipe="hourglass:newell_hg2_mpii_256x256",
    family="newell",
    clone="newell",
    size_wh=(256, 256),
    joints=16,
    batch=4,
    eval_batch=4,
)
HRNET_W32_COCO = Network(
    name="hrnet_w32",
    label="HRNet-W32",
    recipe="hrnet:w32_coco_256x192",
    family="hrnet",
    clone="hrnet",
    size_wh=(192, 256),
    joints=17,
    batch=4,
    eval_batch=8,
)
HRNET_W48_COCO = Network(
    name="hrnet_w48",
    label="HRNet-W48",
    recipe="hrnet:w48_coco_384x288",
    family="hrnet",
    clone="hrnet",
    size_wh=(288, 384),
    joints=17,
    batch=1,
    eval_batch=2,
)
TRAINED = (HOURGLASS52, HRNET_W32_MPII, NEWELL_2)
EVALUATED = (HRNET_W32_COCO, HRNET_W48_COCO, HOURGLASS52)
TRAINING_PASSES = 3
"""Forward, gradient of the inputs, gradient of the weights: each the forward's multiply-adds."""


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe by name, Paddle set up first as every command does it."""
    from paddle_pose.system import runtime

    runtime.configure(quiet=True)
    runtime.import_paddle()
    from paddle_pose.recipes import recipe as recipes

    return recipes.override(configs.load(name), list(overrides))


def paddle_facts(multiply_adds: float) -> dict[str, Any]:
    """What the record says about our side."""
    import paddle

    return {
        "paddle": paddle.__version__,
        "threads": int(os.environ["OMP_NUM_THREADS"]),
        "multiply_adds": multiply_adds,
    }


def training_step(recipe: str, batch: int, overrides: Sequence[str] = ()) -> Work:
    """``Trainer.step``: normalise bytes, forward, loss, backward, Adam; and the loss read."""
    chosen = load_recipe(recipe, overrides)
    import numpy as np
    import paddle

    from paddle_pose.data.loader import Batch
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count
    from paddle_pose.training.loop import Trainer
    from paddle_pose.training.losses import loss_function

    width, height = chosen.data.image_size_wh
    joints = chosen.model.joints
    paddle.seed(0)
    network = build(chosen.model)
    multiply_adds = count(network, (width, height)).macs
    network.train()
    loss = loss_function(chosen.train, chosen.codec)
    trainer = Trainer(network, chosen.train, chosen.data, loss)
    joints_xy = np.random.default_rng(0).random((joints, 2)) * (width, height)
    targets = chosen.codec.encode(joints_xy, np.ones(joints), (width, height))
    paddle.seed(0)
    made = Batch(
        epoch=0,
        step=0,
        images=paddle.randint(0, 256, [batch, height, width, 3]).astype("uint8"),
        targets={name: paddle.to_tensor(np.stack([one] * batch)) for name, one in targets.items()},
        place=None,  # a step asks no place
    )

    def run() -> None:
        losses, _ = trainer.step(made, 1e-3)
        float(next(iter(losses.values())))

    return Work(run, units=batch, facts=paddle_facts(TRAINING_PASSES * multiply_adds))


def forward_with_flip(
    recipe: str, batch: int, engine: str, precision: str, overrides: Sequence[str] = ()
) -> Work:
    """Bytes of crops -> heat maps of the plain and the mirrored ones, as evaluation does it."""
    chosen = load_recipe(recipe, overrides)
    import numpy as np
    import paddle

    from paddle_pose.inference.engine import make_forward
    from paddle_pose.models.build import build
    from paddle_pose.models.counting import count

    width, height = size_wh = chosen.data.image_size_wh
    paddle.seed(0)
    network = build(chosen.model)
    multiply_adds = 2 * count(network, size_wh).macs
    try:
        forward = make_forward(
            network,
            chosen.data,
            flip_test=True,
            engine=engine,
            precision=precision,
            batch_size=batch,
        )
    except UserError as error:  # no bfloat16 on this CPU, no oneDNN in this Paddle
        raise SkippedError(str(error)) from error
    images = np.random.default_rng(0).integers(0, 256, (batch, height, width, 3), np.uint8)

    def run() -> None:
        forward(images)

    return Work(run, units=batch, facts=paddle_facts(multiply_adds) | {"precision": precision})


def ready(
    recipe: str, engine: str, precision: str, kept: bool, overrides: Sequence[str] = ()
) -> Work:
    """A network with its weights -> a compiled engine, made anew or read from where it is kept."""
    folder = tempfile.mkdtemp(prefix="paddle_pose_ready_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(PADDLE_POSE_CACHE=folder, PADDLE_POSE_ENGINES="2048" if kept else "0")
    chosen = load_recipe(recipe, overrides)
    import paddle

    from paddle_pose.inference.engine import make_forward
    from paddle_pose.models.build import build

    paddle.seed(0)
    network = build(chosen.model)

    def run() -> None:
        make_forward(network, chosen.data, flip_test=True, engine=engine, precision=precision)

    return Work(run)


def matrix_product(size: int, library: str) -> Work:
    """One square product in float32, by Paddle or by NumPy."""
    import numpy as np

    facts: dict[str, Any] = {"multiply_adds": float(size) ** 3}
    if library == "paddle":
        load_recipe("hrnet:w32_mpii_256x256")
        import paddle

        left, right = paddle.rand([size, size]), paddle.rand([size, size])
        facts = paddle_facts(facts["multiply_adds"])
    else:
        left, right = np.random.default_rng(0).random((2, size, size), np.float32)

    def run() -> None:
        float((left @ right)[0, 0])

    return Work(run, facts=facts)


PRODUCT_SIZE = 3072


def products() -> dict[str, list[Side]]:
    """Matrix products whose fastest is the machine's rate, by precision."""
    ours, theirs = "benchmarks.networks:matrix_product", "benchmarks.torch_networks:matrix_product"
    size = {"size": PRODUCT_SIZE}
    return {
        "float32": [
            Side(ours, "Paddle", {**size, "library": "paddle"}),
            Side(ours, "NumPy", {**size, "library": "numpy"}),
            Side(theirs, "PyTorch", {**size, "dtype": "float32"}, in_torch=True),
        ],
        "bfloat16": [Side(theirs, "PyTorch", {**size, "dtype": "bfloat16"}, in_torch=True)],
    }


def torch_side(network: Network, function: str, batch: int, options: Options) -> Side:
    """PyTorch running the official network, or layers of equal shapes where no clone is named."""
    size = {"size_wh": list(network.size_wh), "batch": batch}
    clone = getattr(options, network.clone)
    if clone is None:
        return Side(
            f"benchmarks.torch_networks:equal_{function}",
            "PyTorch, layers of equal shapes",
            {"python": sys.executable, "recipe": network.recipe, **size},
            in_torch=True,
        )
    return Side(
        f"benchmarks.torch_networks:{function}",
        f"PyTorch, official {network.family} network",
        {
            "family": network.family,
            "experiment": network.recipe.partition(":")[2],
            "clone": str(clone),
            "joints": network.joints,
            **size,
        },
        in_torch=True,
    )


def comparisons(options: Options) -> list[Comparison]:
    """Three training steps; three evaluation forwards, each in float32 and in bfloat16."""
    rows = []
    trained, evaluated = TRAINED, EVALUATED
    overrides: dict[str, list[str]] = {}
    if options.quick:
        small = {"size_wh": (128, 128), "batch": 2, "eval_batch": 1}
        trained, evaluated = (
            [replace(n, **small) for n in group] for group in (trained, evaluated)
        )
        overrides = {"overrides": ["data.image_size_wh=[128,128]"]}
    for network in trained:
        batch = network.batch
        theirs = torch_side(network, "training_step", batch, options)
        rows.append(
            Comparison(
                name=f"train_{network.name}",
                work=f"training step, {network.title}, batch {batch}",
                ours=Side(
                    "benchmarks.networks:training_step",
                    "Paddle, Trainer.step",
                    {"recipe": network.recipe, "batch": batch, **overrides},
                ),
                theirs=theirs,
                target=Target("speedup", 1.0),
                unit="s/image",
            )
        )
    for network in evaluated:
        for precision, value in (("float32", 1.6), ("bfloat16", 3.0)):
            batch = network.eval_batch
            theirs = torch_side(network, "forward_with_flip", batch, options)
            rows.append(
                Comparison(
                    name=f"forward_{network.name}_{precision}",
                    work=f"evaluation forward with flip, {network.title}, batch {batch}, "
                    f"{precision}",
                    ours=Side(
                        "benchmarks.networks:forward_with_flip",
                        f"Paddle Inference with oneDNN, {precision}",
                        {
                            "recipe": network.recipe,
                            "batch": batch,
                            "engine": "onednn",
                            "precision": precision,
                            **overrides,
                        },
                    ),
                    theirs=theirs,
                    target=Target("speedup", value),
                    unit="s/person",
                )
            )
    first = evaluated[0]
    for precision in ("float32", "bfloat16"):
        for kept, most in ((False, 4.0), (True, 1.0)):
            how = {"recipe": first.recipe, "engine": "onednn", "precision": precision, "kept": kept}
            when = "again" if kept else "first"
            rows.append(
                Comparison(
                    name=f"ready_{first.name}_{precision}_{when}",
                    work=f"compiled engine ready, {first.title}, {precision}, {when} time",
                    ours=Side("benchmarks.networks:ready", "make_forward", how | overrides),
                    target=Target("limit", most),
                )
            )
    return rows
