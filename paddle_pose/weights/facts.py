"""What weights say of themselves: recipe, joints, pairs, normalisation, and a digest of it all.

It stands as JSON in the metadata of a ``.safetensors`` and in the table of names of a
``.pdparams``, and is read as data.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import paddle_pose
from paddle_pose.errors import UserError
from paddle_pose.files import json_text
from paddle_pose.settings import DataSettings
from paddle_pose.skeletons import Skeleton
from paddle_pose.typed import from_plain
from paddle_pose.weights.tensors import digest


@dataclass(frozen=True)
class Normalisation:
    """How a crop becomes the network's input; as in ``DataSettings``."""

    rgb_mean: tuple[float, ...]
    rgb_std: tuple[float, ...]
    channel_order: str
    image_size_wh: tuple[int, ...]


@dataclass(frozen=True)
class WeightFacts:
    """What a file of weights says.

    Attributes:
        version: of this package, when it was written.
        recipe: as plain data; ``recipes.from_dict`` makes a recipe of it.
        skeleton: the joint set, in the order of the network's maps.
        flip_pairs: indices of left and right joints.
        normalisation: of its inputs.
    """

    version: str
    recipe: dict[str, Any]
    skeleton: Skeleton
    flip_pairs: tuple[tuple[int, int], ...]
    normalisation: Normalisation

    def text(self, arrays: Mapping[str, np.ndarray]) -> str:
        """As JSON, with the digest of these arrays and of everything said."""
        values = json.loads(json_text(dataclasses.asdict(self)))
        return json_text({**values, "digest": digest(arrays, _canonical(values))})


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)


def facts_of(recipe: Mapping[str, Any], data: DataSettings, skeleton: Skeleton) -> WeightFacts:
    """What weights of a recipe (as plain data) and a joint set say."""
    names = [item.name for item in dataclasses.fields(Normalisation)]
    return WeightFacts(
        version=paddle_pose.__version__,
        recipe=dict(recipe),
        skeleton=skeleton,
        flip_pairs=tuple((int(a), int(b)) for a, b in skeleton.flip_pairs),
        normalisation=Normalisation(**{name: getattr(data, name) for name in names}),
    )


def read_facts(said: str, arrays: Mapping[str, np.ndarray], path: Path) -> WeightFacts | None:
    """What a file says, its digest compared; None for one that says nothing.

    Raises:
        UserError: what it says is damaged, or not of these arrays.
    """
    if not said:
        return None
    try:
        values = json.loads(said)
        found = values.pop("digest")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: what it says of itself is damaged; fetch it again") from error
    if digest(arrays, _canonical(values)) != found:
        raise UserError(
            f"{path}: damaged: its tensors are not those that were written (their SHA-256 is not "
            f"{str(found)[:12]}…); take another checkpoint, or fetch it again"
        )
    return from_plain(WeightFacts, values, f"{path}: what it says of itself")


def require_same_joints(facts: WeightFacts, skeleton: Skeleton, path: Path) -> None:
    """Raises UserError for weights of other joints, of another order, or of other pairs."""
    theirs, ours = facts.skeleton.joints, skeleton.joints
    if theirs != ours:
        place = next(
            (i for i, (a, b) in enumerate(zip(theirs, ours, strict=False)) if a != b),
            min(len(theirs), len(ours)),
        )
        raise UserError(
            f"{path}: weights of {len(theirs)} joints ('{facts.skeleton.name}'), not of the "
            f"{len(ours)} of '{skeleton.name}': the {place + 1}. is "
            f"{theirs[place] if place < len(theirs) else 'none'} there, "
            f"{ours[place] if place < len(ours) else 'none'} here"
        )
    pairs = tuple((int(a), int(b)) for a, b in skeleton.flip_pairs)
    if {frozenset(pair) for pair in facts.flip_pairs} != {frozenset(pair) for pair in pairs}:
        raise UserError(
            f"{path}: trained with {len(facts.flip_pairs)} left/right pairs "
            f"{_pairs(facts.flip_pairs, ours)}, here are {len(pairs)} {_pairs(pairs, ours)}"
        )


def _pairs(pairs: tuple[tuple[int, int], ...], joints: tuple[str, ...]) -> str:
    shown = [f"{joints[a]}/{joints[b]}" for a, b in pairs if max(a, b) < len(joints)]
    return f"({', '.join(shown[:3])}{' …' if len(shown) > 3 else ''})"


def differences(facts: WeightFacts, data: DataSettings) -> list[str]:
    """A line for each part of the normalisation that is not as the weights were trained."""
    lines = []
    for item in dataclasses.fields(Normalisation):
        theirs, ours = getattr(facts.normalisation, item.name), getattr(data, item.name)
        if theirs != (tuple(ours) if isinstance(ours, list | tuple) else ours):
            lines.append(f"data.{item.name} is {_plain(ours)}; they were trained {_plain(theirs)}")
    return lines


def _plain(value: Any) -> str:
    return f"[{', '.join(f'{v:g}' for v in value)}]" if isinstance(value, tuple) else f"{value}"
