"""The person category of a COCO keypoint file, and the joint set it describes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddle_pose.errors import UserError
from paddle_pose.skeletons import COCO17, MPII16, Skeleton, register, skeleton_named

FROM_FILE = "from_file"

UNKNOWN_JOINT_SIGMA = 0.1
"""OKS constant of a joint that neither the file nor COCO has one for: about COCO's hip."""


@dataclass(frozen=True)
class Category:
    """Which annotations are people, and what their keypoints mean."""

    id: int
    skeleton: Skeleton


def read_category(content: dict[str, Any], file: Path, skeleton_name: str) -> Category:
    """The keypoint category of a file; without any (boxes alone, Halpe) id 1 and the named set.

    ``from_file`` makes a Skeleton of the category: joints and limbs as listed, pairs by the words
    left_ and right_, OKS sigmas from its ``sigmas`` field, else COCO's for joints of that name.

    Raises:
        UserError: several candidates, joints that are not those of ``skeleton_name``, or
            ``from_file`` without joint names.
    """
    categories = content.get("categories", [])
    if not isinstance(categories, list) or not all(isinstance(c, dict) for c in categories):
        raise UserError(f"{file}: 'categories' must be a list of objects")
    chosen = _choose(categories, file)
    category_id = int(chosen.get("id", 1))
    listed = tuple(str(name) for name in chosen.get("keypoints", ()))
    if skeleton_name == FROM_FILE:
        skeleton = _skeleton(chosen, listed, file)
        register(skeleton)
        return Category(category_id, skeleton)
    skeleton = skeleton_named(skeleton_name)
    if listed and listed != skeleton.joints:
        raise UserError(
            f"{file}: its category lists {len(listed)} keypoints ({', '.join(listed[:4])}, …), "
            f"not the {len(skeleton)} of '{skeleton_name}'; use --set data.skeleton={FROM_FILE}"
        )
    return Category(category_id, skeleton)


def _choose(categories: list[dict[str, Any]], file: Path) -> dict[str, Any]:
    people = [c for c in categories if c.get("name") == "person"]
    with_keypoints = [c for c in categories if c.get("keypoints")]
    candidates = people or with_keypoints or categories[:1]
    if len(candidates) > 1:
        names = ", ".join(str(c.get("name")) for c in candidates)
        raise UserError(
            f"{file}: several keypoint categories ({names}); keep one, or call one 'person'"
        )
    return candidates[0] if candidates else {}


def _skeleton(category: dict[str, Any], joints: tuple[str, ...], file: Path) -> Skeleton:
    if not joints:
        raise UserError(f"{file}: its category lists no 'keypoints'; name a skeleton in the recipe")
    if len(set(joints)) != len(joints):
        raise UserError(f"{file}: a keypoint name is listed twice: {', '.join(joints)}")
    try:
        limbs = _limbs(category.get("skeleton", ()), joints)
        sigmas = tuple(float(value) for value in category.get("sigmas", ()))
    except (TypeError, ValueError) as error:
        raise UserError(f"{file}: category 'skeleton' or 'sigmas' is broken ({error})") from error
    if sigmas and (len(sigmas) != len(joints) or min(sigmas) <= 0):
        raise UserError(f"{file}: expected {len(joints)} positive 'sigmas', got {sigmas}")
    known = dict(zip(COCO17.joints, COCO17.oks_sigmas, strict=True))
    upper = {*COCO17.upper_body, *MPII16.upper_body}
    return Skeleton(
        name=FROM_FILE,
        joints=joints,
        limbs=limbs,
        upper_body=tuple(name for name in joints if name in upper),
        oks_sigmas=sigmas or tuple(known.get(name, UNKNOWN_JOINT_SIGMA) for name in joints),
    )


def _limbs(pairs: Any, joints: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Names of 1-based pairs; COCO's limbs where the list is not about these joints.

    CrowdPose's official file lists 14 joints beside COCO's limbs of 17.
    """
    numbers = [(int(first), int(second)) for first, second in pairs]
    if numbers and all(1 <= end <= len(joints) for pair in numbers for end in pair):
        return tuple((joints[first - 1], joints[second - 1]) for first, second in numbers)
    return tuple(pair for pair in COCO17.limbs if set(pair) <= set(joints))
