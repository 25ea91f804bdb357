"""Our side of a live alignment, and both sides compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from scipy.io import savemat

from paddle_pose.codecs import heatmap
from paddle_pose.geometry import crop_matrix
from paddle_pose.metrics import pckh
from paddle_pose.oks import oks_nms
from paddle_pose.recipe import Recipe
from paddle_pose.schedules import learning_rate
from paddle_pose.settings import CodecSettings
from paddle_pose.skeletons import COCO17, MPII16
from reproduce.aligning import name_seeded
from reproduce.aligning.initialisation import KOLMOGOROV, KOLMOGOROV_REASON, two_sample
from reproduce.aligning.networks import precision
from reproduce.aligning.rates import CLOSED_FORM, CLOSED_REASON
from reproduce.aligning.rows import Reference, Row
from reproduce.aligning.training import FOLLOWED, FOLLOWED_REASON, ROUNDING, ROUNDING_REASON

EPSILON = 2.5e-13
"""What Paddle's float32 epsilon of batch norm changes in a variance of 0.5 … 1.5, halved by the
root, with room for 2^-53 roundings; errors of the layers add up at worst."""
FLOAT32_FACTOR = 4
FLOAT32_REASON = "4 × what PyTorch's float32 is off from its float64 in this run"
CHAOS_FACTOR = 20
SIZE_WH, SKELETON = (192, 256), MPII16


def our_answers(
    recipe: Recipe,
    weights: dict[str, np.ndarray],
    inputs: dict[str, np.ndarray],
    dtype: str,
    own_loss: bool,
    steps: int,
) -> dict[str, np.ndarray]:
    """What the child answers, from our network; tensors under the official names."""
    from paddle_pose.losses import heatmap_mse, joints_mse

    answers: dict[str, np.ndarray] = {}
    with precision(dtype):
        network = recipe.model.build()
        for key, value in network.state_dict().items():
            value.set_value(weights[key].astype(dtype))
        images, batch, targets, seen = (
            paddle.to_tensor(inputs[key].astype(dtype))
            for key in ("images", "train_images", "targets", "weights")
        )
        network.eval()
        with paddle.no_grad():
            for index, out in enumerate(network(images)):
                answers[f"forward/{index}"] = out.heatmaps_BJHW.numpy()
        network.train()
        adam = paddle.optimizer.Adam(1e-3, parameters=network.parameters())
        losses = []
        for step in range(steps):
            outputs = network(batch)
            hrnets = joints_mse(outputs, targets, seen)
            loss = heatmap_mse(outputs, targets) if own_loss else hrnets
            loss.backward()
            losses.append(float(loss))
            if step == 0:
                for key, parameter in network.named_parameters():
                    if parameter.grad is not None:
                        name = name_seeded.official_name(key)
                        answers[f"gradient/{name}"] = parameter.grad.numpy()
            adam.step()
            adam.clear_grad()
            if step == 0:
                for key, value in network.state_dict().items():
                    answers[f"after/{name_seeded.official_name(key)}"] = value.numpy()
        network.eval()
        with paddle.no_grad():
            answers["last"] = network(batch)[-1].heatmaps_BJHW.numpy()
    answers["losses"] = np.array(losses)
    return answers


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    other = np.asarray(other, np.float64)
    return float(np.abs(one - other).max() / np.abs(other).max())


def _relative_l2(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm((one - other).ravel()) / np.linalg.norm(np.ravel(other)))


class Comparison:
    """One network's answers against ours."""

    def __init__(
        self,
        name: str,
        recipe: Recipe,
        reference: Reference,
        first: dict[str, np.ndarray],
        theirs: dict[str, Any],
    ) -> None:
        self._name, self._recipe, self._reference = name, recipe, reference
        self._first, self._theirs = first, theirs
        prefix = "float64/gradient/"
        gradients = {n[len(prefix) :]: a for n, a in theirs.items() if n.startswith(prefix)}
        total = np.sqrt(sum(float((a**2).sum()) for a in gradients.values()))
        # Biases just before a batch norm have a true gradient of zero: theirs is rounding noise.
        self._real = {n for n, a in gradients.items() if np.linalg.norm(a) > 1e-10 * total}
        self._with_gradient = set(gradients)

    def _row(
        self,
        step: str,
        dtype: str,
        quantity: str,
        difference: float,
        tolerance: float,
        because: str,
    ) -> Row:
        tail = tolerance, because, self._reference, "live"
        return Row(self._name, step, dtype, quantity, float(difference), *tail)

    def _measures(
        self, ours: dict[str, np.ndarray], *, later: bool
    ) -> dict[tuple[str, str], float]:
        """Every quantity of one run against the reference's float64, ``later`` after the update."""
        base = self._run("float64")
        stages = sorted(n for n in base if n.startswith("forward/"))
        measures = {
            (
                "forward",
                f"heat maps of stack {i + 1}, eval mode, relative to the largest",
            ): _apart(ours[n], base[n])
            for i, n in enumerate(stages)
        }
        measures["loss", "loss of step 0, relative"] = _apart(
            ours["losses"][:1], base["losses"][:1]
        )
        measures["backward", f"gradients of {len(self._real)} tensors, relative L2 of each"] = max(
            _relative_l2(ours[f"gradient/{n}"], base[f"gradient/{n}"]) for n in self._real
        )
        statistics = [n for n in ours if n.startswith("after/") and ".running_" in n]
        measures["batch norm", f"{len(statistics)} running statistics after one step, relative"] = (
            max(_relative_l2(ours[n], base[n]) for n in statistics)
        )
        if not later:
            return measures
        moved = max(
            float(np.abs(ours[f"after/{n}"] - base[f"after/{n}"]).max()) for n in self._real
        )
        measures["optimiser", "parameters after one Adam step, in learning rates"] = moved / 1e-3
        steps = len(base["losses"])
        off = np.abs(ours["losses"] / base["losses"] - 1).max()
        measures["optimiser", f"losses of {steps} Adam steps, relative"] = float(off)
        text = f"heat maps after {steps} Adam steps, eval mode, relative to the largest"
        measures["optimiser", text] = _apart(ours["last"], base["last"])
        return measures

    def _run(self, run: str) -> dict[str, np.ndarray]:
        prefix = f"{run}/"
        return {n.removeprefix(prefix): a for n, a in self._theirs.items() if n.startswith(prefix)}

    def rows(self, ours: dict[str, dict[str, np.ndarray]], seed: int) -> list[Row]:
        """All rows of the network."""
        rows = [*self._float64(ours["float64"]), *self._float32(ours["float32"])]
        without = {n.rpartition(".")[0] for n in self._theirs["facts"]["without_weights"]}
        our_gradients = {n.partition("/")[2] for n in ours["float64"] if n.startswith("gradient/")}
        rows.append(
            self._row(
                "backward",
                "float64",
                f"parameters with a gradient on one side only ({len(without)} layers that the "
                "reference never uses have none)",
                len(our_gradients ^ self._with_gradient),
                0.0,
                "names",
            )
        )
        rows += self._schedule()
        if any(n.startswith("first/") for n in self._theirs):
            rows += self._initialisation(seed)
        return rows

    def _float64(self, ours: dict[str, np.ndarray]) -> Iterator[Row]:
        network = self._recipe.model.build()
        norms = sum(isinstance(layer, paddle.nn.BatchNorm2D) for layer in network.sublayers())
        chaos = self._measures(self._run("perturbed"), later=True)
        exact = exact_momentum(ours, self._first)
        for (step, quantity), difference in self._measures(exact, later=True).items():
            tolerance, because = (
                max(ROUNDING, CHAOS_FACTOR * chaos[step, quantity]),
                ROUNDING_REASON,
            )
            if step == "forward":
                tolerance = norms * EPSILON
                because = f"Paddle's float32 epsilon, 2.5e-13 in each of {norms} batch norms"
            elif step == "optimiser":
                tolerance = max(FOLLOWED, CHAOS_FACTOR * chaos[step, quantity])
                because = f"{FOLLOWED_REASON.removesuffix(' (recorded)')}, at least 1e-7"
            yield self._row(step, "float64", quantity, difference, tolerance, because)

    def _float32(self, ours: dict[str, np.ndarray]) -> Iterator[Row]:
        """One step: float32 parts from float64 within a few, in either framework."""
        theirs = self._measures(self._run("float32"), later=False)
        for (step, quantity), difference in self._measures(ours, later=False).items():
            limit = FLOAT32_FACTOR * max(theirs[step, quantity], 2.0**-24)
            yield self._row(step, "float32", quantity, difference, limit, FLOAT32_REASON)

    def _schedule(self) -> Iterator[Row]:
        if "schedule" not in self._theirs:
            return
        rates = self._theirs["schedule"]
        settings = self._recipe.train
        ours = np.array([learning_rate(settings, epoch, 1) for epoch in range(settings.epochs)])
        same = len(ours) == len(rates)
        off = float(np.abs(ours / rates - 1).max()) if same else float("inf")
        text = f"rates of {len(rates)} epochs from the yaml by PyTorch's MultiStepLR, relative"
        yield self._row("learning rate", "float64", text, off, CLOSED_FORM, CLOSED_REASON)

    def _initialisation(self, seed: int) -> Iterator[Row]:
        prefix = "first/"
        theirs = {n[len(prefix) :]: a for n, a in self._theirs.items() if n.startswith(prefix)}
        paddle.seed(seed)
        worst, constant_off, drawn, constants = 0.0, 0.0, 0, 0
        for key, value in self._recipe.model.build().state_dict().items():
            ours, other = value.numpy().ravel(), theirs[name_seeded.official_name(key)]
            if np.ptp(other) == 0 or np.ptp(ours) == 0:
                constants += 1
                constant_off = max(constant_off, float(np.abs(ours - other.flat[0]).max()))
            else:
                drawn += 1
                worst = max(worst, two_sample(ours[:: max(1, len(ours) // 20_000)], other))
        text = f"first weights of {drawn} tensors, Kolmogorov-Smirnov of two samples"
        step = "initialisation", "float32"
        yield self._row(*step, text, worst, KOLMOGOROV, KOLMOGOROV_REASON)
        text = f"{constants} tensors that begin constant"
        yield self._row(*step, text, constant_off, 0.0, "0 and 1 are exact")


def exact_momentum(
    ours: dict[str, np.ndarray], weights: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Running statistics as an exact momentum would have moved them; Paddle's is 2.4e-8 off."""
    share = 1 - float(np.float32(0.9))
    exact = dict(ours)
    for name, after in ours.items():
        if name.startswith("after/") and ".running_" in name:
            first = weights[name.removeprefix("after/")]
            exact[name] = first + (after - first) * (0.1 / share)
    return exact


def pipeline_inputs(seed: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Random crops, joints, heat maps and poses; and a truth in MPII's layout."""
    rng = np.random.default_rng([seed, 2])
    people, joints, width, height = 24, len(SKELETON), SIZE_WH[0] // 4, SIZE_WH[1] // 4
    truth_xy = rng.uniform(100, 900, (people, joints, 2))
    inputs = {
        "centers": rng.uniform(0, 1400, (people, 2)),
        "scales": np.repeat(rng.uniform(0.2, 6, (people, 1)), 2, axis=1),
        "rotations": rng.uniform(-80, 80, people),
        "joints": np.concatenate(
            [rng.uniform(-20, 270, (people, joints, 2)), np.zeros((people, joints, 1))], axis=2
        ),
        "visible": np.repeat(rng.integers(0, 2, (people, joints, 1)), 3, axis=2).astype(float),
        "maps": rng.normal(0, 1, (people, joints, height, width)).astype(np.float32),
        "flipped": rng.normal(0, 1, (people, joints, height, width)).astype(np.float32),
        "predictions": truth_xy - 1 + rng.normal(0, 12, truth_xy.shape),
        "poses": rng.uniform(0, 60, (8, 17, 3))[np.arange(40) % 8] + rng.normal(0, 3, (40, 17, 3)),
        "pose_scores": rng.uniform(0, 1, 40),
        "pose_areas": rng.uniform(2000, 6000, 40),
    }
    truth = {
        "truth_xy": truth_xy,
        "missing": (rng.uniform(0, 1, (people, joints)) < 0.2).astype(np.uint8),
        "head_wh": rng.uniform(30, 90, (people, 2)),
    }
    return inputs, truth


MPII_NAMES = (
    *("rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelvis", "thorax"),
    *("upneck", "head", "rwri", "relb", "rsho", "lsho", "lelb", "lwri"),
)
"""As MPII's truth calls the joints of MPII16."""


def write_truth(folder: Path, truth: dict[str, np.ndarray]) -> None:
    """``annot/gt_valid.mat`` as HRNet's evaluation reads it."""
    (folder / "annot").mkdir()
    boxes = np.stack([np.zeros_like(truth["head_wh"]), truth["head_wh"]])
    content = {
        "dataset_joints": np.array([list(MPII_NAMES)], dtype=object),
        "jnt_missing": truth["missing"].T,
        "pos_gt_src": truth["truth_xy"].transpose(1, 2, 0),
        "headboxes_src": boxes.transpose(0, 2, 1),
    }
    savemat(folder / "annot" / "gt_valid.mat", content)


def pipeline_rows(
    inputs: dict[str, np.ndarray],
    truth: dict[str, np.ndarray],
    theirs: dict[str, Any],
    repository: str,
    commit: str,
    note: str,
) -> list[Row]:
    """Data, decoding and metrics, ours against the answers."""
    rows: list[Row] = []

    def add(
        step: str, dtype: str, text: str, ours: Any, key: str, tolerance: float, because: str
    ) -> None:
        difference = np.abs(np.asarray(ours, np.float64) - theirs[key]).max()
        data_set = "coco" if key == "kept" else "mpii"
        file = f"{FILES[step]} {note}"
        row = (data_set, step, dtype, text, float(difference), tolerance, because)
        rows.append(Row(*row, Reference(repository, commit, file), "live"))

    people = inputs["centers"], inputs["scales"]
    count = len(people[0])
    matrices = [
        crop_matrix(c, s, r, SIZE_WH) for c, s, r in zip(*people, inputs["rotations"], strict=True)
    ]
    text = f"{count} random crop matrices, px"
    because = "the same float32 points in the same solver, entries up to 1e3 × condition × 1e-16"
    add("data", "float64", text, matrices, "matrices", 1e-9, because)
    drawn = [
        heatmap.encode(j[:, :2], v[:, 0], SIZE_WH, CodecSettings())
        for j, v in zip(inputs["joints"], inputs["visible"], strict=True)
    ]
    because = "float32 exp may differ by one step (6e-8)"
    text = f"targets of {count} random people"
    add("data", "float32", text, [d for d, _ in drawn], "targets", 1e-7, because)
    weights = [w[:, None] for _, w in drawn]
    add("data", "float32", f"loss weights of {count}", weights, "target_weights", 0.0, "0 or 1")
    maps, flipped = inputs["maps"], inputs["flipped"]
    coords, scores = heatmap.decode(maps, "argmax", sigma_px=2)
    equal = "the same float32 numbers: equal"
    text = f"{coords[..., 0].size} random heat maps"
    add("decode", "float32", f"arg-max of {text}, cells", coords, "coords", 0.0, equal)
    add("decode", "float32", f"maxima of {text}", scores[..., None], "maxima", 0.0, equal)
    size = maps.shape[3], maps.shape[2]
    image_px = 2.0**-14 + 1e-9
    because = "float32 coordinates below 2048 px: half a step of 2^-13"
    merged = heatmap.merge_flip(maps, flipped, SKELETON.flip_order, True)
    for one, what, key in ((maps, "", "preds"), (merged, "flip test, ", "flip_preds")):
        coords, scores = heatmap.decode(one, "quarter_offset", sigma_px=2)
        image_xy = heatmap.to_image(coords, *people, size)
        add("decode", "float32", f"{what}{text}, px", image_xy, key, image_px, because)
    text = f"maxima after the flip test of {text}"
    add("decode", "float32", text, scores[..., None], "flip_maxima", 0.0, equal)
    heads = 0.6 * np.linalg.norm(truth["head_wh"], axis=1)
    errors = pckh.normalised_errors(inputs["predictions"] + 1, truth["truth_xy"], heads)
    found = pckh.pckh(errors, 1.0 - truth["missing"], SKELETON, (0.5, 0.11))
    ours = [*(v[0] for v in found.groups.values()), found.mean[0], found.mean[1]]
    text, because = "9 PCKh figures of random poses, percent", "equal counts, roundings alone"
    add("metric", "float64", text, ours, "pckh", 1e-9, because)
    poses, areas = inputs["poses"], inputs["pose_areas"]
    sigmas = np.array(COCO17.oks_sigmas)
    kept = np.zeros(40, bool)
    kept[oks_nms(poses, inputs["pose_scores"], areas, sigmas, 0.5)] = True
    their_kept = np.zeros(40, bool)
    their_kept[theirs["kept"]] = True
    theirs = {**theirs, "kept": their_kept.astype(float)}
    text = f"poses of 40 that OKS-NMS keeps ({kept.sum()})"
    add("metric", "float64", text, kept, "kept", 0.0, "a choice")
    return rows


FILES = {
    "data": "lib/utils/transforms.py, lib/dataset/JointsDataset.py generate_target",
    "decode": "lib/core/inference.py, lib/utils/transforms.py flip_back",
    "metric": "lib/dataset/mpii.py evaluate, lib/nms/nms.py oks_nms",
}
